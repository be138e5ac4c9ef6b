"""Checkpoints of eSCN, without torch and without fairchem."""

from irrepress.core.errors import UserError, nearest

# Untrained models; `irrepress.families.escn.untrained` holds their architectures.
KEYWORDS = ("escn-md-small",)
# fairchem's settings that may be chosen; those of which only one value is supported may not.
SETTINGS = (
    "sphere_channels",
    "hidden_channels",
    "edge_channels",
    "lmax",
    "mmax",
    "num_layers",
    "num_distance_basis",
    "cutoff",
    "max_neighbors",
    "chg_spin_emb_type",
    "use_dataset_embedding",
)
# Types of numbers that saved files can hold.
NUMBER_TYPES = ("float32",)
SHORTENS_CUTOFF = False


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
