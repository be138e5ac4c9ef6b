"""The steps from a parent to a compressed model, each with the record of it for the card."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.data.checks import checked
from irrepress.data.layout import StoreInfo
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.evaluation.alignment import require_one_level
from irrepress.evaluation.labeller import Labeller
from irrepress.pruning.compensation import FittedMap, compensate
from irrepress.pruning.config import Compensation
from irrepress.pruning.elements import keep_elements
from irrepress.training.config import OF_THE_MACHINE, Distillation, Training
from irrepress.training.energy_shifts import fit_energy_shifts
from irrepress.training.features import FeatureGuide
from irrepress.training.trainer import TrainingResult

Stage = dict[str, Any]


def labels_by(family: str, checkpoint: str, modal: str | None) -> str:
    """Return what stores, metrics and the report call the labels of a model."""
    return f"{family} {checkpoint}" + (f" ({modal})" if modal else "")


def pruned_stage(plan: Plan, name: str, digest: str) -> Stage:
    """Return the record of a narrowed model.

    Args:
        plan: the plan that it was narrowed by.
        name: what the plan is called.
        digest: SHA-256 of the plan's file.
    """
    return {
        "stage": "pruned",
        "plan": name,
        "plan_sha256": digest,
        "provenance": dict(plan.provenance),
        **({"edited": list(plan.edits)} if plan.edits else {}),
    }


def compensate_on(
    parent: Model,
    model: Model,
    plan: Plan,
    store: StructureStore,
    settings: Compensation,
    *,
    seed: int,
    work_dir: Path,
) -> tuple[list[FittedMap], Stage]:
    """Fit the kept weights of a narrowed model to its parent's features, in place.

    Args:
        parent: the parent.
        model: the narrowed model, on the parent's device.
        plan: the plan that it was narrowed by.
        store: calibration structures; some of the train part are taken.
        settings: how many, and how they are used.
        seed: seed for everything random.
        work_dir: directory for features between the fits.

    Returns:
        The fits, and the record of the stage.

    Raises:
        UserError: if the train split is empty.
    """
    train = store.require("train")
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(train)[: settings.structures])
    fits = compensate(
        parent,
        model,
        plan,
        store,
        chosen,
        batch_size=settings.batch_size,
        derivative_weight=settings.derivative_weight,
        displacement=settings.displacement,
        seed=seed,
        work_dir=work_dir,
    )
    return fits, {
        "stage": "compensated",
        "dataset": settings.dataset,
        "structures": len(chosen),
        "settings": settings.model_dump(mode="json", exclude={"dataset", "structures"}),
        "seed": seed,
    }


def teach(
    parent: Labeller,
    store: StructureStore,
    path: str | Path,
    *,
    parts: Sequence[str],
    seed: int,
) -> int:
    """Write a store with the labels of a parent: the teacher of a distillation.

    Labels of a large parent cost more than all the rest of some studies: structures of other
    parts have none.

    Args:
        parent: the parent, which labels.
        store: the structures.
        path: the new store, with the same structures and parts.
        parts: the parts to label.
        seed: seed that the store records.

    Returns:
        How many structures were labelled.

    Raises:
        UserError: if a prediction is not finite.
    """
    wanted = np.concatenate([store.splits[part] for part in parts])
    labelled = parent.label(store.iterate(np.sort(wanted)))
    info = replace(store.info, labels=parent.name, reference_energies={})
    structures = _among_all(store, labelled, wanted)
    write_store(path, structures, info, store.splits, seed, total=len(store))
    return len(wanted)


def label_dataset(
    labeller: Labeller,
    store: StructureStore,
    path: str | Path,
    info: StoreInfo,
    *,
    name: str,
    seed: int,
) -> int:
    """Write a store with a model's labels of the structures in the splits of another store.

    Structures in no split, such as those beyond the maximum sizes, are left out.

    Args:
        labeller: the model that labels.
        store: the structures; their own labels are dropped.
        path: the new store, with the same splits.
        info: origin of the structures and of the labels.
        name: what messages call the dataset.
        seed: seed that the store records.

    Returns:
        How many structures were labelled.

    Raises:
        UserError: if a label is not finite or absurd.
    """
    members = np.sort(np.concatenate(list(store.splits.values())))
    splits = {part: np.searchsorted(members, found) for part, found in store.splits.items()}
    labelled = labeller.label(store.iterate(members))
    write_store(path, checked(labelled, name), info, splits, seed, total=len(members))
    return len(members)


def _among_all(
    store: StructureStore, labelled: Iterator[Structure], wanted: np.ndarray
) -> Iterator[Structure]:
    """Yield the structures of a store in their order, without labels where none are wanted."""
    is_wanted = np.zeros(len(store), dtype=bool)
    is_wanted[wanted] = True
    for structure, taken in zip(store.iterate(), is_wanted, strict=True):
        yield next(labelled) if taken else structure.without_labels()


def begin_fine_tuning(
    model: Model,
    store: StructureStore,
    source: str,
    *,
    restrict_elements: bool,
    fresh_seed: int | None = None,
) -> tuple[Model, Stage]:
    """Return what a fine-tuning on a dataset begins with.

    The dataset may be of another level of theory, whose energies differ by a constant for every
    element: the model gets it for nothing, and so does one from scratch, so that they are compared
    fairly.

    Args:
        model: the model; its energies are shifted in place where nothing else is changed.
        store: the dataset.
        source: what the record calls it.
        restrict_elements: whether the model keeps the elements of the dataset alone, which loses
            nothing, where its family can leave elements out.
        fresh_seed: seed for new random weights; None: the model keeps its own.

    Returns:
        The model, and the beginning of the stage's record.
    """
    record = None
    if restrict_elements:
        model, record = keep_elements(model, store.elements, source)
    if fresh_seed is not None:
        model = model.fresh(fresh_seed)
    shifts = fit_energy_shifts(model, store)
    model.shift_energies(shifts)
    return model, {"restricted": record, "energy_shifts": {str(z): e for z, e in shifts.items()}}


def distillation_options(
    settings: Distillation,
    store: StructureStore,
    teacher: StructureStore,
    guide: FeatureGuide | None,
    parent: Model | None = None,
) -> dict[str, Any]:
    """Return what a distillation takes beside the settings of a training.

    Args:
        settings: its settings.
        store: the structures, with the labels of the dataset.
        teacher: the same structures labelled by the parent.
        guide: the parent's features, if they are followed.
        parent: the parent, if it computes further targets before training.

    Raises:
        UserError: if labels to be mixed contradict each other.
    """
    if 0 < settings.label_fraction < 1:
        require_one_level(store, teacher)
    return {
        "teacher": teacher,
        "label_fraction": settings.label_fraction,
        "guide": guide,
        "parent": parent if settings.has_targets else None,
    }


def trained_stage(
    result: TrainingResult, store: StructureStore, settings: Training, seed: int
) -> Stage:
    """Return the record of a training, without the name of the stage.

    Args:
        result: what came of it.
        store: what it was trained on.
        settings: its settings.
        seed: its seed.
    """
    return {
        "dataset": Path(store.path).stem,
        "labels": store.info.labels,
        "settings": settings.model_dump(mode="json", exclude={"dataset", *OF_THE_MACHINE}),
        "steps": result.steps,
        "best_valid_loss": result.best_valid_loss,
        # Which weights the model has: those that training began with, if none were better.
        "kept": "start" if result.kept_start else "best",
        "seconds": result.seconds,
        "seed": seed,
    }
