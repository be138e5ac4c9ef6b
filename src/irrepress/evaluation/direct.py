"""Errors of a model on a store or a file, outside a study."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import units

from irrepress.core.errors import UserError
from irrepress.core.label_counts import LabelCounts
from irrepress.core.model import Model
from irrepress.core.quantities import QUANTITIES
from irrepress.core.structure import Structure
from irrepress.data.checks import check_elements
from irrepress.data.energy_fit import EnergyOffsets
from irrepress.data.reading import Reading
from irrepress.data.store import StructureStore
from irrepress.evaluation.alignment import BEYOND_DOUBT, Alignment, Setting, align, spread
from irrepress.evaluation.errors import UNITS, Comparisons, compare_predictions
from irrepress.training.energy_shifts import energy_offsets

# Printed units: quantity -> unit, and the factor from the unit in `UNITS`.
PRINTED = {
    "energy": ("meV/atom", 1e3),
    "forces": ("meV/Å", 1e3),
    "stress": ("GPa", 1 / units.GPa),
}
# Maximum number of train structures that constants per element are fitted to.
_ALIGNED = 512


@dataclass(frozen=True)
class LabelledEvaluation:
    """The result of comparing a model with labels.

    Attributes:
        found: the comparison.
        alignment: constants between the labels and the model; None without energies.

    Example:
        >>> result = evaluate_store(model, store, "test")
        >>> sorted(result.errors)[:2], result.found.labels.structures
        (['energy_mae', 'energy_rmse'], 1)
    """

    found: Comparisons
    alignment: Alignment | None

    @property
    def errors(self) -> dict[str, float | None]:
        """Errors in `UNITS`; energy errors are after alignment if it was applied."""
        labels, alignment = self.found.against[0], self.alignment
        if alignment is None or not alignment.applied:
            return labels.result()
        return labels.result(alignment.constants)

    @property
    def unaligned(self) -> dict[str, float | None]:
        """Errors in `UNITS`, without alignment of energies."""
        return self.found.against[0].result()

    @property
    def aligned(self) -> bool:
        """Whether constants per element were subtracted from the energies."""
        return self.alignment is not None and self.alignment.applied

    def record(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        alignment = None
        if self.alignment is not None:
            unaligned = {key: self.unaligned[key] for key in ("energy_mae", "energy_rmse")}
            alignment = self.alignment.record() | {"unaligned": unaligned}
        return {
            "structures": self.found.labels.structures,
            "atoms": self.found.atoms,
            "units": {
                "errors": UNITS,
                "alignment": {
                    "constants": "eV",
                    **dict.fromkeys(("before", "after", "unaligned"), UNITS["energy"]),
                },
            },
            "labelled": asdict(self.found.labels),
            "errors": self.errors,
            "failures": self.found.failures.record(),
            "alignment": alignment,
        }

    def rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Yield quantity, MAE, RMSE, their unit, and the number of labelled structures."""
        for name in QUANTITIES:
            aligned = name == "energy" and self.aligned
            yield self._row("energy, aligned" if aligned else name, name, self.errors)
            if aligned:
                yield self._row("energy, not aligned", name, self.unaligned)

    def remarks(self) -> Iterator[str]:
        """Yield the numbers of labels, and whether energies were aligned or should be."""
        yield str(self.found.labels)
        if self.alignment is not None and self.alignment.worth_telling:
            yield self.alignment.told

    def _row(
        self, title: str, name: str, errors: dict[str, float | None]
    ) -> tuple[str, str, str, str, str]:
        unit, factor = PRINTED[name]
        labelled = getattr(self.found.labels, name)
        # Failures count even without labels: a model must predict all quantities.
        absent = "not finite" if name in self.found.failures.quantities else "no labels"
        values = (errors[f"{name}_{kind}"] for kind in ("mae", "rmse"))
        mae, rmse = (absent if value is None else f"{factor * value:,.4g}" for value in values)
        return (title, mae, rmse, unit, f"{labelled:,}")


def evaluate_store(
    model: Model,
    store: StructureStore,
    split: str | None = None,
    *,
    alignment: Setting = "auto",
    batch_size: int = 8,
) -> LabelledEvaluation:
    """Compare a model with the labels of a store or of one of its splits.

    Constants between levels of theory are fitted to the store's train split if another split is
    evaluated, otherwise to the evaluated structures.

    Args:
        model: the model.
        store: structures, each with the labels that it has.
        split: ``train``, ``valid`` or ``test``; None: all structures.
        alignment: see `irrepress.evaluation.alignment.align`.
        batch_size: number of structures per forward pass.

    Raises:
        UserError: if the split is empty, there are no labels, or the model does not know an
            element.
    """
    indices = np.arange(len(store)) if split is None else store.require(split)
    unknown = set(store.elements) - set(model.elements)
    if unknown:
        places = (f"{store.path}: structure {index}" for index in indices)
        _check_elements(zip(places, store.iterate(indices), strict=True), model)
    _check_labels(store.count_labels(indices), str(store.path))
    found = compare_predictions(model, store.iterate(indices), batch_size=batch_size)
    offsets = found.against[0].offsets
    if found.failures:
        split = None  # what is not finite on some structures is not to be run on others
    return LabelledEvaluation(
        found, align_with_store(model, store, split, offsets, alignment, batch_size=batch_size)
    )


def align_with_store(
    model: Model,
    store: StructureStore,
    split: str | None,
    offsets: EnergyOffsets,
    setting: Setting,
    *,
    batch_size: int = 8,
) -> Alignment | None:
    """Fit constants between labels and a model: to the train part if another one is evaluated.

    Args:
        model: the model.
        store: structures with labels.
        split: the part that is evaluated; None: all.
        offsets: differences of the energies of that part, labels minus predictions.
        setting: see `irrepress.evaluation.alignment.align`.
        batch_size: structures per forward pass.

    Returns:
        None if there are no energies to compare.
    """
    fitted_to = "this model, the same structures"
    train = store.splits["train"]
    apart = split in ("valid", "test") and len(train)
    far = len(offsets) and offsets.mean_absolute() >= BEYOND_DOUBT
    if apart and setting != "never" and (far or setting == "always"):
        sample = spread(train, _ALIGNED)
        of_train = energy_offsets(model, store, sample, batch_size=batch_size)
        if len(of_train):
            offsets, fitted_to = of_train, "this model, train split"
    return align(offsets, setting, fitted_to)


def evaluate_files(
    model: Model,
    reading: Reading,
    source: str,
    *,
    alignment: Setting = "auto",
    batch_size: int = 8,
) -> LabelledEvaluation:
    """Compare a model with the labels of files.

    All frames are read before the first prediction, so that errors in the files are reported before
    time is spent.

    Args:
        model: the model.
        reading: the files to read; its notes are complete afterwards.
        source: name of the files in messages.
        alignment: see `irrepress.evaluation.alignment.align`; fitted to the frames themselves.
        batch_size: number of structures per forward pass.

    Raises:
        UserError: if a frame is invalid, there are no labels, or the model does not know an
            element; the message names file and frame.
    """
    frames = list(reading.located())
    _check_elements(frames, model)
    structures = [structure for _, structure in frames]
    _check_labels(LabelCounts.of(structures), source)
    found = compare_predictions(model, structures, batch_size=batch_size)
    return LabelledEvaluation(
        found, align(found.against[0].offsets, alignment, "this model, the same structures")
    )


def _check_elements(located: Iterable[tuple[str, Structure]], model: Model) -> None:
    """Check that the model knows all elements; the error names the first structure that fails."""
    known = set(model.elements)
    first, elements, count = "", set(), 0
    for where, structure in located:
        unknown = set(structure.numbers.tolist()) - known
        if unknown:
            first, count = first or where, count + 1
            elements |= unknown
    if count:
        more = f" (and {count - 1:,} more such frames)" if count > 1 else ""
        check_elements(elements, known, f"{first}{more}")


def _check_labels(counts: LabelCounts, source: str) -> None:
    if not any(getattr(counts, name) for name in QUANTITIES):
        raise UserError(
            f"{source}: there are no labels to compare with ({counts}); give the keys of the "
            "labels (--energy-key, --forces-key, --stress-key), or label the structures"
        )
