"""What eSCN-MD indexes by element: embeddings and reference energies."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from ase.data import chemical_symbols

from irrepress.core.errors import UserError
from irrepress.core.model import Model
from irrepress.families.escn import checkpoint
from irrepress.families.escn.tasks import scale_of, write_tasks

_TABLES = ("sphere_embedding", "source_embedding", "target_embedding")


def shift_energies(model: Model, shifts: Mapping[int, float]) -> None:
    """Add constants to reference energies; see `families.base.Family.shift_energies`."""
    _check_known(model, shifts)
    scale = scale_of(model.native)
    references = list(scale.references)
    for number, value in shifts.items():
        references[number] += float(value)
    dataset = model.native["tasks_config"][0]["datasets"][0]
    scale = replace(scale, references=tuple(references))
    model.native["tasks_config"] = checkpoint.plain(write_tasks(scale, dataset))


@torch.no_grad()
def restrict_elements(model: Model, elements: Iterable[int]) -> Model:
    """Drop elements; see `irrepress.core.family.Family.restrict_elements`.

    Tables are indexed by the atomic number itself, so that only rows beyond the heaviest element
    go. Which lighter elements are known is written beside the weights.
    """
    chosen = sorted(set(map(int, elements)))
    _check_known(model, chosen)
    if not chosen:
        raise UserError("restricting a model to no elements at all; name at least one")
    native = copy.deepcopy(model.native)
    numbers = chosen[-1] + 1
    native["model_config"]["backbone"]["max_num_elements"] = numbers
    scale = scale_of(model.native)
    dataset = native["tasks_config"][0]["datasets"][0]
    scale = replace(scale, references=scale.references[:numbers])
    native["tasks_config"] = write_tasks(scale, dataset)
    native["elements"] = chosen
    built = checkpoint.build(native, model.modal)
    network = built.network.to(model.dtype)
    source = dict(model.network.named_parameters())
    for name, parameter in network.named_parameters():
        old = source[name]
        parameter.requires_grad_(old.requires_grad)
        parameter.copy_(old[:numbers] if name.split(".")[-2] in _TABLES else old)
    restricted = checkpoint.make_model(network, built.native, model.modal)
    return restricted.to(model.device)


def _check_known(model: Model, numbers: Iterable[int]) -> None:
    if unknown := set(numbers) - set(model.elements):
        names = ", ".join(chemical_symbols[z] for z in sorted(unknown))
        raise UserError(
            f"the model does not know {names}; it knows "
            + ", ".join(chemical_symbols[z] for z in model.elements)
        )
