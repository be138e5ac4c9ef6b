"""Refinement of a potential in rounds of its own dynamics."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from irrepress.api.frames import AnyPath, Frames
from irrepress.api.working import told_when_stopped
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.data.store import StructureStore
from irrepress.evaluation.labeller import Labeller
from irrepress.study.refinement import RefinementResult, refine
from irrepress.study.steps import teach
from irrepress.training.config import Refinement
from irrepress.training.features import FeatureGuide
from irrepress.training.lock import locked


def refined(
    model: Model,
    parent: Model,
    plan: Plan,
    frames: Frames,
    starts: Frames,
    settings: Refinement,
    *,
    labels: str,
    seed: int,
    work_dir: AnyPath | None,
) -> tuple[RefinementResult, pd.DataFrame, dict[str, Any]]:
    """Refine a pruned model, and return the result, the training curve and the stage's record.

    Args:
        model: the model; it is not changed.
        parent: the model that it was pruned from, on the same device.
        plan: the plan that it was pruned by.
        frames: structures to train on beside those of the dynamics.
        starts: structures that dynamics start from.
        settings: settings of the refinement.
        labels: what stores call the parent's labels.
        seed: seed for everything random.
        work_dir: folder from which the same call goes on; None: there is none.

    Raises:
        UserError: as `irrepress.study.refinement.refine`.
    """
    device = str(model.device)
    with _folder(work_dir) as folder, locked(folder):
        base = folder / "base.h5"
        if not base.exists():
            parts = ("train", "valid")
            teach(Labeller(parent, labels), frames.store, base, parts=parts, seed=seed)
        curve = folder / "training.csv"
        with told_when_stopped("refine", work_dir):
            result = refine(
                model,
                parent,
                StructureStore(base),
                starts.store,
                settings,
                seed=seed,
                device=device,
                work_dir=folder,
                metrics_csv=curve,
                frames=folder / "frames.h5",
                guide=FeatureGuide(parent, plan) if settings.features > 0 else None,
            )
        rows = pd.read_csv(curve)
    stage = result.stage(settings, seed)
    stage |= {"dataset": frames.name, "labels": labels, "data_sha256": frames.identity}
    return result, rows, stage


@contextmanager
def _folder(work_dir: AnyPath | None) -> Iterator[Path]:
    if work_dir is not None:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        yield Path(work_dir)
        return
    with tempfile.TemporaryDirectory(prefix="irrepress-") as folder:
        yield Path(folder)
