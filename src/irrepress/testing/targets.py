"""What target shapes do: what they do not name stays as in the parent."""

from typing import Any, ClassVar

import numpy as np
import pytest

from irrepress.core.groups import Group, widths_of
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.target import Explicit
from irrepress.pruning.budget import plan_for_irreps
from irrepress.testing.fixtures import FamilyFixtures


def halved(irreps: list[str]) -> list[str]:
    """Irreps with half of the channels, an even number."""
    terms = [[term.split("x") for term in text.split("+")] for text in irreps]
    return [
        "+".join(f"{max(2, int(count) // 4 * 2)}x{irrep}" for count, irrep in text)
        for text in terms
    ]


class TargetTests(FamilyFixtures):
    """Tests of plans for target shapes.

    Attributes:
        drops_what_is_idle: whether rounding removes blocks that compute nothing, which loses
            nothing and is told.
    """

    drops_what_is_idle: ClassVar[bool] = False

    def plan_for(self, model: Model, groups: list[Group], **named: Any) -> Plan:
        """The plan before the family rounds it."""
        scores = {g.name: np.zeros(g.channels) for g in groups}
        return plan_for_irreps(groups, scores, Explicit(**named))

    @pytest.fixture(scope="class")
    def whole_shape(self, model: Model) -> dict[str, Any]:
        """The shape of the model without what computes nothing."""
        plan, _ = model.native_plan(Plan.identity(model.groups()))
        return model.narrow(plan).shape()

    def narrowed_shape(self, model: Model, plan: Plan) -> dict[str, Any]:
        """The shape of the narrowed model."""
        plan, changes = model.native_plan(plan)
        if not self.drops_what_is_idle:
            assert not changes
        assert all("because" in change for change in changes)
        return model.narrow(plan).shape()

    def test_irreps_leave_everything_else_as_it_is(
        self, model: Model, groups: list[Group], whole_shape: dict[str, Any]
    ) -> None:
        irreps = halved(model.shape()["irreps"])
        plan = self.plan_for(model, groups, irreps=irreps)
        found, before = plan.widths(groups), widths_of(groups)
        features = {g.width for g in groups if g.site == "features"}
        alike = {g.width for g in groups if g.sized_like in features}
        assert {key for key in found if found[key] < before[key]} == features | alike
        small, large = self.narrowed_shape(model, plan), dict(whole_shape)
        assert small.pop("irreps") == halved(large.pop("irreps"))
        edges = [each.pop("edge_irreps", None) for each in (small, large)]
        assert small == large
        assert edges[0] == (halved(edges[1]) if alike else edges[1])

    def test_the_filter_alone_can_be_cut(self, model: Model, groups: list[Group]) -> None:
        below = model.shape()["filter_lmax"] - 1
        plan = self.plan_for(model, groups, filter_lmax=below)
        changed = {name for name, kept in plan.keep.items() if len(kept) < plan.channels[name]}
        orders = [g for g in groups if g.axis in ("order", "component")]
        assert changed == {g.name for g in orders if g.l > below}
        assert self.narrowed_shape(model, plan)["filter_lmax"] == below

    def test_the_cutoff_alone_can_be_named(self, model: Model, groups: list[Group]) -> None:
        plan = self.plan_for(model, groups, cutoff=0.9 * model.cutoff)
        assert plan.keep == Plan.identity(groups).keep

    def test_any_other_width_alone_can_be_named(self, model: Model, groups: list[Group]) -> None:
        features = {g.width for g in groups if g.site == "features"}
        before = widths_of(groups)
        for axis in ("channel", "width", "correlation"):
            others = [g for g in groups if g.axis == axis and g.width not in features]
            for g in [g for g in others if g.channels > max(g.floor, 1)][:1]:
                asked = {g.width: g.channels - 1}
                found = self.plan_for(model, groups, widths=asked).widths(groups)
                assert found == before | asked
