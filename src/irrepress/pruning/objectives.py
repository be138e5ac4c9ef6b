"""Losses per structure, which scores are derivatives of, and their components.

The outputs of a batch are laid out as one vector: the energy per atom of every structure in eV, all
forces in eV/Å, and the stress of every structure in GPa. The weight of a component is the weight of
its quantity, divided by the number of components of that quantity in the structure.
"""

import torch
from torch import Tensor

from irrepress.core import comparison
from irrepress.core.comparison import difference
from irrepress.core.labels import Labels
from irrepress.core.loss_weights import LossWeights
from irrepress.core.model import Batch, Prediction
from irrepress.core.quantities import GPA_PER_EV_A3, QUANTITIES


def components(outputs: Prediction | Labels, batch: Batch) -> Tensor:
    """Return predictions or labels as one vector, ``[components]``."""
    energy = outputs.energy / batch.num_atoms.to(outputs.energy)
    return torch.cat([energy, outputs.forces.flatten(), (outputs.stress * GPA_PER_EV_A3).flatten()])


def component_weights(batch: Batch, labels: Labels, weights: LossWeights) -> Tensor:
    """Return the weights of the components that `components` returns, ``[components]``.

    Stress without a label has zero weight, because the structure may have no volume to define it.
    """
    atoms = batch.num_atoms.to(labels.energy)
    energy = torch.full_like(labels.energy, weights.energy)
    forces = (weights.forces / (3 * atoms))[batch.structure].repeat_interleave(3)
    defined = torch.isfinite(labels.stress).all(dim=1)
    stress = (weights.stress / 6 * defined.to(labels.stress)).repeat_interleave(6)
    return torch.cat([energy, forces, stress])


def per_structure(values: Tensor, batch: Batch) -> Tensor:
    """Sum values over the components of each structure, ``[components]`` -> ``[structures]``."""
    every = torch.arange(len(batch), device=values.device)
    owners = [every, batch.structure.repeat_interleave(3), every.repeat_interleave(6)]
    return values.new_zeros(len(batch)).index_add(0, torch.cat(owners), values)


def huber_loss(
    prediction: Prediction, batch: Batch, labels: Labels, weights: LossWeights
) -> Tensor:
    """Return the Huber loss of each structure, ``[structures]``; NaN labels are ignored."""
    found = (difference(name, prediction, labels, batch.num_atoms) for name in QUANTITIES)
    losses = comparison.huber_loss(torch.cat([d.flatten() for d in found]), weights.huber_delta)
    return per_structure(component_weights(batch, labels, weights) * losses, batch)


def squared_loss(
    prediction: Prediction, batch: Batch, labels: Labels, weights: LossWeights
) -> Tensor:
    """Return half the squared loss of each structure, ``[structures]``.

    Where a label is NaN, the prediction takes its place: the loss is 0, but its second derivatives
    are not.
    """
    weigh = component_weights(batch, labels, weights)
    values, target = components(prediction, batch), components(labels, batch)
    # Multiplying by a weight of 0 is not enough: stress without a volume may be infinite.
    values = torch.where(weigh > 0, values, torch.zeros_like(values))
    target = torch.where(torch.isfinite(target), target, values.detach())
    target = torch.where(weigh > 0, target, torch.zeros_like(target))
    return per_structure(weigh * (values - target).square() / 2, batch)
