"""Importance scores of irreps blocks, from one pass over calibration structures.

Every block is multiplied by a gate of 1, with one row of gates per structure, so that one
backward pass gives the derivative of each structure's quantity with respect to each block:

- ``taylor``: mean over structures of |dL/dg|, L the Huber loss of energy, forces and stress
  against the labels. Removing a block changes L by -dL/dg to first order (the criterion of
  Molchanov et al., arXiv 1906.10771, with a gate in the place of a weight).
- ``fisher``: mean over structures of (ds/dg)^2, s the sum of all outputs with random signs,
  each scaled by the square root of its loss weight. Its expectation is the diagonal of the
  Gauss-Newton matrix of the squared loss, and half of it estimates the damage of removing
  one block at an optimum. It needs no labels.
- ``activation``: mean over atoms (or edges) of the squared norm of the block's features.
- ``magnitude``: squared norm of the weights that read the block; needs no data.
- ``random``: uniform, seeded.

Taylor and fisher scores are changes of one loss and compete across layers and orders as they
are. Activation and magnitude have a scale of their own at every site and are divided by their
group's mean.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np
import torch
from ase import units
from rich.progress import track
from torch import Tensor

from irrepress.config import Criterion, LossWeights
from irrepress.devices import resolve_device
from irrepress.errors import UserError, nearest
from irrepress.families.base import Batch, Family, Model, Prediction
from irrepress.files import atomic_path
from irrepress.pruning.blocks import Group
from irrepress.structures.batching import in_batches
from irrepress.structures.structure import Structure
from irrepress.training.labels import Labels

CRITERIA: tuple[str, ...] = get_args(Criterion)
SCHEMA_VERSION = 1
# A loss below this is the model compared with its own predictions.
ROUND_OFF = 1e-9


@dataclass(frozen=True)
class Scores:
    """Scores of all blocks by several criteria.

    Attributes:
        groups: the groups of the model that was scored.
        values: criterion -> group name -> scores, ``[channels]`` float64; higher is more
            important.
        provenance: parent, data, seed and versions.
    """

    groups: Sequence[Group]
    values: dict[str, dict[str, np.ndarray]]
    provenance: dict[str, Any] = field(default_factory=dict)

    def of(self, criterion: str) -> dict[str, np.ndarray]:
        """Return the scores of one criterion.

        Raises:
            UserError: the criterion is not there.
        """
        if criterion not in self.values:
            raise UserError(
                f"scores: no criterion {criterion!r}; {nearest(criterion, self.values)}"
            )
        return self.values[criterion]

    def save(self, path: str | Path) -> None:
        """Write the scores as HDF5, atomically: ``/{criterion}/{group}``, ``/groups``."""
        with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
            file.attrs["schema_version"] = SCHEMA_VERSION
            for key, value in self.provenance.items():
                file.attrs[key] = value
            for criterion, groups in self.values.items():
                for name, scores in groups.items():
                    file[f"{criterion}/{name}"] = scores
            columns = {key: [getattr(g, key) for g in self.groups] for key in _COLUMNS}
            table = file.create_group("groups")
            for key, column in columns.items():
                table[key] = np.array(column, dtype=_COLUMNS[key])

    @classmethod
    def load(cls, path: str | Path) -> "Scores":
        """Read scores.

        Raises:
            UserError: not a file of scores, or of another schema version.
        """
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("schema_version") != SCHEMA_VERSION or "groups" not in file:
                    raise UserError(f"{path}: not a file of scores of this version; score anew")
                columns = {
                    key: file["groups"][key].asstr()[:] if kind is _TEXT else file["groups"][key][:]
                    for key, kind in _COLUMNS.items()
                }
                groups = [
                    Group(**{key: _COLUMN_TYPE[key](columns[key][i]) for key in _COLUMNS})
                    for i in range(len(columns["name"]))
                ]
                values = {
                    criterion: {name: data[:] for name, data in file[criterion].items()}
                    for criterion in file
                    if criterion != "groups"
                }
                provenance = {
                    k: v.item() if isinstance(v, np.generic) else v
                    for k, v in file.attrs.items()
                    if k != "schema_version"
                }
        except (OSError, KeyError) as error:
            raise UserError(f"{path}: not a readable file of scores ({error})") from error
        return cls(groups=groups, values=values, provenance=provenance)


_TEXT = h5py.string_dtype()
_COLUMNS = {
    "name": _TEXT,
    "layer": "i8",
    "irrep": _TEXT,
    "channels": "i8",
    "width": _TEXT,
    "axis": _TEXT,
    "floor": "i8",
}
_COLUMN_TYPE = {key: str if kind is _TEXT else int for key, kind in _COLUMNS.items()}


def compute_scores(
    family: Family,
    model: Model,
    structures: Iterable[Structure],
    *,
    total: int | None = None,
    batch_size: int = 8,
    weights: LossWeights | None = None,
    criteria: Sequence[str] = CRITERIA,
    seed: int = 0,
    device: str = "auto",
) -> Scores:
    """Score every block by every criterion in one pass.

    Args:
        family: the model's family.
        model: the model; its parameters and modes are left as they were.
        structures: calibration structures, with labels if ``taylor`` is wanted.
        total: how many structures there are, for the progress bar.
        batch_size: structures per pass.
        weights: weights of energy, forces and stress.
        criteria: what to compute.
        seed: of the random signs and of the criterion ``random``.
        device: as in the config.

    Raises:
        UserError: no structures, or ``taylor`` without labels that differ from the model's own
            predictions.
    """
    weights = weights or LossWeights()
    target = resolve_device(device)
    model.to(target)
    groups = family.groups(model)
    accumulator = _Accumulator(family, model, groups, weights, criteria, seed)
    frozen = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in frozen:  # only gates are differentiated: weights would double the work
        parameter.requires_grad_(False)
    try:
        if {"taylor", "fisher", "activation"} & set(criteria):
            count = -(-total // batch_size) if total else None
            chunks = in_batches(structures, batch_size)
            for chunk in track(chunks, "scoring", total=count, transient=True):
                labels = Labels.of(chunk, model.dtype)
                accumulator.add(family.batch(model, chunk).to(target), labels.to(target))
        values = accumulator.result()
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
    if "magnitude" in criteria:
        norms = family.block_norms(model)
        values["magnitude"] = _relative({k: v.double().cpu() ** 2 for k, v in norms.items()})
    if "random" in criteria:
        rng = np.random.default_rng(seed)
        values["random"] = {g.name: rng.random(g.channels) for g in groups}
    return Scores(groups=groups, values=values, provenance={"structures": accumulator.structures})


class _Accumulator:
    """Sums over structures of what each criterion needs."""

    def __init__(
        self,
        family: Family,
        model: Model,
        groups: Sequence[Group],
        weights: LossWeights,
        criteria: Sequence[str],
        seed: int,
    ):
        self.family, self.model, self.groups, self.weights = family, model, groups, weights
        self.criteria = criteria
        self.structures = 0
        self.labelled = 0
        self._generator = torch.Generator().manual_seed(seed)
        self._sums = {
            criterion: {
                g.name: torch.zeros(g.channels, dtype=torch.float64, device=model.device)
                for g in groups
            }
            for criterion in ("taylor", "fisher", "activation")
            if criterion in criteria
        }
        self._rows = dict.fromkeys((g.name for g in groups), 0)

    def add(self, batch: Batch, labels: Labels) -> None:
        """Add one batch: one forward pass, and one backward pass per gradient criterion."""
        gates = {
            g.name: torch.ones(
                len(batch), g.channels, dtype=self.model.dtype, device=self.model.device
            ).requires_grad_()
            for g in self.groups
        }
        observer = self._observe if "activation" in self.criteria else None
        with self.family.gated(self.model, gates, observer), torch.enable_grad():
            prediction = self.family.predict(self.model, batch, create_graph=True)
        quantities = {}
        if "taylor" in self.criteria:
            losses = per_structure_loss(prediction, batch, labels, self.weights)
            self.labelled += int((losses.detach() > ROUND_OFF).sum())
            quantities["taylor"] = losses.sum()
        if "fisher" in self.criteria:
            quantities["fisher"] = self._projection(prediction, batch, labels)
        for i, (criterion, quantity) in enumerate(quantities.items()):
            last = i == len(quantities) - 1
            gradients = torch.autograd.grad(
                quantity, list(gates.values()), retain_graph=not last, allow_unused=True
            )
            for name, gradient in zip(gates, gradients, strict=True):
                if gradient is not None:
                    gradient = gradient.double()
                    power = gradient.abs() if criterion == "taylor" else gradient.square()
                    self._sums[criterion][name] += power.sum(0)
        self.structures += len(batch)

    def result(self) -> dict[str, dict[str, np.ndarray]]:
        """Return mean scores of the criteria that need data."""
        if self._sums and not self.structures:
            raise UserError("scoring: there are no calibration structures; check scoring.dataset")
        if "taylor" in self._sums and not self.labelled:
            raise UserError(
                "scoring: the criterion 'taylor' needs labels that differ from the model's own "
                "predictions, and the calibration structures have none; use 'fisher'"
            )
        values: dict[str, dict[str, np.ndarray]] = {}
        for criterion, sums in self._sums.items():
            if criterion == "activation":
                means = {k: (v / max(self._rows[k], 1)).cpu() for k, v in sums.items()}
                values[criterion] = _relative(means)
            else:
                values[criterion] = {
                    k: (v / self.structures).cpu().numpy() for k, v in sums.items()
                }
        return values

    def _observe(self, name: str, features: Tensor) -> None:
        self._sums["activation"][name] += features.detach().double().square().sum(dim=(0, 2))
        self._rows[name] += len(features)

    def _projection(self, prediction: Prediction, batch: Batch, labels: Labels) -> Tensor:
        """Sum of all outputs with random signs, scaled so that squares add up to the loss."""
        atoms = batch.num_atoms.to(prediction.energy)
        components = 3 * atoms[batch.structure]
        # Stress enters where it is labelled: elsewhere there may be no volume to define it.
        defined = torch.isfinite(labels.stress).all(dim=1, keepdim=True)
        total = self._signed(self.weights.energy**0.5 * prediction.energy / atoms)
        scale = (self.weights.forces / components).sqrt().unsqueeze(1)
        total = total + self._signed(scale * prediction.forces)
        stress = (self.weights.stress / 6) ** 0.5 * prediction.stress / units.GPa
        return total + self._signed(torch.where(defined, stress, torch.zeros_like(stress)))

    def _signed(self, values: Tensor) -> Tensor:
        signs = torch.randint(0, 2, values.shape, generator=self._generator) * 2 - 1
        return (values * signs.to(values)).sum()


def per_structure_loss(
    prediction: Prediction, batch: Batch, labels: Labels, weights: LossWeights
) -> Tensor:
    """Huber loss of each structure, ``[structures]``; labels that are NaN count nothing."""
    atoms = batch.num_atoms.to(prediction.energy)

    def huber(difference: Tensor) -> Tensor:
        # NaN times 0 is NaN: missing labels are replaced before the loss, not after it.
        known = torch.nan_to_num(difference, nan=0.0)
        return torch.nn.functional.huber_loss(
            known, torch.zeros_like(known), delta=weights.huber_delta, reduction="none"
        )

    energy = huber((prediction.energy - labels.energy) / atoms)
    by_atom = huber(prediction.forces - labels.forces).mean(dim=1)
    forces = torch.zeros_like(energy).index_add(0, batch.structure, by_atom) / atoms
    stress = huber((prediction.stress - labels.stress) / units.GPa).mean(dim=1)
    return weights.energy * energy + weights.forces * forces + weights.stress * stress


def _relative(means: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Divide each group's scores by their mean."""
    return {name: (v / v.mean().clamp_min(1e-30)).numpy() for name, v in means.items()}
