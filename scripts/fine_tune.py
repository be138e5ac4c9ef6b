"""Train a model on a downstream dataset, from its weights or from scratch, and measure it."""

from pathlib import Path

from _common import Job, run
from _training import train_and_save
from irrepress.core.plan import Plan
from irrepress.evaluation.config import Evaluation
from irrepress.evaluation.metrics import measure_cost, measure_errors, measure_symmetry
from irrepress.study.steps import begin_fine_tuning
from irrepress.training.config import Training
from irrepress.training.ranks import start_by_srun


def main(job: Job) -> None:
    settings = job.section(Training)
    start_by_srun(settings)
    model = job.load(job.inputs.model).to(job.device)
    store = job.open_store(job.inputs.store, model)
    model, begun = begin_fine_tuning(
        model,
        store,
        f"dataset {job.wildcards.dataset}",
        restrict_elements=job.params.restrict_elements,
        fresh_seed=job.params.seed if job.wildcards.start == "scratch" else None,
    )
    trained = train_and_save(job, model, settings, {"stage": job.wildcards.start, **begun})
    metrics = measure_errors(
        trained.to(job.device),
        store,
        alignment="never",  # it was trained on these labels
        knows_labels=True,
        name=job.outputs.model,
        batch_size=settings.batch_size,
    )
    # Of a network from scratch both are known: it has the shape of the compressed model.
    if job.wildcards.start == "finetuned":
        path = Path(job.outputs.model)
        cost = measure_cost(
            trained,
            job.load(job.inputs.parent).to(job.device),
            Evaluation.model_validate(job.params.evaluation),
            model_path=path,
            plan=Plan.load(job.inputs.plan[0]) if job.inputs.plan else None,
            runtime=job.params.runtime,
        )
        checks = measure_symmetry(
            job.family, path, store, modal=job.reference.modal, seed=job.params.seed
        )
        metrics = metrics.with_cost(cost, checks)
    metrics.save(job.outputs.metrics)


run(main, snakemake)
