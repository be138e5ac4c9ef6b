"""Measurements on one model: the content of ``metrics.json``."""

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
from irrepress.deploy.runtimes import check_runtime, code_of
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
from irrepress.evaluation.records import (
    AlignedEnergies,
    ErrorSets,
    MeasuredCost,
    Metrics,
    RuntimeCost,
)
from irrepress.evaluation.subject import choose_subject
from irrepress.evaluation.symmetry import check_symmetry
from irrepress.evaluation.timing import Timings, reference_crystal, time_side_by_side
from irrepress.pruning.config import Runtime
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
# Approximate maximum number of structures that constants per element are fitted to.
_ALIGNED = 4096
# Structures per element from which the evaluated split is sufficient to fit constants.
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
    """Return the errors of a model on one split of a store.

    Args:
        model: the model.
        store: structures, each with the labels that it has.
        split: ``train``, ``valid`` or ``test``.
        teacher: the same structures labelled by the parent, for errors against the parent.
        parent: the parent itself. It is run on part of the train split if ``teacher`` does not
            label that split and the evaluated split is too small to fit constants.
        alignment: whether to subtract constants per element between the energies of the labels and
            of the parent (without a teacher, of the model); see `irrepress.evaluation.alignment`.
        knows_labels: whether the model was trained on these labels and has their reference
            energies. Constants are then applied between the model and the parent, not the labels.
        name: name of the model in messages.
        batch_size: number of structures per forward pass.

    Returns:
        The metrics without cost and checks. Errors of a quantity are None if any of its predictions
        is not finite.

    Raises:
        UserError: if the split is empty, or ``alignment`` is ``always`` and constants cannot be
            fitted.
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
    """Fit constants between the parent and the labels, to the train split if possible.

    Args:
        store: structures with labels.
        teacher: the same structures, at least some splits of which the parent has labelled.
        split: the split to evaluate.
        setting: see `align`.
        run: function that runs the parent on structures of the store; None: only use the teacher.
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
            offsets, fitted_to = of_train, "the parent, part of the train split"
    return align(offsets, setting, fitted_to)


def measure_cost(
    model: Model,
    parent: Model,
    settings: Evaluation,
    *,
    model_path: Path,
    packed_path: Path | None = None,
    plan: Plan | None = None,
    runtime: Runtime = "native",
) -> MeasuredCost:
    """Return parameters, FLOPs, file sizes, kept blocks, and time relative to the parent.

    Args:
        model: the model.
        parent: the unpruned model, on the same device; the same object if the model is the parent.
        settings: size of the timed crystal and minimum number of rounds.
        model_path: the native file, whose size is recorded.
        packed_path: the packed file of a quantized model.
        plan: the plan that the model was narrowed by; None for the parent.
        runtime: a runtime of deployments that both are timed in besides; ``native``: none.

    Raises:
        UserError: if the runtime does not take the model.
    """
    groups = model.groups()
    cost = model.cost_model()(widths_of(groups))
    total = sum(g.channels for g in parent.groups())
    crystal = reference_crystal(model.elements, settings.timing_atoms)
    timed = [model] if model is parent else [model, parent]
    times = time_side_by_side(timed, crystal, repeats=settings.timing_repeats)
    _tell_if_busy(times)
    deployed = None
    if runtime != "native":
        check_runtime(model, runtime, "sweep.runtime")
        there = time_side_by_side(timed, crystal, repeats=settings.timing_repeats, runtime=runtime)
        _tell_if_busy(there)
        deployed = RuntimeCost(
            runtime=runtime,
            code=code_of(model, runtime),
            seconds=there.seconds[0],
            parent_seconds=there.seconds[-1],
            time_ratio=there.ratios[0],
            time_ratio_spread=there.ratio_spreads[0],
            busy=there.busy,
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
        deployed=deployed,
    )


def _tell_if_busy(times: Timings) -> None:
    if times.busy:
        logger.warning(
            "the machine is busy (%s): times are unreliable; ratios of times less so",
            times.busy,
        )


def measure_symmetry(
    family: Family, path: Path, store: StructureStore, *, modal: str | None, seed: int = 0
) -> Checks:
    """Return symmetry and finite-difference checks of a saved model in float64 on the CPU.

    They are run on the family's own code, which users of the file run, and on irrepress's, which is
    used for scoring and training.

    Args:
        path: the saved model.
        store: structures to choose from; see `choose_subject`.
        modal: the level of theory of a multi-modal model.
        seed: seed for strain, displacements, rotation, shift and permutation.
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
        logger.warning("%s failed a check: %s", path, failure)
    return checks
