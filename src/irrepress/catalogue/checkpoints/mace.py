"""Published MACE checkpoints: addresses, checksums, licences and shapes, without torch.

mace's own keyword ``large`` means MACE_MPtrj_2022.9, an older model than MACE-MP-0 large, so sizes
alone are not accepted as keywords.
"""

from dataclasses import dataclass

from irrepress.catalogue.entry import Licence, RemoteFile
from irrepress.core.errors import UserError, nearest
from irrepress.core.target import Explicit

_MIT = Licence("MIT", "https://github.com/ACEsuit/mace-mp/blob/main/LICENSE")
_ASL = Licence(
    "ASL",
    "https://github.com/gabor1/ASL",
    restricted=True,
    terms="The Academic Software License allows non-commercial academic research only.",
)
_MP = "https://github.com/ACEsuit/mace-mp/releases/download"
_OFF = "https://github.com/ACEsuit/mace-off/raw/main/mace_off23"


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint.

    Example:
        >>> checkpoint = get_checkpoint("mace-mp-0-medium")
        >>> checkpoint.irreps, checkpoint.licence.name
        ('128x0e+128x1o', 'MIT')
    """

    file: RemoteFile
    licence: Licence
    irreps: str
    """Irreps of the hidden features."""
    max_ell: int = 3
    """Highest order of the filter."""


def _checkpoint(url: str, licence: Licence, irreps: str, sha256: str | None = None) -> Checkpoint:
    file = RemoteFile(
        name=url.rsplit("/", 1)[-1],
        urls=(url,),
        checksum=f"sha256:{sha256}" if sha256 else None,
        page=url.split("/releases/")[0].split("/raw/")[0],
    )
    return Checkpoint(file, licence, irreps)


CHECKPOINTS: dict[str, Checkpoint] = {
    "mace-mp-0-small": _checkpoint(
        f"{_MP}/mace_mp_0/2023-12-10-mace-128-L0_energy_epoch-249.model", _MIT, "128x0e"
    ),
    "mace-mp-0-medium": _checkpoint(
        f"{_MP}/mace_mp_0/2023-12-03-mace-128-L1_epoch-199.model", _MIT, "128x0e+128x1o"
    ),
    "mace-mp-0-large": _checkpoint(
        f"{_MP}/mace_mp_0/2024-01-07-mace-128-L2_epoch-199.model", _MIT, "128x0e+128x1o+128x2e"
    ),
    "mace-mpa-0": _checkpoint(f"{_MP}/mace_mpa_0/mace-mpa-0-medium.model", _MIT, "128x0e+128x1o"),
    "mace-off23-small": _checkpoint(
        f"{_OFF}/MACE-OFF23_small.model",
        _ASL,
        "96x0e",
        "165cce4cfec5a34b9c64d4ebf95de15d71106bb584b7291c8470f0749977c46f",
    ),
    "mace-off23-medium": _checkpoint(
        f"{_OFF}/MACE-OFF23_medium.model",
        _ASL,
        "128x0e+128x1o",
        "4842c52ad210d6e1f84d6cf1ffa70fae25a7e0d755ed55cf223f43913f587db7",
    ),
    "mace-off23-large": _checkpoint(
        f"{_OFF}/MACE-OFF23_large.model",
        _ASL,
        "192x0e+192x1o+192x2e",
        "a29e397dbf3e7a24ac50a9b0dfc919bd5a62efa346f5895a6237b0950c1d76f4",
    ),
}
# Each has one head only.
MODALS: dict[str, tuple[str, ...]] = dict.fromkeys(CHECKPOINTS, ())
# Settings of untrained models; `irrepress.families.mace.untrained` has their defaults.
SETTINGS = (
    "r_max",
    "num_bessel",
    "num_polynomial_cutoff",
    "max_ell",
    "interaction_cls",
    "interaction_cls_first",
    "num_interactions",
    "hidden_irreps",
    "MLP_irreps",
    "correlation",
    "gate",
    "radial_MLP",
    "radial_type",
    "distance_transform",
    "pair_repulsion",
    "readout_cls",
)
# Types of numbers that saved files can hold.
NUMBER_TYPES = ("float32", "float64")
SHORTENS_CUTOFF = True
DROPS_LAYERS = True
_SIZES = ("small", "medium", "large")


def get_checkpoint(keyword: str) -> Checkpoint:
    """Return a published checkpoint.

    Raises:
        UserError: if there is none of this name.
    """
    name = keyword.lower()
    if name in _SIZES:
        raise UserError(
            f"{keyword}: a size alone is ambiguous (mace's own keyword 'large' means "
            "MACE_MPtrj_2022.9, an older model); give one of "
            f"{', '.join(key for key in CHECKPOINTS if key.endswith(name))}"
        )
    if name not in CHECKPOINTS:
        raise UserError(
            f"{keyword}: neither a file nor a published MACE checkpoint; "
            f"{nearest(name, CHECKPOINTS)}"
        )
    return CHECKPOINTS[name]


def check_checkpoint(keyword: str, accepted: str | None) -> Checkpoint:
    """Return a published checkpoint if its licence is free or was accepted by name.

    Args:
        keyword: keyword of the checkpoint.
        accepted: name of the licence that the user accepts, if any.

    Raises:
        UserError: if there is no such checkpoint, or its licence is restrictive and was not
            accepted; the message shows the terms.
    """
    found = get_checkpoint(keyword)
    licence = found.licence
    if licence.restricted and accepted != licence.name:
        raise UserError(
            f"licence: {keyword} is under a licence that restricts its use. {licence.name}: "
            f"{licence.terms} Read {licence.url} and, if you accept it, set licence: "
            f"{licence.name!r} beside the checkpoint in the config, or --licence "
            f"{licence.name} on the command line"
            f"{'' if accepted is None else f' (it is {accepted!r})'}"
        )
    return found


def shapes() -> dict[str, Explicit]:
    """Return the shapes of published checkpoints as targets for plans, by keyword."""
    return {
        keyword: Explicit(irreps=found.irreps, filter_lmax=found.max_ell)
        for keyword, found in CHECKPOINTS.items()
    }
