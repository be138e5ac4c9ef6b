"""What SevenNet indexes by element: embedding rows, energy shifts and scales."""

import copy
from collections.abc import Iterable, Mapping

import sevenn._keys as KEY
import torch
from ase.data import chemical_symbols
from sevenn.nn.scale import ModalWiseRescale, Rescale, SpeciesWiseRescale

from irrepress.core.model import Model
from irrepress.families.generic.elements import check_known, choose_elements
from irrepress.families.generic.layout import ELEMENTS
from irrepress.families.sevennet import checkpoint
from irrepress.families.sevennet.architecture import RESCALE
from irrepress.families.sevennet.narrow import rebuild


def shift_energies(model: Model, shifts: Mapping[int, float]) -> None:
    """Add constants to atomic energies; see `irrepress.core.family.Family.shift_energies`."""
    check_known(model, shifts)
    types: dict[int, int] = model.native[KEY.TYPE_MAP]
    rescale = model.network._modules[RESCALE]
    if isinstance(rescale, Rescale):
        rescale = _by_element(rescale, len(types))
        model.network.replace_module(RESCALE, rescale)
    with torch.no_grad():
        shift = rescale.shift
        if isinstance(rescale, ModalWiseRescale) and rescale.use_modal_wise_shift:
            shift = shift[model.native[KEY.MODAL_MAP][model.modal]]
        for number, value in shifts.items():
            shift[types[number]] += value
    checkpoint.record_shift_and_scale(model)


def restrict_elements(model: Model, elements: Iterable[int]) -> Model:
    """Drop elements; see `irrepress.core.family.Family.restrict_elements`."""
    chosen = choose_elements(model, elements)
    old_types: dict[int, int] = model.native[KEY.TYPE_MAP]
    numbers = sorted(chosen, key=lambda number: old_types[number])
    config = copy.deepcopy(model.native)
    config[KEY.TYPE_MAP] = {number: index for index, number in enumerate(numbers)}
    config[KEY.NUM_SPECIES] = len(numbers)
    config[KEY.CHEMICAL_SPECIES] = [chemical_symbols[number] for number in numbers]
    config[KEY.CHEMICAL_SPECIES_BY_ATOMIC_NUMBER] = numbers
    restricted = rebuild(model, config, {ELEMENTS: [old_types[number] for number in numbers]})
    checkpoint.record_shift_and_scale(restricted)
    return restricted


def _by_element(rescale: Rescale, elements: int) -> SpeciesWiseRescale:
    """Return a rescaling with one shift and scale per element, all equal to those given."""
    module = SpeciesWiseRescale(
        [rescale.get_shift()] * elements,
        [rescale.get_scale()] * elements,
        data_key_in=rescale.key_input,
        data_key_out=rescale.key_output,
        train_shift_scale=rescale.shift.requires_grad,
    )
    return module.to(rescale.shift)
