"""Train a pruned model on the labels of a dataset."""

from _common import Job, run
from _training import train_and_save
from irrepress.evaluation.alignment import shifts_beyond_doubt
from irrepress.training.config import Training
from irrepress.training.ranks import start_by_srun


def main(job: Job) -> None:
    settings = job.section(Training)
    start_by_srun(settings)
    model = job.load(job.inputs.model)
    store = job.open_store(job.inputs.store, model)
    shifts = shifts_beyond_doubt(model.to(job.device), store)
    model.shift_energies(shifts)
    stage = {"stage": "recovered", "energy_shifts": {str(z): e for z, e in shifts.items()}}
    train_and_save(job, model, settings, stage)


run(main, snakemake)
