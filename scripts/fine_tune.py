"""Train a model on a downstream dataset, from its weights or from scratch, and measure it."""

from pathlib import Path

from _common import Job, run
from _training import train_and_save
from irrepress.core.plan import Plan
from irrepress.evaluation.config import Evaluation
from irrepress.evaluation.metrics import measure_cost, measure_errors, measure_symmetry
from irrepress.pruning.elements import keep_elements
from irrepress.training.config import Training
from irrepress.training.energy_shifts import fit_energy_shifts
from irrepress.training.ranks import start_by_srun


def main(job: Job) -> None:
    settings = job.section(Training)
    start_by_srun(settings)
    model = job.load(job.inputs.model)
    store = job.open_store(job.inputs.store, model)
    record = None
    if job.params.restrict_elements:
        name = f"dataset {job.wildcards.dataset}"
        model, record = keep_elements(model, store.elements, name)
    if job.wildcards.start == "scratch":
        model = model.fresh(job.params.seed)
    # The dataset may be of another level of theory, whose energies differ by a constant for
    # every element: both starts get it for nothing, so that they are compared fairly.
    shifts = fit_energy_shifts(model.to(job.device), store)
    model.shift_energies(shifts)
    stage = {
        "stage": job.wildcards.start,
        "restricted": record,
        "energy_shifts": {str(z): e for z, e in shifts.items()},
    }
    trained = train_and_save(job, model, settings, stage)
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
        )
        checks = measure_symmetry(
            job.family, path, store, modal=job.reference.modal, seed=job.params.seed
        )
        metrics = metrics.with_cost(cost, checks)
    metrics.save(job.outputs.metrics)


run(main, snakemake)
