"""Random plans, and the same choice as gates."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from hypothesis import HealthCheck, settings

from irrepress.core.groups import Group
from irrepress.core.model import Model, Prediction
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure

# The same inherited test runs once per family, which hypothesis would take for a mistake.
PROPERTY = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[
        HealthCheck.differing_executors,
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
    ],
    derandomize=True,
)


def random_plan(
    groups: Sequence[Group], seed: int, order: int | None, filter_order: int | None
) -> Plan:
    """A ragged plan: widths and channels at random, some irreps gone, orders cut.

    Args:
        groups: the model's groups.
        seed: seed for the widths and channels.
        order: the highest order that stays; None cuts nothing.
        filter_order: the highest order of the filter that stays; None cuts nothing.
    """
    rng = np.random.default_rng(seed)
    plan = Plan.random(groups, rng)
    keep = dict(plan.keep)
    for width in sorted({g.width for g in groups if g.axis == "channel" and g.floor == 0}):
        if rng.random() < 0.15:
            keep.update({g.name: () for g in groups if g.width == width})
    if filter_order is not None:
        cut = (g for g in groups if g.axis == "order" and g.l > filter_order and g.floor == 0)
        keep.update({g.name: () for g in cut})
    plan = replace(plan, keep=keep)
    return plan if order is None else plan.cut_order(groups, order)


def gates_of(groups: Sequence[Group], plan: Plan, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Gates of 0 and 1 that say the same as a plan."""
    gates = {}
    for g in groups:
        gates[g.name] = torch.zeros(g.channels, dtype=dtype)
        gates[g.name][list(plan.keep[g.name])] = 1
    return gates


def masked_and_narrowed(
    model: Model, plan: Plan, structures: Sequence[Structure]
) -> tuple[Prediction, Prediction, Model]:
    """Return what a plan gives as gates on a model, and built; and the narrowed model."""
    with model.gated(gates_of(model.groups(), plan, model.dtype)):
        masked = model.predict(model.batch(structures))
    narrowed = model.narrow(plan)
    return masked, narrowed.predict(narrowed.batch(structures)), narrowed
