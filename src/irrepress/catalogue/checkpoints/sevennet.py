"""Checkpoints of SevenNet, without importing torch or sevenn."""

from irrepress.core.errors import UserError, nearest

# Names after "7net-" that sevenn 0.13 knows, in any case; a test checks them. sevenn downloads
# those that are not included in its package.
_NAMES = (
    "0",
    "0_22may2024",
    "l3i5",
    "mf-0",
    "mf-ompa",
    "omat",
    "omni",
    "omni-i8",
    "omni-i12",
)
KEYWORDS = tuple(f"7net-{name}" for name in _NAMES)
# Other spelling -> keyword.
SPELLINGS = {f"sevennet-{name}": f"7net-{name}" for name in _NAMES} | {
    f"{prefix}-0_{date}": "7net-0"
    for prefix in ("7net", "sevennet")
    for date in ("11july2024", "11jul2024")
}
# Levels of theory of the checkpoints in the package, in order; () if there is only one.
MODALS: dict[str, tuple[str, ...]] = {
    "7net-0": (),
    "7net-0_22may2024": (),
    "7net-l3i5": (),
    "7net-mf-0": ("R2SCAN", "PBE"),
}
# Settings of untrained models; `irrepress.families.sevennet.untrained` has their defaults.
SETTINGS = (
    "channel",
    "irreps_manual",
    "lmax",
    "lmax_edge",
    "lmax_node",
    "num_convolution_layer",
    "is_parity",
    "cutoff",
    "cutoff_function",
    "radial_basis",
    "weight_nn_hidden_neurons",
    "self_connection_type",
)
# Types of numbers that saved files can hold.
NUMBER_TYPES = ("float32",)
SHORTENS_CUTOFF = True
DROPS_LAYERS = True


def check_checkpoint(keyword: str, accepted: str | None = None) -> None:
    """Check a keyword of SevenNet; none of its checkpoints has a restrictive licence.

    Raises:
        UserError: if sevenn does not know it.
    """
    name = keyword.lower()
    if SPELLINGS.get(name, name) not in KEYWORDS:
        raise UserError(
            f"{keyword}: neither a file nor a keyword of SevenNet; {nearest(name, KEYWORDS)}"
        )
