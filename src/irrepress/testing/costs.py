"""What a model costs, as a function of its widths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.testing.fixtures import FamilyFixtures
from irrepress.testing.plans import PROPERTY, random_plan


class CostTests(FamilyFixtures):
    """Tests of `Model.cost_terms`."""

    @PROPERTY
    @given(seed=st.integers(0, 2**16))
    def test_terms_of_the_time_fall_with_widths(
        self, model: Model, groups: list[Group], seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        order = int(rng.choice(sorted({g.l for g in groups})))
        terms = model.cost_terms()
        larger = random_plan(groups, seed + 1, None, None)
        smaller = Plan.random(groups, rng).cut_order(groups, order)
        keep = {
            name: kept[: len(smaller.keep[name])] if kept else ()
            for name, kept in larger.keep.items()
        }
        whole, some, fewer = (
            terms(widths) for widths in ({}, larger.widths(groups), Plan(keep, {}).widths(groups))
        )
        assert set(whole) == set(some) == set(fewer)
        for name in whole:
            assert 0 <= fewer[name] <= some[name] <= whole[name], name
        assert sum(fewer.values()) < sum(whole.values())

    def test_terms_and_names_of_a_narrowed_model_are_the_parents(
        self, model: Model, groups: list[Group]
    ) -> None:
        orders = sorted({g.l for g in groups})
        for seed, order in enumerate([None, orders[-2], orders[0]]):
            plan, _ = model.native_plan(random_plan(groups, seed, order, None))
            narrowed = model.narrow(plan)
            found = narrowed.cost_terms()({})
            for name, value in model.cost_terms()(plan.widths(groups)).items():
                assert found.get(name, 0) == pytest.approx(value, rel=1e-12), name
            here = {g.name: g for g in narrowed.groups()}
            assert set(here) == {g.name for g in groups if plan.keep[g.name]}
            for g in groups:
                if g.name in here:
                    assert here[g.name].channels == len(plan.keep[g.name])
                    assert here[g.name].width == g.width
