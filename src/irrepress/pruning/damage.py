"""The change in predictions when a plan is applied, measured without labels.

Blocks are gated by 0 instead of removed: the result is the same, and no model has to be built,
which on a GPU takes longer than a few predictions.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from ase import units
from torch import Tensor

from irrepress.core.batching import in_batches
from irrepress.core.errors import UserError
from irrepress.core.fits import Pair
from irrepress.core.loss_weights import LossWeights
from irrepress.core.model import Batch, Model
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure


class Damage:
    """Weighted sum of the mean absolute differences in energy, forces and stress.

    Energies per atom are compared up to a constant, their median difference, which costs nothing to
    correct. The predictions of the unpruned model are held in memory: a few hundred bytes per atom.

    Args:
        model: the unpruned model; it is not changed.
        structures: calibration structures, read once; labels are not used.
        batch_size: number of structures per batch.
        weights: weights of energy (eV/atom), forces (eV/Å) and stress (GPa).
        start: the model that plans apply to, such as the unpruned model with a shorter cutoff, on
            the same device; None: the unpruned model.

    Raises:
        ValueError: if there are no structures.
        UserError: if a prediction of the unpruned model is not finite.

    Example:
        >>> damage = Damage(model, structures, batch_size=4, weights=LossWeights())
        >>> groups = model.groups()
        >>> damage(Plan.identity(groups))
        0.0
        >>> damage(Plan.identity(groups).cut_order(groups, above=1)) > 0
        True
    """

    def __init__(
        self,
        model: Model,
        structures: Iterable[Structure],
        *,
        batch_size: int,
        weights: LossWeights,
        start: Model | None = None,
    ):
        self._model, self._weights = start or model, weights
        chunks = list(in_batches(structures, batch_size))
        if not chunks:
            raise ValueError("there are no structures to measure the damage on")
        pairs = [Pair.of(model, self._model, chunk) for chunk in chunks]
        self._periodic = [torch.tensor([all(s.pbc) for s in chunk]) for chunk in chunks]
        self._targets = self._outputs(model, [pair.parent for pair in pairs], {})
        if not all(torch.isfinite(target).all() for target in self._targets):
            raise UserError(
                "measuring the damage of plans: the predictions of the unpruned model for the "
                "calibration structures are not finite; the model is damaged (irrepress evaluate "
                "shows where)"
            )
        self._batches = [pair.narrowed for pair in pairs]

    def __call__(self, plan: Plan) -> float:
        """Return the damage done by a plan for the unpruned model; 0 means none.

        It is infinite if a prediction becomes infinite or NaN.
        """
        gates = {
            name: torch.zeros(plan.channels[name], dtype=self._model.dtype).index_fill(
                0, torch.tensor(kept, dtype=torch.int64), 1.0
            )
            for name, kept in plan.keep.items()
            if len(kept) < plan.channels[name]
        }
        outputs = self._outputs(self._model, self._batches, gates)
        energy, forces, stress = (
            found - target for found, target in zip(outputs, self._targets, strict=True)
        )
        parts = {"energy": energy - energy.median(), "forces": forces, "stress": stress}
        damage = sum(
            getattr(self._weights, name) * float(difference.abs().mean())
            for name, difference in parts.items()
            if len(difference)
        )
        return damage if math.isfinite(damage) else math.inf

    def _outputs(
        self, model: Model, batches: Sequence[Batch], gates: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return energies per atom, forces and defined stresses of all structures."""
        gates = {name: gate.to(model.device) for name, gate in gates.items()}
        with model.gated(gates):
            parts = [
                self._predict(model, batch, periodic)
                for batch, periodic in zip(batches, self._periodic, strict=True)
            ]
        energy, forces, stress = (torch.cat(part) for part in zip(*parts, strict=True))
        return energy, forces, stress

    def _predict(self, model: Model, batch: Batch, periodic: Tensor) -> tuple[Tensor, ...]:
        found = model.predict(batch)
        energy = found.energy.double().cpu() / batch.num_atoms.cpu()
        stress = found.stress.double().cpu()[periodic] / units.GPa
        return energy, found.forces.double().cpu(), stress
