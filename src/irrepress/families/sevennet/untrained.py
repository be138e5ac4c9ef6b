"""Models with random weights from settings of the config, to be trained from scratch."""

import copy
from collections.abc import Mapping
from typing import Any

import sevenn._keys as KEY
import torch
from ase.data import chemical_symbols

from irrepress.core.statistics import DataStatistics
from irrepress.families.generic.checkpoints import check_modal
from irrepress.families.sevennet import checkpoint

# A small model; what is not named here is SevenNet-0's.
DEFAULTS: dict[str, Any] = {
    KEY.NODE_FEATURE_MULTIPLICITY: 32,
    KEY.IRREPS_MANUAL: False,
    KEY.LMAX: 2,
    KEY.LMAX_EDGE: -1,
    KEY.LMAX_NODE: -1,
    KEY.NUM_CONVOLUTION: 3,
    KEY.IS_PARITY: False,
    KEY.CUTOFF: 5.0,
    KEY.CUTOFF_FUNCTION: {KEY.CUTOFF_FUNCTION_NAME: "poly_cut", KEY.POLY_CUT_P: 6},
    KEY.RADIAL_BASIS: {KEY.RADIAL_BASIS_NAME: "bessel", KEY.BESSEL_BASIS_NUM: 8},
    KEY.CONVOLUTION_WEIGHT_NN_HIDDEN_NEURONS: [64, 64],
    KEY.SELF_CONNECTION_TYPE: "linear",
}


def native_of(
    settings: Mapping[str, Any], data: DataStatistics, modal: str | None
) -> dict[str, Any]:
    """Return sevenn's config; see `irrepress.families.generic.family.BuiltFromSettings`.

    Raises:
        UserError: a modal.
    """
    check_modal("untrained", (), modal, "modals")
    with torch.random.fork_rng(devices=[]):  # its network is made with random weights first
        whole = checkpoint.load(checkpoint.fetch("7net-0"), None, torch.float32).native
    config = {**whole, **copy.deepcopy(DEFAULTS), **copy.deepcopy(dict(settings))}
    numbers, shifted = data.elements, data.shifted()
    neighbours = data.neighbours(float(config[KEY.CUTOFF]))
    return checkpoint.native_config(
        config
        | {
            KEY.TYPE_MAP: {number: index for index, number in enumerate(numbers)},
            KEY.NUM_SPECIES: len(numbers),
            KEY.CHEMICAL_SPECIES: [chemical_symbols[number] for number in numbers],
            KEY.CHEMICAL_SPECIES_BY_ATOMIC_NUMBER: numbers,
            KEY.SHIFT: [shifted[number] for number in numbers],
            KEY.SCALE: [data.scale] * len(numbers),
            KEY.CONV_DENOMINATOR: neighbours,
            KEY.AVG_NUM_NEIGH: [neighbours] * int(config[KEY.NUM_CONVOLUTION]),
        }
    )
