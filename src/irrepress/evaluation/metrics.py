"""Measure one model: everything that goes into ``metrics.json``."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from irrepress import __version__
from irrepress.core.family import Family
from irrepress.core.groups import widths_of
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.data.energy_fit import EnergyOffsets
from irrepress.data.store import StructureStore
from irrepress.evaluation.alignment import (
    BEYOND_DOUBT,
    Alignment,
    Setting,
    align,
    offsets_between,
    spread,
)
from irrepress.evaluation.checks import Checks, Deviations
from irrepress.evaluation.config import Evaluation
from irrepress.evaluation.errors import UNITS as UNITS_OF_ERRORS
from irrepress.evaluation.errors import compare_predictions
from irrepress.evaluation.records import AlignedEnergies, ErrorSets, MeasuredCost, Metrics
from irrepress.evaluation.subject import choose_subject
from irrepress.evaluation.symmetry import check_symmetry
from irrepress.evaluation.timing import reference_crystal, time_side_by_side
from irrepress.training.energy_shifts import energy_offsets

logger = logging.getLogger(__name__)

# Units of the values in metrics.json, by their keys.
UNITS: dict[str, Any] = {
    "errors": UNITS_OF_ERRORS,
    "alignment": {
        "constants": "eV",
        "before": "eV/atom",
        "after": "eV/atom",
        "unaligned": "eV/atom",
    },
    "cost": {
        "flops_per_atom": "floating-point operations",
        "file_bytes": "bytes",
        "packed_bytes": "bytes",
        "seconds": "s",
        "parent_seconds": "s",
        "spread": "distance of the quartiles of all rounds over their median",
    },
    "checks": {"deviations": "largest force", "largest_force": "eV/Å"},
}
# About the largest number of structures that constants per element are fitted to.
_ALIGNED = 4096
# Structures per element from which the evaluated split alone separates constants from errors.
_ENOUGH = 10


def measure_errors(
    model: Model,
    store: StructureStore,
    *,
    split: str = "test",
    teacher: StructureStore | None = None,
    parent: Model | None = None,
    alignment: Setting = "auto",
    knows_labels: bool = False,
    name: str = "the model",
    batch_size: int = 8,
) -> Metrics:
    """Errors on one split of a store.

    Args:
        model: the model.
        store: structures, each with the labels that it has.
        split: ``train``, ``valid`` or ``test``.
        teacher: the same structures labelled by the parent, for the agreement with it.
        parent: the parent itself, which is run on a part of the train split where ``teacher`` does
            not label it and the evaluated split alone is too small to fit constants to.
        alignment: whether constants per element are subtracted between the energies of labels
            and parent (or model, without a teacher); see `irrepress.evaluation.alignment`.
        knows_labels: the model was trained on these labels and has their reference energies.
            Constants then stand between it and the parent, not between it and the labels.
        name: what messages call the model.
        batch_size: structures per forward pass.

    Returns:
        The metrics without cost and checks. Quantities with predictions that are not finite have
        no errors.

    Raises:
        UserError: the split is empty, or constants are asked for and cannot be fitted.
    """
    indices = store.require(split)
    references = [teacher.iterate(indices)] if teacher is not None else []
    found = compare_predictions(model, store.iterate(indices), *references, batch_size=batch_size)
    labels = found.against[0]
    if teacher is not None:
        fitted = _align_parent(
            store,
            teacher,
            split,
            alignment,
            run=None if parent is None else partial(energy_offsets, parent),
        )
    else:
        fitted = align(labels.offsets, alignment, f"this model, {split} split")
    constants = fitted.constants if fitted is not None and fitted.applied else {}
    opposite = {number: -energy for number, energy in constants.items()}
    errors = {"labels": labels.result({} if knows_labels else constants)}
    if teacher is not None:
        errors["parent"] = found.against[1].result(opposite if knows_labels else {})
    logger.info("%s", found.labels)
    if fitted is not None:
        logger.info("%s", fitted.told)
    if found.failures:
        logger.error("%s", found.failures.message(name))
    unaligned = {key: labels.result()[key] for key in ("energy_mae", "energy_rmse")}
    return Metrics(
        dataset=Path(store.path).stem,
        split=split,
        labels=store.info.labels,
        structures=found.labels.structures,
        atoms=found.atoms,
        units=UNITS,
        labelled=found.labels,
        errors=ErrorSets(**errors),
        failures=found.failures.record(),
        alignment=None
        if fitted is None
        else AlignedEnergies(**fitted.record(), knows_labels=knows_labels, unaligned=unaligned),
    )


def _align_parent(
    store: StructureStore,
    teacher: StructureStore,
    split: str,
    setting: Setting,
    run: Callable[[StructureStore, np.ndarray], EnergyOffsets] | None = None,
) -> Alignment | None:
    """Fit constants between the parent and the labels: to the train part where it can be had.

    Args:
        store: with the labels.
        teacher: the same structures labelled by the parent, some parts at least.
        split: the split that is evaluated.
        setting: see `align`.
        run: runs the parent on structures of the store; None: only the teacher is used.
    """

    def teacher_offsets(part: str) -> EnergyOffsets:
        indices = spread(store.splits[part], _ALIGNED)
        return offsets_between(teacher.iterate(indices), store.iterate(indices))

    offsets = teacher_offsets("train")
    if len(offsets):
        return align(offsets, setting, "the parent, train split")
    offsets, fitted_to = teacher_offsets(split), f"the parent, {split} split"
    far = len(offsets) > 0 and offsets.mean_absolute() >= BEYOND_DOUBT
    few = len(offsets) < _ENOUGH * len(store.elements)
    if run is not None and few and (setting == "always" or (setting == "auto" and far)):
        sample = spread(store.splits["train"], _ENOUGH * len(store.elements))
        of_train = run(store, sample)
        if len(of_train) > len(offsets):
            offsets, fitted_to = of_train, "the parent, a part of the train split"
    return align(offsets, setting, fitted_to)


def measure_cost(
    model: Model,
    parent: Model,
    settings: Evaluation,
    *,
    model_path: Path,
    packed_path: Path | None = None,
    plan: Plan | None = None,
) -> MeasuredCost:
    """Parameters, FLOPs, file sizes, kept blocks, and time side by side with the parent.

    Args:
        model: the model.
        parent: the uncompressed model, on the same device; the same object if the model is the
            parent.
        settings: size of the timed crystal, and least number of rounds.
        model_path: the native file, whose size is recorded.
        packed_path: the packed file of a quantized model.
        plan: the plan the model was narrowed by; None for the parent.
    """
    groups = model.groups()
    cost = model.cost_model()(widths_of(groups))
    total = sum(g.channels for g in parent.groups())
    crystal = reference_crystal(model.elements, settings.timing_atoms)
    timed = [model] if model is parent else [model, parent]
    times = time_side_by_side(timed, crystal, repeats=settings.timing_repeats)
    if times.busy:
        logger.warning(
            "the machine is busy (%s): times are rough; ratios of times are better known",
            times.busy,
        )
    return MeasuredCost(
        parameters=model.parameter_count(),
        flops_per_atom=cost.flops,
        file_bytes=model_path.stat().st_size,
        packed_bytes=packed_path.stat().st_size if packed_path else None,
        kept_blocks=plan.kept_blocks() if plan else total,
        total_blocks=total,
        timing_atoms=len(crystal),
        timing_rounds=times.rounds,
        code=model.family.own_code(),
        seconds=times.seconds[0],
        seconds_spread=times.spreads[0],
        parent_seconds=times.seconds[-1],
        parent_seconds_spread=times.spreads[-1],
        time_ratio=times.ratios[0],
        time_ratio_spread=times.ratio_spreads[0],
        busy=times.busy,
        device=str(model.device),
        threads=torch.get_num_threads(),
    )


def measure_symmetry(
    family: Family, path: Path, store: StructureStore, *, modal: str | None, seed: int = 0
) -> Checks:
    """Symmetry and finite-difference checks of a saved model in float64 on the CPU.

    They are made on the family's own code, as users of the file run it, and on ours, which scores
    and trains.

    Args:
        path: the saved model.
        store: structures that its elements occur in; see `choose_subject`.
        modal: the level of theory that the model is used for.
        seed: seed for everything random.
    """
    model = family.load(path, modal=modal, dtype=torch.float64)
    structure, chosen = choose_subject(model, store, seed=seed)
    codes = {True: family.own_code(), False: f"irrepress {__version__}"}
    own, faster = (
        Deviations(code=code, **check_symmetry(model, structure, seed=seed, native=native))
        for native, code in codes.items()
    )
    reflections = model.has_reflections()
    checks = Checks(structure=chosen, reflections=reflections, own=own, faster=faster)
    for failure in checks.failures():
        logger.warning("%s has not passed: %s", path, failure)
    return checks
