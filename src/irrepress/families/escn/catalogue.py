"""What can be said of eSCN's checkpoints without torch and without fairchem."""

from irrepress.errors import UserError, nearest

# Untrained models; `irrepress.families.escn.untrained` holds their architectures.
KEYWORDS = ("escn-md-small",)


def check_checkpoint(keyword: str, accepted: str | None = None) -> None:
    """Check that a keyword stands for a model of the family.

    Raises:
        UserError: it does not.
    """
    if keyword not in KEYWORDS:
        raise UserError(
            f"{keyword}: neither a file nor a keyword of eSCN; {nearest(keyword, KEYWORDS)} "
            "(untrained). UMA's files need an account: download them by hand and give their paths"
        )
