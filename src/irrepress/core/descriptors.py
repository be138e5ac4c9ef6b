"""Descriptors of whole structures, from the features of a model."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from irrepress.core.batching import in_limited_batches
from irrepress.core.family import Evaluator
from irrepress.core.groups import FEATURES
from irrepress.core.model import Batch, Model
from irrepress.core.structure import Structure

# A pass without derivatives needs about 1 MB per atom.
_STRUCTURES_PER_BATCH, _ATOMS_PER_BATCH = 32, 1024


def describe(
    model: Model,
    structures: Iterable[Structure],
    elements: Sequence[int] | None = None,
    evaluator: Evaluator | None = None,
) -> np.ndarray:
    """Describe structures by the features that a model's last layer gives to their atoms.

    The features of an atom are made invariant by taking norms over the components of each channel
    (and the values of scalars). The descriptor of a structure holds their mean and standard
    deviation over the atoms of each element, so that structures of different sizes can be compared.

    Args:
        model: the model.
        structures: any iterable; only one batch is held in memory at a time.
        elements: atomic numbers, in whose order the columns are; None: those of the model.
        evaluator: faster code for the model (`irrepress.core.evaluator.faster_evaluator`), which
            takes structures one by one.

    Returns:
        Float32 array ``[structures, elements * 2 * channels]``. Elements that a structure does not
        contain are zero.

    Raises:
        UserError: if the model does not know an element.

    >>> describe(model, structures, elements=[14]).shape[0] == len(structures)
    True
    """
    known = list(model.elements if elements is None else elements)
    rows = []
    if evaluator is not None:
        for structure in structures:
            numbers = torch.from_numpy(structure.numbers)
            alone = torch.zeros_like(numbers)
            rows.append(_described(evaluator.features(structure), numbers, alone, 1, known))
    else:
        last = _last_groups(model)
        for chunk in in_limited_batches(structures, _STRUCTURES_PER_BATCH, _ATOMS_PER_BATCH):
            batch = model.batch(chunk)
            atoms = _features(model, batch, last)
            rows.append(_described(atoms, batch.numbers, batch.structure, len(batch), known))
    return np.concatenate(rows) if rows else np.empty((0, 0), dtype=np.float32)


def _last_groups(model: Model) -> set[str]:
    """Return the names of the groups of node features in the last layer."""
    features = [group for group in model.groups() if group.site == FEATURES]
    last = max(group.layer for group in features)
    return {group.name for group in features if group.layer == last}


def _features(model: Model, batch: Batch, groups: set[str]) -> Tensor:
    """Return the invariants of the features of some groups, ``[atoms, channels]``."""
    seen: dict[str, Tensor] = {}

    def observe(name: str, features: Tensor) -> None:
        if name in groups:
            seen[name] = features.detach()

    with model.gated({}, observe):
        model.atomic_energies(batch)
    return torch.cat([_invariants(seen[name]) for name in sorted(seen)], dim=1)


def _described(
    atoms: Tensor, numbers: Tensor, owner: Tensor, structures: int, elements: Sequence[int]
) -> np.ndarray:
    """Return the moments of features by element, a row for each structure."""
    parts: list[Tensor] = []
    for element in elements:
        mine = numbers == element
        parts += _moments(atoms[mine], owner[mine], structures)
    return torch.cat(parts, dim=1).float().cpu().numpy()


def _invariants(features: Tensor) -> Tensor:
    """Return ``[atoms, channels, components]`` as scalars, ``[atoms, channels]``."""
    return features[..., 0] if features.shape[-1] == 1 else features.norm(dim=-1)


def _moments(values: Tensor, owner: Tensor, structures: int) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation over the atoms of each structure."""
    zeros = values.new_zeros(structures, values.shape[1])
    counts = torch.bincount(owner, minlength=structures).clamp_min(1)[:, None]
    mean = zeros.index_add(0, owner, values) / counts
    variance = zeros.index_add(0, owner, (values - mean[owner]).square()) / counts
    return mean, variance.sqrt()
