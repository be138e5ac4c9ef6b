"""Predictions for many structures, as labels."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from irrepress.core.batching import in_limited_batches
from irrepress.core.errors import UserError
from irrepress.core.family import Evaluator
from irrepress.core.model import Model
from irrepress.core.quantities import QUANTITIES
from irrepress.core.structure import Structure

# Large models need about 10 MB per atom, and on CPUs larger batches are no faster per atom.
ATOMS_PER_BATCH = 256
# Maximum number of failed structures named in messages.
_MOST_NAMED = 5


@dataclass
class Failures:
    """Structures for which a prediction is NaN or infinite.

    Attributes:
        structures: number of such structures.
        quantities: quantity -> number of structures for which it is not finite, if any.
        first: index in the order of prediction, and formula, of the first few.

    Example:
        >>> from ase.build import molecule
        >>> failures = Failures()
        >>> failures.add(0, Structure.unlabelled(molecule("H2O")))
        >>> failures.structures, failures.quantities, failures.first
        (1, {'energy': 1, 'forces': 1}, [(0, 'H2O')])
    """

    structures: int = 0
    quantities: dict[str, int] = field(default_factory=dict)
    first: list[tuple[int, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.structures > 0

    def add(self, index: int, predicted: Structure) -> None:
        """Check one structure whose labels are predictions.

        Energy and forces are defined for every structure, stress only if the cell is periodic along
        all three vectors.
        """
        wrong = [name for name in QUANTITIES if _is_wrong(predicted, name)]
        if not wrong:
            return
        self.structures += 1
        for name in wrong:
            self.quantities[name] = self.quantities.get(name, 0) + 1
        if len(self.first) < _MOST_NAMED:
            self.first.append((index, predicted.to_atoms().get_chemical_formula()))

    def message(self, model: str) -> str:
        """Return one sentence that names the model, the quantities and the first structures.

        Args:
            model: name of the model in the message.
        """
        named = ", ".join(f"structure {index} ({formula})" for index, formula in self.first)
        more = ", ..." if self.structures > len(self.first) else ""
        what = " and ".join(self.quantities)
        count = f"{self.structures:,} structure{'s' * (self.structures != 1)}"
        return (
            f"{model}: the predicted {what} of {count} are not finite: "
            f"{named}{more}; the model is damaged or diverged in training"
        )

    def record(self) -> dict[str, Any]:
        """Return plain data, as stored in metrics.json."""
        return {
            "structures": self.structures,
            "quantities": dict(self.quantities),
            "first": [index for index, _ in self.first],
        }


def label(
    model: Model,
    structures: Iterable[Structure],
    *,
    batch_size: int = 8,
    name: str | None = None,
    failures: Failures | None = None,
    native: bool = False,
    evaluator: Evaluator | None = None,
) -> Iterator[Structure]:
    """Yield the structures with their labels replaced by the model's predictions.

    Args:
        model: the model.
        structures: any iterable; only one batch is held in memory at a time.
        batch_size: number of structures per forward pass; fewer if they are large.
        name: name of the model in messages.
        failures: collects predictions that are not finite instead of raising an error.
        native: whether to run the code of the family's package; see
            `irrepress.core.model.Model.predict`.
        evaluator: code for single structures that takes the place of batches; see
            `irrepress.core.evaluator.faster_evaluator`. It pays from a few structures on, because
            making it takes as long as predicting some.

    Yields:
        The structures in the same order. Stress is NaN if the cell is not periodic along all three
        vectors, because its definition needs a volume.

    Raises:
        UserError: if a prediction is not finite and ``failures`` is None.
    """
    found = failures if failures is not None else Failures()
    index = 0
    if evaluator is not None:
        batch_size = 1
    for chunk in in_limited_batches(structures, batch_size, ATOMS_PER_BATCH):
        if evaluator is not None:
            prediction = evaluator(chunk[0])
        else:
            prediction = model.predict(model.batch(chunk), native=native)
        energy = prediction.energy.double().cpu().numpy()
        stress = prediction.stress.double().cpu().numpy()
        ends = np.cumsum([len(structure) for structure in chunk])[:-1]
        forces = np.split(prediction.forces.double().cpu().numpy(), ends)
        for i, structure in enumerate(chunk):
            labelled = replace(
                structure,
                energy=float(energy[i]),
                forces=forces[i],
                stress=stress[i] if structure.pbc.all() else np.full(6, np.nan),
            )
            found.add(index, labelled)
            if found and failures is None:
                raise UserError(found.message(name or f"this {model.family.name} model"))
            index += 1
            yield labelled


def _is_wrong(predicted: Structure, quantity: str) -> bool:
    if quantity == "stress" and not predicted.pbc.all():
        return False
    return not np.all(np.isfinite(getattr(predicted, quantity)))
