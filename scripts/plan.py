"""Turn scores and a budget into a plan: which irreps blocks stay."""

from _common import Job, run
from _pruning import Planning
from irrepress.catalogue.families import named_shapes
from irrepress.pruning.budget import named_target, plan_for_fraction, plan_for_irreps


def main(job: Job) -> None:
    planning = Planning(job)
    recipe, groups = planning.recipe, planning.groups
    if recipe.explicit is not None:
        target = named_target(recipe.explicit, named_shapes(job.reference.family))
        plan = plan_for_irreps(groups, planning.scores(), target)
    else:
        plan = plan_for_fraction(
            groups,
            planning.scores(),
            planning.measure,
            budget=recipe.budget,
            allocation=recipe.allocation,
            limits=planning.limits,
        )
    planning.save(plan)


run(main, snakemake)
