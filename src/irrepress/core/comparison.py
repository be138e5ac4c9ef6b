"""Differences between predictions and labels, shared by all losses."""

import torch
from torch import Tensor

from irrepress.core.labels import Labels
from irrepress.core.model import Prediction
from irrepress.core.quantities import GPA_PER_EV_A3


def difference(quantity: str, prediction: Prediction, labels: Labels, num_atoms: Tensor) -> Tensor:
    """Return predictions minus labels; components without a label are zero, without a gradient.

    Args:
        quantity: one of `irrepress.core.quantities.QUANTITIES`.
        prediction: the prediction, with or without an autograd graph.
        labels: the labels, on the same device. The difference has their dtype, which in mixed
            precision is wider than that of the prediction.
        num_atoms: number of atoms per structure, ``[structures]``.

    Returns:
        Energies per atom in eV, ``[structures]``; forces in eV/Å, ``[atoms, 3]``; or stress in
        GPa, ``[structures, 6]``.
    """
    label = getattr(labels, quantity)
    found = getattr(prediction, quantity).to(label.dtype) - torch.nan_to_num(label)
    # Missing labels are replaced before computing a loss, because NaN times a weight of 0 is NaN.
    # They become zeros instead of being dropped, so that shapes do not depend on the data.
    found = torch.where(torch.isfinite(label), found, torch.zeros_like(found))
    if quantity == "energy":
        return found / num_atoms.to(found)
    return found * GPA_PER_EV_A3 if quantity == "stress" else found


def huber_loss(differences: Tensor, delta: float) -> Tensor:
    """Return the Huber loss of each component: quadratic up to ``delta``, linear beyond."""
    return torch.nn.functional.huber_loss(
        differences, torch.zeros_like(differences), delta=delta, reduction="none"
    )
