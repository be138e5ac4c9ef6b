"""What the scripts that train share."""

import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from _common import Job
from irrepress.core.processes import is_first
from irrepress.data.store import StructureStore
from irrepress.study.steps import trained_stage
from irrepress.training.config import Training
from irrepress.training.lock import locked
from irrepress.training.trainer import train


def train_and_save(
    job: Job,
    model: Any,
    settings: Training,
    stage: dict[str, Any],
    **options: Any,
) -> Any:
    """Train a model on the job's dataset; write it, its card and its training curve.

    Checkpoints lie beside the outputs until the job succeeds. Snakemake removes the outputs of
    a job that failed or was killed, but not these: run again, it resumes from the last one.

    Args:
        job: the job.
        model: the model to begin with.
        settings: the training's settings.
        stage: the beginning of the stage's record in the card.
        **options: of `irrepress.training.trainer.train`: what a distillation takes beside.

    Returns:
        The trained model, on the first rank; the others end here.
    """
    checkpoints = Path(job.outputs.model).parent / ".checkpoints"
    # Ranks that the first one starts, or that wait for it, go on as it does.
    with locked(checkpoints) if is_first() else nullcontext():
        trained = _train(job, model, settings, stage, checkpoints, **options)
    shutil.rmtree(checkpoints)  # not before: network file systems keep a file that is open
    return trained


def _train(
    job: Job,
    model: Any,
    settings: Training,
    stage: dict[str, Any],
    checkpoints: Path,
    **options: Any,
) -> Any:
    store = StructureStore(job.inputs.store)
    result = train(
        model.to("cpu"),  # every rank has its copy, on a device of its own
        store,
        settings,
        seed=job.params.seed,
        device=job.params.device,
        work_dir=checkpoints,
        metrics_csv=Path(job.outputs.training),
        cores=job.threads,
        **options,
    )
    if not is_first():
        sys.exit()
    job.save(result.model, stage | trained_stage(result, store, settings, job.params.seed))
    return result.model
