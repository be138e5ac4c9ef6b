"""Models with random weights from settings of the config, to be trained from scratch."""

import copy
from collections.abc import Mapping
from typing import Any

import sevenn._keys as KEY
import torch
from ase.data import chemical_symbols

from irrepress.catalogue.families import check_settings
from irrepress.core.errors import UserError, first_line
from irrepress.core.model import Model
from irrepress.core.statistics import DataStatistics
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


def make_untrained(
    settings: Mapping[str, Any], data: DataStatistics, seed: int, modal: str | None
) -> Model:
    """Build a network with random weights; see `families.base.Family.untrained`.

    Raises:
        UserError: an unknown setting, one that sevenn or irrepress refuses, or a modal.
    """
    check_settings("sevennet", settings)
    if modal is not None:
        raise UserError(f"modal: {modal!r} names a level of theory of several; leave it out")
    with torch.random.fork_rng(devices=[]):  # its network is made with random weights first
        whole = checkpoint.load("7net-0", None, torch.float32).native
    config = {**whole, **copy.deepcopy(DEFAULTS), **copy.deepcopy(dict(settings))}
    numbers, shifted = data.elements, data.shifted()
    neighbours = data.neighbours(float(config[KEY.CUTOFF]))
    config |= {
        KEY.TYPE_MAP: {number: index for index, number in enumerate(numbers)},
        KEY.NUM_SPECIES: len(numbers),
        KEY.CHEMICAL_SPECIES: [chemical_symbols[number] for number in numbers],
        KEY.CHEMICAL_SPECIES_BY_ATOMIC_NUMBER: numbers,
        KEY.SHIFT: [shifted[number] for number in numbers],
        KEY.SCALE: [data.scale] * len(numbers),
        KEY.CONV_DENOMINATOR: neighbours,
        KEY.AVG_NUM_NEIGH: [neighbours] * int(config[KEY.NUM_CONVOLUTION]),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # What a wrong value runs into depends on sevenn's constructor.
        try:
            network = checkpoint.build(config)
        except Exception as error:
            raise UserError(
                f"untrained: sevenn cannot build a network of these settings "
                f"({first_line(error)}); correct them"
            ) from error
    return checkpoint.make_model(network, checkpoint.native_config(config), None)
