"""Turn scores and a budget into a plan: which irreps blocks stay."""

import logging
from dataclasses import replace

from _common import Job, run
from irrepress.pruning.budget import Limits, plan_for_fraction, plan_for_irreps, summarize
from irrepress.pruning.normalization import normalize
from irrepress.pruning.scores import Scores


def main(job: Job) -> None:
    sweep = job.config.sweep
    made = job.config.plans()[job.wildcards.plan]
    scores = Scores.load(job.inputs.scores)
    model = job.load(job.inputs.model)
    groups = job.family.groups(model)
    raw = scores.of(made["criterion"])
    values = normalize(raw, groups, sweep.normalization, made["criterion"])
    cost_model = job.family.cost_model(model)
    provenance = {"criterion": made["criterion"], "scores": scores.provenance}
    if "explicit" in made:
        plan = plan_for_irreps(groups, values, made["explicit"])
        provenance["explicit"] = made["explicit"].model_dump(mode="json")
    else:
        plan = plan_for_fraction(
            groups,
            values,
            cost_model,
            budget=made["budget"],
            unit=sweep.unit,
            limits=Limits(multiple=sweep.multiple, floor=sweep.floor, axes=made["axes"]),
        )
        provenance |= {"budget": made["budget"], "unit": sweep.unit, "axes": made["axes"]}
    plan, changes = job.family.native_plan(model, plan)
    for change in changes:
        logging.getLogger("plan").warning(change)
    provenance["changes"] = changes
    plan = replace(plan, provenance=provenance)
    plan.save(job.outputs.plan, summarize(plan, groups, cost_model))


run(main, snakemake)
