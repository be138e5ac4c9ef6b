"""Checkpoints of eSCN, without importing torch or fairchem."""

from irrepress.core.errors import UserError, nearest

# Untrained models; `irrepress.families.escn.untrained` holds their architectures.
KEYWORDS = ("escn-md-small",)
# fairchem's settings that can be chosen; others have only one supported value.
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
DROPS_LAYERS = True


def check_checkpoint(keyword: str, accepted: str | None = None) -> None:
    """Check a keyword of the family.

    Raises:
        UserError: if it is unknown.
    """
    if keyword not in KEYWORDS:
        raise UserError(
            f"{keyword}: neither a file nor a keyword of eSCN; {nearest(keyword, KEYWORDS)} "
            "(untrained). UMA's files require an account: download them by hand and give their "
            "paths"
        )
