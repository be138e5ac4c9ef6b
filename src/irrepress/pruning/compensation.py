"""Closed-form compensation: the remaining weights are refitted to make up for removed blocks.

Layer by layer, every equivariant linear map of the narrowed network is refitted by least squares.
Its inputs are the features of the network as narrowed and compensated so far; its targets are the
outputs of the parent's map in the channels that are kept. Maps mix only the channels of each irrep,
so equivariance is preserved. Each component (2 l + 1 per block) of each atom is one row of the
regression, and only sums over rows are held in memory.

Energies follow from features, but forces from their derivatives. So the fit also matches how
features change when all atoms are displaced at random: a linear map takes changes of its inputs to
changes of its outputs with the same weights. A ridge penalty pulls the weights towards those of the
narrowed network; its strength is chosen on held-out structures, separately for each map and irrep.
Features that fit better need not give better forces, so held-out structures also decide how far all
weights move from the old to the fitted ones (`irrepress.pruning.extent`). Finally, energy shifts
per element (`irrepress.pruning.energy_shifts`) remove the remaining mean difference of the
energies. If a plan shortens the cutoff, the parent keeps its own cutoff, and the maps also make up
for lost neighbours. (Least-squares reconstruction of pruned layers is common in vision and language
models; differences under displacement and the treatment of irreps are specific to this library.)
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from irrepress.core.batching import in_batches
from irrepress.core.fits import LinearFit, Pair
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.progress import tracked
from irrepress.core.structure import Structure
from irrepress.data.store import StructureStore
from irrepress.pruning.energy_shifts import fit_shifts
from irrepress.pruning.extent import choose_extent

logger = logging.getLogger(__name__)

# Ridge strengths to try, relative to the mean square of each input.
RIDGES = tuple(10.0**power for power in range(-6, 2))
# Parent and narrowed model.
_Models = tuple[Model, Model]
# Mean squares of inputs are clamped to at least this fraction of the largest one.
_SMALLEST = 1e-12


@dataclass(frozen=True)
class FittedMap:
    """The effect of compensation on one map and irrep.

    Attributes:
        name: name of the map.
        irrep: irrep of its inputs and outputs.
        ridge: the ridge strength that was best on held-out structures; infinity if no fit helped.
        before: unexplained fraction of the target's mean square on held-out structures, with the
            old weights.
        after: the same with the new weights.

    Example:
        >>> fitted = FittedMap("1.linear", "0e", ridge=1e-3, before=0.4, after=0.1)
        >>> f"{fitted.name} {fitted.irrep}: {fitted.before} -> {fitted.after}"
        '1.linear 0e: 0.4 -> 0.1'
    """

    name: str
    irrep: str
    ridge: float
    before: float
    after: float


def compensate(
    parent: Model,
    narrowed: Model,
    plan: Plan,
    structures: Sequence[Structure] | StructureStore,
    indices: Sequence[int] | np.ndarray | None = None,
    *,
    batch_size: int = 8,
    derivative_weight: float = 0.5,
    displacement: float = 0.02,
    held_out: float = 0.2,
    seed: int = 0,
    work_dir: Path | None = None,
) -> list[FittedMap]:
    """Refit the linear maps of a narrowed model, in place.

    Args:
        parent: the model that ``narrowed`` was made from; it is not changed.
        narrowed: the model to compensate, on the parent's device.
        plan: the plan that it was narrowed by.
        structures: calibration structures; labels are not used. A store is read in batches.
        indices: indices of the structures to use; None: all.
        batch_size: number of structures per batch.
        derivative_weight: weight of changes under displacement, per Å, relative to the features
            themselves.
        displacement: standard deviation of the random displacements in Å.
        held_out: fraction of the structures that is used to choose the ridges and the extent, and
            not to fit weights.
        seed: seed for the displacements and for the choice of held-out structures.
        work_dir: directory for features that are stored between fits, in a temporary subdirectory;
            None: the system's temporary directory. About 5 MB per 64 atoms.

    Returns:
        One entry for each map and irrep, in the order of the network.

    Raises:
        ValueError: if there are too few structures to hold some out.
    """
    chosen = np.arange(len(structures)) if indices is None else np.asarray(indices)
    is_test = np.random.default_rng(seed).permutation(len(chosen)) < round(held_out * len(chosen))
    if not is_test.any() or is_test.all():
        raise ValueError(f"{len(chosen)} structures are too few to hold some out")
    parent.eval()
    narrowed.eval()
    models = parent, narrowed
    fits = parent.linear_fits(narrowed, plan)
    old = [fit.weights() for fit in fits]
    results = []
    with TemporaryDirectory(dir=work_dir) as directory:
        parts = [
            [
                _Piece(structures, members, displacement if derivative_weight > 0 else None, seed)
                for members in in_batches(part.tolist(), batch_size)
            ]
            for part in (chosen[~is_test], chosen[is_test])
        ]
        for fit in tracked(fits, "compensating", "maps", len(fits)):
            train, test = _Sums(fit), _Sums(fit)
            for sums, pieces in zip((train, test), parts, strict=True):
                for piece in pieces:
                    features = piece.advance(models, fit, Path(directory))
                    sums.add(*features[0], 1.0)
                    for plus, minus in zip(features[1::2], features[2::2], strict=True):
                        inputs, outputs = (
                            {irrep: a[irrep] - b[irrep] for irrep in a}
                            for a, b in zip(plus, minus, strict=True)
                        )
                        sums.add(inputs, outputs, derivative_weight / (2 * displacement))
            results += _solve(fit, train, test)
    fitted, held = (_Batches(models, pieces) for pieces in parts)
    extent, rest = choose_extent(parent, narrowed, fits, old, held)
    logger.info("forces: %.3g of the difference remains at the extent %g", rest, extent)
    shifts, before, after = fit_shifts(parent, narrowed, fitted, held)
    if shifts:
        narrowed.shift_energies(shifts)
    logger.info("energies: %.3g -> %.3g meV/atom by shifts", 1e3 * before, 1e3 * after)
    return results


class _Piece:
    """A batch of calibration structures: undisplaced, and displaced in both directions.

    Args:
        structures: all structures.
        members: indices of the structures in the batch.
        displacement: standard deviation in Å; None: no displacements.
        seed: seed for the displacements.
    """

    def __init__(
        self,
        structures: Sequence[Structure] | StructureStore,
        members: Sequence[int],
        displacement: float | None,
        seed: int,
    ):
        self._structures, self._members = structures, members
        self._displacement, self._seed = displacement, seed
        self._begun = False

    def advance(
        self, models: _Models, fit: LinearFit, directory: Path
    ) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """Run both networks up to a fit; their progress is kept in files, not in memory.

        Returns:
            Inputs and outputs of the maps as in `Rows`: for the undisplaced structures, and for
            those displaced forwards and backwards.
        """
        path = directory / f"{self._members[0]}.pt"
        if self._begun:
            # Unpickling is safe here: this process wrote the file.
            device = models[0].device
            sources = [each.to(device) for each in torch.load(path, weights_only=False)]
        else:
            sources = [Pair.of(*models, each) for each in self._variants()]
        rows = [fit.rows(source) for source in sources]
        torch.save([each.progress.to("cpu") for each in rows], path)
        self._begun = True
        return [(each.inputs, each.outputs) for each in rows]

    def batches(self, models: _Models) -> Pair:
        """Return the batches of the undisplaced structures."""
        return Pair.of(*models, [self._structures[index] for index in self._members])

    def _variants(self) -> list[list[Structure]]:
        chunk = [self._structures[index] for index in self._members]
        if self._displacement is None:
            return [chunk]
        rng = np.random.default_rng([self._seed, self._members[0]])
        return [chunk, *_displaced(chunk, self._displacement, rng)]


class _Batches:
    """The undisplaced structures of several pieces, batch by batch."""

    def __init__(self, models: _Models, pieces: Sequence[_Piece]):
        self._models, self._pieces = models, pieces

    def __iter__(self) -> Iterator[Pair]:
        for piece in self._pieces:
            yield piece.batches(self._models)


class _Sums:
    """Sums over rows of products of inputs, of inputs with outputs, and of squared outputs."""

    def __init__(self, fit: LinearFit):
        self.gram: dict[str, Tensor] = {}
        self.cross: dict[str, Tensor] = {}
        self.square: dict[str, float] = {}
        for irrep, weight in fit.weights().items():
            inputs = len(weight)
            self.gram[irrep] = torch.zeros(inputs, inputs, dtype=torch.float64)
            self.cross[irrep] = torch.zeros(weight.shape, dtype=torch.float64)
            self.square[irrep] = 0.0

    def add(self, inputs: dict[str, Tensor], outputs: dict[str, Tensor], factor: float) -> None:
        """Add rows multiplied by a factor: irrep -> ``[rows, channels, 2 l + 1]``."""
        for irrep in self.gram:
            x = _as_rows(inputs[irrep]) * factor
            y = _as_rows(outputs[irrep]) * factor
            self.gram[irrep] += (x.T @ x).cpu()
            self.cross[irrep] += (x.T @ y).cpu()
            self.square[irrep] += float(y.square().sum())

    def left_over(self, irrep: str, weight: Tensor) -> float:
        """Return the unexplained fraction of the squared outputs for some weights."""
        explained = 2 * (weight * self.cross[irrep]).sum()
        explained -= (weight * (self.gram[irrep] @ weight)).sum()
        total = self.square[irrep]
        return float((total - explained) / total) if total > 0 else 0.0


def _solve(fit: LinearFit, train: _Sums, test: _Sums) -> list[FittedMap]:
    """Set a map's weights to the ridge solution that is best on held-out structures."""
    results, solutions = [], {}
    for irrep, old in fit.weights().items():
        old = old.double().cpu()
        errors = {
            ridge: test.left_over(
                irrep, _ridge_solution(train.gram[irrep], train.cross[irrep], old, ridge)
            )
            for ridge in RIDGES
        }
        ridge = min(errors, key=errors.__getitem__)
        before = test.left_over(irrep, old)
        if errors[ridge] >= before:  # no fit generalises to the held-out structures
            results.append(FittedMap(fit.name, irrep, float("inf"), before, before))
            continue
        solutions[irrep] = _ridge_solution(train.gram[irrep], train.cross[irrep], old, ridge)
        results.append(FittedMap(fit.name, irrep, ridge, before, errors[ridge]))
    fit.set_weights(solutions)
    for result in results:
        logger.info(
            "%s %s: unexplained fraction of the target %.4f -> %.4f, ridge %g",
            *(result.name, result.irrep, result.before, result.after, result.ridge),
        )
    return results


def _ridge_solution(gram: Tensor, cross: Tensor, old: Tensor, ridge: float) -> Tensor:
    """Minimise the squared error plus ridge times the squared change, scaled by the inputs."""
    squares = gram.diagonal()
    penalty = ridge * squares.clamp_min(_SMALLEST * squares.max().clamp_min(1e-300))
    return torch.linalg.solve(gram + torch.diag(penalty), cross + penalty[:, None] * old)


def _as_rows(features: Tensor) -> Tensor:
    """Reshape ``[rows, channels, 2 l + 1]`` to float64 ``[rows (2 l + 1), channels]``."""
    return features.double().transpose(1, 2).reshape(-1, features.shape[1])


def _displaced(
    structures: Iterable[Structure], deviation: float, rng: np.random.Generator
) -> tuple[list[Structure], list[Structure]]:
    """Return the structures displaced at random, and displaced in the opposite direction."""
    forth, back = [], []
    for structure in structures:
        step = rng.normal(0, deviation, structure.positions.shape)
        forth.append(replace(structure, positions=structure.positions + step))
        back.append(replace(structure, positions=structure.positions - step))
    return forth, back
