"""Measure a model: errors against labels and parent, cost, symmetry."""

from pathlib import Path

import torch

from _common import Job, run
from irrepress.core.plan import Plan
from irrepress.data.store import StructureStore
from irrepress.evaluation.config import Evaluation
from irrepress.evaluation.metrics import measure_cost, measure_errors, measure_symmetry
from irrepress.study.cards import Card
from irrepress.study.paths import PARENT_PLAN
from irrepress.study.stages import Stage


def number_type(job: Job) -> dict[str, torch.dtype]:
    """Return the type of an exported model; others have that of the study."""
    dtype = Stage.parse(job.wildcards.stage).dtype
    return {} if dtype is None else {"dtype": getattr(torch, dtype)}


def main(job: Job) -> None:
    settings = job.section(Evaluation)
    path = Path(job.inputs.model)
    model = job.load(path, **number_type(job)).to(job.device)
    store = job.open_store(job.inputs.store, model)
    is_parent = job.wildcards.plan == PARENT_PLAN
    parent = model if is_parent else job.load(job.inputs.parent).to(job.device)
    metrics = measure_errors(
        model,
        store,
        teacher=StructureStore(job.inputs.teacher),
        parent=parent,
        alignment=settings.align_energies,
        knows_labels=Card.load(job.inputs.card).trained_on(settings.dataset, store.info.labels),
        name=str(path),
        batch_size=settings.batch_size,
    )
    cost = measure_cost(
        model,
        parent,
        settings,
        model_path=path,
        packed_path=Path(job.inputs.packed[0]) if job.inputs.packed else None,
        plan=Plan.load(job.inputs.plan[0]) if job.inputs.plan else None,
        runtime=getattr(job.params, "runtime", "native"),
    )
    checks = measure_symmetry(
        job.family, path, store, modal=job.reference.modal, seed=job.params.seed
    )
    metrics.with_cost(cost, checks).save(job.outputs.metrics)


run(main, snakemake)
