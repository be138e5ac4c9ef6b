"""Turn scores and a budget into a plan: which irreps blocks stay."""

from _common import Job, run
from _pruning import Planning
from irrepress.pruning.budget import named_target, plan_for_fraction, plan_for_irreps


def main(job: Job) -> None:
    planning = Planning(job)
    made, groups = planning.made, planning.groups
    if "explicit" in made:
        target = named_target(made["explicit"], job.family.named_shapes())
        plan = plan_for_irreps(groups, planning.scores(), target)
    else:
        plan = plan_for_fraction(
            groups,
            planning.scores(),
            planning.measure,
            budget=made["budget"],
            allocation=made["allocation"],
            limits=planning.limits,
        )
    planning.save(plan)


run(main, snakemake)
