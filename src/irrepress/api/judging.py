"""Potentials judged side by side on structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from irrepress.api.comparison import ComparedModel, Comparison
from irrepress.api.frames import Frames
from irrepress.core.errors import UserError
from irrepress.core.label_counts import LabelCounts
from irrepress.core.model import Model
from irrepress.core.structure import Structure
from irrepress.data.checks import check_elements
from irrepress.deploy.runtimes import code_of
from irrepress.evaluation.alignment import Setting
from irrepress.evaluation.direct import align_with_store
from irrepress.evaluation.errors import ErrorAccumulator
from irrepress.evaluation.predictions import Failures, label
from irrepress.evaluation.timing import reference_crystal, time_side_by_side
from irrepress.pruning.config import Runtime
from irrepress.study.cards import UNKNOWN_LEVEL

Part = Literal["auto", "all", "train", "valid", "test"]


@dataclass(frozen=True)
class Subject:
    """A model to judge.

    Attributes:
        name: what it is called.
        model: the model.
        stages: what was done to it.
        descends: whether it was made from the model that it is compared with.
    """

    name: str
    model: Model
    stages: Sequence[dict[str, Any]]
    descends: bool = False

    def has_seen(self, frames: Frames) -> bool:
        """Whether it was fitted to or trained on some of the structures."""
        return any(stage.get("data_sha256") == frames.identity for stage in self.stages)

    def knows_labels(self, frames: Frames) -> bool:
        """Whether it was trained on labels of this kind, and so has their reference energies."""
        for stage in self.stages:
            if "labels" not in stage or stage.get("label_fraction", 1) == 0:
                continue
            if stage["labels"] == frames.store.info.labels != UNKNOWN_LEVEL:
                return True
            if stage.get("data_sha256", "") == frames.identity:
                return True
        return False


def judged_part(subjects: Sequence[Subject], frames: Frames, part: Part) -> tuple[str | None, str]:
    """Return the part of frames to judge on, None for all, and what it is in words.

    Args:
        subjects: the models.
        frames: the structures.
        part: ``auto``: the test part if a model has seen the others, else all.
    """
    if part == "auto":
        seen = [subject.name for subject in subjects if subject.has_seen(frames)]
        if not seen:
            return None, frames.name
        if not len(frames.store.splits["test"]):
            return None, f"{frames.name}, on which {seen[0]} was made: there is no test part"
        return "test", f"{frames.name}, test part"
    if part == "all":
        return None, frames.name
    frames.store.require(part)
    return part, f"{frames.name}, {part} part"


def compare(
    subjects: Sequence[Subject],
    frames: Frames,
    part: Part = "auto",
    *,
    alignment: Setting = "auto",
    batch_size: int = 8,
    timing: tuple[int, int] | None = None,
    runtime: Runtime = "native",
) -> Comparison:
    """Compare models on the same structures, the one that others are compared with last.

    Energies of labels may be of another level of theory. Constants per element are then fitted to
    the last model, so that what was done to the energies of models that descend from it stays
    visible; models that were trained on the labels need none, and others have their own.

    Args:
        subjects: the models.
        frames: the structures.
        part: see `judged_part`.
        alignment: see `irrepress.evaluation.alignment.align`.
        batch_size: structures per forward pass.
        timing: atoms of the crystal to time and least number of rounds; None: nothing is timed.
        runtime: what they are timed in, which takes all of them.

    Raises:
        UserError: an element that a model does not know, nothing to compare with, or a part that
            is empty.
    """
    split, source = judged_part(subjects, frames, part)
    store = frames.store
    for subject in subjects:
        check_elements(store.elements, subject.model.elements, f"{frames.name} and {subject.name}")
    structures = list(store.iterate(None if split is None else store.splits[split]))
    if len(subjects) < 2 and not _has_labels(structures):
        raise UserError(
            f"{frames.name}: has no labels, and {subjects[0].name} no parent to be compared with; "
            "label the structures, or name the keys of their labels (keys=...)"
        )
    remarks = [str(LabelCounts.of(structures))] if _has_labels(structures) else []
    predicted = []
    for subject in subjects:
        failures = Failures()
        options: dict[str, Any] = {"batch_size": batch_size, "failures": failures}
        predicted.append(list(label(subject.model, structures, **options)))
        if failures:
            remarks.append(failures.message(subject.name))
    found = [_accumulated(own, structures) for own in predicted]

    def fitted(subject: Subject, errors: ErrorAccumulator) -> dict[int, float]:
        if subject.knows_labels(frames):
            return {}
        result = align_with_store(
            subject.model, store, split, errors.offsets, alignment, batch_size=batch_size
        )
        if result is not None and result.worth_telling:
            remarks.append(f"{subject.name}: {result.told}")
        return result.constants if result is not None and result.applied else {}

    constants = fitted(subjects[-1], found[-1])
    models = []
    for subject, errors in zip(subjects, found, strict=True):
        if subject is subjects[-1] or (subject.descends and not subject.knows_labels(frames)):
            own = constants
        else:
            own = fitted(subject, errors)
        models.append(ComparedModel.of(subject.name, subject.model, errors.result(own)))
    agreement = None
    if len(subjects) > 1:
        knows = subjects[0].knows_labels(frames)
        opposite = {number: -energy for number, energy in constants.items()} if knows else {}
        agreement = _accumulated(predicted[0], predicted[-1]).result(opposite)
    comparison = Comparison(models, len(structures), source, agreement, "", remarks)
    return comparison if timing is None else _timed(comparison, subjects, *timing, runtime)


def _accumulated(
    predicted: Sequence[Structure], references: Sequence[Structure]
) -> ErrorAccumulator:
    errors = ErrorAccumulator()
    for own, reference in zip(predicted, references, strict=True):
        errors.add(own, reference)
    return errors


def _has_labels(structures: Sequence[Structure]) -> bool:
    return any(np.isfinite(s.energy) or np.isfinite(s.forces).all() for s in structures)


def _timed(
    comparison: Comparison, subjects: Sequence[Subject], atoms: int, repeats: int, runtime: Runtime
) -> Comparison:
    """Add times, measured in turn on a crystal of an element that all models know."""
    shared = sorted(set.intersection(*(set(subject.model.elements) for subject in subjects)))
    if not shared:
        told = "the models know no element in common, so that none was timed"
        return replace(comparison, remarks=[*comparison.remarks, told])
    crystal = reference_crystal(shared, atoms)
    models = [subject.model for subject in subjects]
    times = time_side_by_side(models, crystal, repeats=repeats, runtime=runtime)
    timed = [
        replace(model, seconds=seconds, time_ratio=ratio)
        for model, seconds, ratio in zip(
            comparison.models, times.seconds, times.ratios, strict=True
        )
    ]
    codes = " and ".join(dict.fromkeys(code_of(model, runtime) for model in models))
    device, threads = models[-1].device, torch.get_num_threads()
    told = (
        f"energy, forces and stress of {len(crystal)} atoms by {codes} on {device}, "
        f"{threads} thread{'s' * (threads != 1)}, {times.rounds} rounds"
    )
    busy = [f"the machine is busy ({times.busy}): times are rough"] if times.busy else []
    return replace(comparison, models=timed, timed=told, remarks=[*comparison.remarks, *busy])
