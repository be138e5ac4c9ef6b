"""Turn scores and a budget into a plan: which irreps blocks stay."""

from _common import Job, run
from _pruning import read_planning


def main(job: Job) -> None:
    planning = read_planning(job, job.load(job.inputs.model))
    plan = planning.plan()
    plan.save(job.outputs.plan, planning.summary(plan))


run(main, snakemake)
