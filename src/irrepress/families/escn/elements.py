"""What eSCN-MD indexes by element: embeddings and reference energies."""

import copy
from collections.abc import Iterable, Mapping

from irrepress.core.model import Model
from irrepress.families.escn.narrow import rebuild
from irrepress.families.escn.tasks import scale_of, set_references
from irrepress.families.generic.elements import check_known, choose_elements
from irrepress.families.generic.layout import ELEMENTS


def shift_energies(model: Model, shifts: Mapping[int, float]) -> None:
    """Add constants to reference energies; see `irrepress.core.family.Family.shift_energies`."""
    check_known(model, shifts)
    references = list(scale_of(model.native).references)
    for number, value in shifts.items():
        references[number] += float(value)
    set_references(model.native, references)


def restrict_elements(model: Model, elements: Iterable[int]) -> Model:
    """Drop elements; see `irrepress.core.family.Family.restrict_elements`.

    Tables are indexed by the atomic number itself, so that only rows beyond the heaviest element
    go. Which lighter elements are known is written beside the weights.
    """
    chosen = sorted(choose_elements(model, elements))
    numbers = chosen[-1] + 1
    native = copy.deepcopy(model.native)
    native["elements"] = chosen
    native["model_config"]["backbone"]["max_num_elements"] = numbers
    set_references(native, scale_of(native).references)
    return rebuild(model, native, {ELEMENTS: range(numbers)})
