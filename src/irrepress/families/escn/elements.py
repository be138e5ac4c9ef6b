"""What eSCN-MD indexes by element: embeddings and reference energies."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace

from irrepress.core.model import Model
from irrepress.families.escn.narrow import rebuild
from irrepress.families.escn.tasks import scale_of, write_tasks
from irrepress.families.generic.checkpoints import plain
from irrepress.families.generic.elements import check_known, choose_elements
from irrepress.families.generic.layout import ELEMENTS


def shift_energies(model: Model, shifts: Mapping[int, float]) -> None:
    """Add constants to reference energies; see `families.base.Family.shift_energies`."""
    check_known(model, shifts)
    scale = scale_of(model.native)
    references = list(scale.references)
    for number, value in shifts.items():
        references[number] += float(value)
    dataset = model.native["tasks_config"][0]["datasets"][0]
    scale = replace(scale, references=tuple(references))
    model.native["tasks_config"] = plain(write_tasks(scale, dataset))


def restrict_elements(model: Model, elements: Iterable[int]) -> Model:
    """Drop elements; see `irrepress.core.family.Family.restrict_elements`.

    Tables are indexed by the atomic number itself, so that only rows beyond the heaviest element
    go. Which lighter elements are known is written beside the weights.
    """
    chosen = sorted(choose_elements(model, elements))
    native = copy.deepcopy(model.native)
    numbers = chosen[-1] + 1
    native["model_config"]["backbone"]["max_num_elements"] = numbers
    scale = scale_of(model.native)
    dataset = native["tasks_config"][0]["datasets"][0]
    scale = replace(scale, references=scale.references[:numbers])
    native["tasks_config"] = write_tasks(scale, dataset)
    native["elements"] = chosen
    return rebuild(model, native, {ELEMENTS: range(numbers)})
