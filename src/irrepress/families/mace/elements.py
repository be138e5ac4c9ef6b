"""What MACE indexes by element: embedding, selections, weights of products, atomic energies."""

import copy
from collections.abc import Iterable, Mapping

import torch

from irrepress.core.model import Model
from irrepress.families.generic.elements import check_known, choose_elements
from irrepress.families.generic.layout import ELEMENTS
from irrepress.families.mace.narrow import rebuild


def shift_energies(model: Model, shifts: Mapping[int, float]) -> None:
    """Add constants to atomic energies; see `irrepress.core.family.Family.shift_energies`."""
    check_known(model, shifts)
    numbers, heads = model.native["atomic_numbers"], model.native["heads"]
    energies = model.network.atomic_energies_fn.atomic_energies
    rows = energies if energies.ndim == 2 else energies[None]
    row = rows[0 if model.modal is None else heads.index(model.modal)]
    with torch.no_grad():
        for number, value in shifts.items():
            row[numbers.index(number)] += value
    model.native["atomic_energies"] = energies.tolist()


def restrict_elements(model: Model, elements: Iterable[int]) -> Model:
    """Drop elements; see `irrepress.core.family.Family.restrict_elements`.

    Nothing else changes: what is indexed by element is most of a model for many elements, and
    what remains is used as before.
    """
    chosen = choose_elements(model, elements)
    numbers = model.native["atomic_numbers"]
    kept = [index for index, number in enumerate(numbers) if number in chosen]
    energies = model.network.atomic_energies_fn.atomic_energies
    config = copy.deepcopy(model.native)
    config["atomic_numbers"] = [numbers[index] for index in kept]
    config["num_elements"] = len(kept)
    config["atomic_energies"] = energies[..., kept].tolist()
    # The constructor sets what the config holds.
    constants = ("atomic_numbers", "atomic_energies")
    return rebuild(model, config, {ELEMENTS: kept}, constants)
