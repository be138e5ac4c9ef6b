"""Smaller models built from plans."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irrepress.catalogue.families import shortens_cutoff
from irrepress.core.errors import UserError
from irrepress.core.family import Family, ShortensCutoff
from irrepress.core.groups import Group
from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.testing.comparisons import assert_close
from irrepress.testing.fixtures import FamilyFixtures
from irrepress.testing.plans import PROPERTY, gates_of, random_plan


class NarrowingTests(FamilyFixtures):
    """Tests of `Model.native_plan` and `Model.narrow`: masked is narrowed."""

    @PROPERTY
    @given(data=st.data())
    def test_masked_is_narrowed(
        self,
        model: Model,
        groups: list[Group],
        structures: list[Structure],
        batch: Batch,
        data: st.DataObject,
    ) -> None:
        orders = [None, *sorted({g.l for g in groups})[:-1]]
        plan = random_plan(
            groups,
            data.draw(st.integers(0, 2**16), label="seed"),
            data.draw(st.sampled_from(orders), label="order"),
            data.draw(st.sampled_from(orders), label="filter order"),
        )
        self.check_masked_is_narrowed(model, groups, structures, batch, plan)

    def check_masked_is_narrowed(
        self,
        model: Model,
        groups: list[Group],
        structures: list[Structure],
        batch: Batch,
        plan: Plan,
    ) -> None:
        native, _ = model.native_plan(plan)
        periodic = [i for i, s in enumerate(structures) if s.pbc.all()]
        with model.gated(gates_of(groups, native, model.dtype)):
            masked = model.predict(batch)
        narrowed = model.narrow(native)
        found = narrowed.predict(narrowed.batch(structures))
        assert_close(found, masked, self.relative, periodic=periodic)
        cost = model.cost_model()(native.widths(groups))
        assert cost.parameters == narrowed.parameter_count()
        assert cost.flops == pytest.approx(narrowed.cost_model()({}).flops, rel=1e-12)
        # What native_plan drops beyond the plan changes nothing.
        with model.gated(gates_of(groups, plan, model.dtype)):
            asked = model.predict(batch)
        assert_close(masked, asked, self.relative, periodic=periodic)

    def test_identity_plan_changes_nothing(
        self, model: Model, groups: list[Group], batch: Batch, whole: Prediction
    ) -> None:
        plan = Plan.identity(groups)
        assert_close(model.narrow(plan).predict(batch), whole, 1e-12)
        native, _ = model.native_plan(plan)
        assert model.native_plan(native) == (native, [])

    def test_a_shorter_cutoff_is_refused_where_it_cannot_be_made(
        self, family: Family, model: Model, groups: list[Group]
    ) -> None:
        plan = replace(Plan.identity(groups), cutoff=0.9 * model.cutoff)
        assert shortens_cutoff(family.name) == isinstance(family, ShortensCutoff)
        if isinstance(family, ShortensCutoff):
            model.check_cutoff(0.9 * model.cutoff)
            terms = model.cost_terms()({})
            assert family.terms_without_neighbours < set(terms)
        else:
            with pytest.raises(UserError, match=f"family {family.name} cannot be shortened"):
                model.narrow(plan)

    def test_plan_of_another_model_is_refused(self, narrowed: Model, groups: list[Group]) -> None:
        with pytest.raises(UserError, match=r"another model|no group|is missing"):
            narrowed.narrow(Plan.identity(groups))

    def test_narrowing_leaves_the_parent_alone(
        self, model: Model, narrowed: Model, batch: Batch, whole: Prediction
    ) -> None:
        assert narrowed.parameter_count() < model.parameter_count()
        assert_close(model.predict(batch), whole, 1e-12)
