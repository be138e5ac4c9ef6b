"""Prune little by little, with the model at hand: a plan of which irreps blocks stay."""

from _common import Job, run
from _pruning import calibration, read_planning
from irrepress.pruning.config import Scoring


def main(job: Job) -> None:
    model = job.load(job.inputs.model).to(job.device)
    planning = read_planning(job, model, step=job.params.step)
    settings = Scoring.model_validate(job.params.scoring)
    plan = planning.plan(calibration(job, model, settings))
    plan.save(job.outputs.plan, planning.summary(plan))


run(main, snakemake)
