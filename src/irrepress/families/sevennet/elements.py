"""What SevenNet indexes by element: embedding rows, energy shifts and scales."""

import copy
from collections.abc import Iterable, Mapping

import sevenn._keys as KEY
import torch
from ase.data import chemical_symbols
from sevenn.nn.scale import ModalWiseRescale, Rescale, SpeciesWiseRescale
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.model import Model
from irrepress.families.e3nn.narrowing import copy_rest, narrow_linear, narrow_tensor_product
from irrepress.families.sevennet import checkpoint
from irrepress.families.sevennet.architecture import EMBEDDING, RESCALE


def shift_energies(model: Model, shifts: Mapping[int, float]) -> None:
    """Add constants to atomic energies; see `irrepress.core.family.Family.shift_energies`."""
    _check_known(model, shifts)
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
    chosen = set(map(int, elements))
    _check_known(model, chosen)
    if not chosen:
        raise UserError("restricting a model to no elements at all; name at least one")
    old_types: dict[int, int] = model.native[KEY.TYPE_MAP]
    numbers = sorted(chosen, key=lambda number: old_types[number])
    kept = torch.tensor([old_types[number] for number in numbers])

    config = copy.deepcopy(model.native)
    config[KEY.TYPE_MAP] = {number: index for index, number in enumerate(numbers)}
    config[KEY.NUM_SPECIES] = len(numbers)
    config[KEY.CHEMICAL_SPECIES] = [chemical_symbols[number] for number in numbers]
    config[KEY.CHEMICAL_SPECIES_BY_ATOMIC_NUMBER] = numbers
    network = checkpoint.build(config).to(model.dtype)
    old, new = model.network._modules, network._modules

    narrow_linear(old[EMBEDDING].linear, new[EMBEDDING].linear, {("0e", 0): kept}, {})
    done = [new[EMBEDDING]]
    for name, module in new.items():
        # The self-connection of the NequIP kind multiplies features with the one-hot element.
        if hasattr(module, "fc_tensor_product"):
            wide, small = old[name].fc_tensor_product, module.fc_tensor_product
            narrow_tensor_product(wide, small, {}, {("0e", 0): kept}, {})
            done.append(module)
    if not isinstance(new[RESCALE], Rescale):
        _take(old[RESCALE].shift, new[RESCALE].shift, kept)
        _take(old[RESCALE].scale, new[RESCALE].scale, kept)
        done.append(new[RESCALE])
    copy_rest(model.network, network, done)
    restricted = checkpoint.make_model(network.to(model.device), config, model.modal)
    checkpoint.record_shift_and_scale(restricted)
    return restricted


@torch.no_grad()
def _take(wide: Tensor, small: Tensor, kept: Tensor) -> None:
    small.copy_(wide.index_select(-1, kept.to(wide.device)))


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


def _check_known(model: Model, numbers: Iterable[int]) -> None:
    if unknown := set(numbers) - set(model.elements):
        names = ", ".join(chemical_symbols[z] for z in sorted(unknown))
        raise UserError(
            f"the model does not know {names}; it knows "
            + ", ".join(chemical_symbols[z] for z in model.elements)
        )
