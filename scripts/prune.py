"""Narrow a parent to a plan."""

from _common import Job, run
from irrepress.files import sha256
from irrepress.pruning.plan import Plan


def main(job: Job) -> None:
    model = job.load(job.inputs.model)
    plan = Plan.load(job.inputs.plan)
    plan.check(job.family.groups(model), job.inputs.plan)
    if plan.cutoff is not None:
        job.family.check_cutoff(model, plan.cutoff, job.inputs.plan)
    narrow = job.family.narrow(model, plan)
    stage = {
        "stage": "pruned",
        "plan": job.wildcards.plan,
        "plan_sha256": sha256(job.inputs.plan),
        "provenance": dict(plan.provenance),
    }
    job.save(narrow, stage)


run(main, snakemake)
