"""Narrow a parent to a plan."""

import logging

from _common import Job, run
from irrepress.core.files import sha256
from irrepress.core.plan import Plan, write_summary
from irrepress.pruning.budget import Costs, summarize
from irrepress.study.steps import pruned_stage

_logger = logging.getLogger("prune")


def main(job: Job) -> None:
    model = job.load(job.inputs.model)
    plan = Plan.load(job.inputs.plan)
    if plan.layers is not None:
        model.check_layers(plan.layers, job.inputs.plan)
    groups = model.with_layers(plan.layers).groups()
    plan.check(groups, job.inputs.plan)
    if plan.cutoff is not None:
        model.check_cutoff(plan.cutoff, job.inputs.plan)
    if plan.edits:
        told = "; ".join(plan.edits)
        _logger.warning("%s was edited by hand since it was made: %s", job.inputs.plan, told)
    costs, unpruned = Costs.of(model, None, plan.cutoff, plan.layers), Costs.of(model)
    summary = summarize(plan, groups, costs, unpruned, model.groups())
    if write_summary(job.inputs.plan, summary):
        _logger.warning("%s: its summary told of another plan and is new", job.inputs.plan)
    narrow = model.narrow(plan)
    job.save(narrow, pruned_stage(plan, job.wildcards.plan, sha256(job.inputs.plan)))


run(main, snakemake)
