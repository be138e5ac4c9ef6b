"""Timing of many shapes of a model relative to the unpruned model."""

import logging
import statistics
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch

from irrepress.core.groups import widths_of
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.progress import tracked
from irrepress.core.structure import Structure
from irrepress.deploy.runtimes import code_of, groups_taken, takes
from irrepress.evaluation.timing import reference_crystal, timed_in
from irrepress.pruning.config import Runtime
from irrepress.pruning.latency import TimedShape, TimeTable
from irrepress.pruning.shapes import design_shapes

logger = logging.getLogger(__name__)

# Number of shapes timed between two turns of the unpruned model.
PARTY = 3


def make_time_table(
    model: Model,
    *,
    shapes: int,
    atoms: int,
    repeats: int,
    seed: int,
    versions: Mapping[str, Any],
    runtime: Runtime = "native",
) -> TimeTable:
    """Time shapes of a model on this machine, so that its time at any widths can be predicted.

    Args:
        model: the unpruned model.
        shapes: how many shapes, the unpruned one included.
        atoms: size of the crystal that is timed.
        repeats: number of rounds.
        seed: seed for the choice of shapes.
        versions: versions of packages, for the table's provenance.
        runtime: what they are timed in.

    Raises:
        UserError: if the runtime does not take the model.
    """
    designed = design_shapes(groups_taken(model, runtime, "runtime"), shapes, seed)
    crystal = reference_crystal(model.elements, atoms)
    plans = [model.native_plan(plan)[0] for plan in designed[1:]]
    return TimeTable(
        shapes=time_shapes(model, plans, crystal, repeats=repeats, runtime=runtime),
        provenance={
            "runtime": runtime,
            "code": code_of(model, runtime),
            "atoms": len(crystal),
            "device": str(model.device),
            "threads": torch.get_num_threads(),
            "seed": seed,
            "versions": versions,
        },
    )


def time_shapes(
    model: Model,
    plans: Sequence[Plan],
    structure: Structure,
    *,
    repeats: int,
    runtime: Runtime = "native",
) -> list[TimedShape]:
    """Time a model narrowed by each of several plans.

    The speed of machines drifts, and they are shared. So all shapes are timed in each of several
    rounds, relative to the turns of the unpruned model right before and after, and the median over
    rounds is used.

    Args:
        model: the unpruned model.
        plans: plans to narrow it by, in shapes that the family's constructor can build.
        structure: the structure to predict.
        repeats: number of rounds.
        runtime: what they are timed in, which takes the unpruned model.

    Returns:
        The timed unpruned model, followed by a timed shape for every plan that the runtime takes.
    """
    groups = model.groups()
    cost_model = model.cost_model()
    unpruned: list[float] = []
    with timed_in(runtime, structure, model.device) as turn_of:
        turns, all_widths = [turn_of(model)], [widths_of(groups)]
        for plan in tracked(plans, "preparing shapes", "shapes", len(plans)):
            narrowed = model.narrow(plan)
            # What the family rounds a shape to may be one that the runtime does not take.
            if takes(narrowed, runtime):
                turns.append(turn_of(narrowed))
                all_widths.append(plan.widths(groups))
        ratios = np.ones((repeats, len(turns)))
        # A round of a large model takes minutes: progress is told of parties.
        rounds = list(product(ratios, range(1, len(turns), PARTY)))
        for round_, start in tracked(rounds, "timing shapes", "groups of shapes", len(rounds)):
            before = turns[0]() if start == 1 else unpruned[-1]
            party = range(start, min(start + PARTY, len(turns)))
            seconds = [turns[i]() for i in party]
            unpruned.append(turns[0]())
            round_[party] = np.array(seconds) / ((before + unpruned[-1]) / 2)
    typical = statistics.median(unpruned)
    logger.info(
        "the unpruned model took %.4g s, between %.4g and %.4g",
        typical,
        min(unpruned),
        max(unpruned),
    )
    shapes = []
    for widths, ratio in zip(all_widths, np.median(ratios, axis=0), strict=True):
        cost = cost_model(widths)
        shapes.append(TimedShape(widths, cost.parameters, cost.flops, float(ratio) * typical))
    return shapes
