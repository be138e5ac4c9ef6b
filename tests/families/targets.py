"""What target shapes do in every family: what they do not name stays as in the parent."""

import numpy as np

from irrepress.core.groups import Group, widths_of
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.target import Explicit
from irrepress.pruning.budget import plan_for_irreps


def halved(irreps: list[str]) -> list[str]:
    """Irreps with half of the channels, an even number."""
    terms = [[term.split("x") for term in text.split("+")] for text in irreps]
    return [
        "+".join(f"{max(2, int(count) // 4 * 2)}x{irrep}" for count, irrep in text)
        for text in terms
    ]


class TargetsProtocol:
    """Tests of plans for target shapes; needs the fixtures of the family's protocol."""

    # Whether rounding removes blocks that compute nothing, which loses nothing and is told.
    drops_what_is_idle = False

    def plan_for(self, model: Model, groups: list[Group], **named) -> Plan:
        """The plan before the family rounds it."""
        scores = {g.name: np.zeros(g.channels) for g in groups}
        return plan_for_irreps(groups, scores, Explicit(**named))

    def shapes(self, model: Model, plan: Plan) -> tuple[dict, dict]:
        """The shape of the narrowed model, and that of one narrowed to what is not idle."""
        plan, changes = model.native_plan(plan)
        whole, _ = model.native_plan(Plan.identity(model.groups()))
        if not self.drops_what_is_idle:
            assert not changes
        assert all("because" in change for change in changes)
        narrowed = (model.narrow(each) for each in (plan, whole))
        small, large = (each.shape() for each in narrowed)
        return small, large

    def test_irreps_leave_everything_else_as_it_is(self, model, groups):
        irreps = halved(model.shape()["irreps"])
        plan = self.plan_for(model, groups, irreps=irreps)
        found, before = plan.widths(groups), widths_of(groups)
        features = {g.width for g in groups if g.site == "features"}
        alike = {g.width for g in groups if g.sized_like in features}
        assert {key for key in found if found[key] < before[key]} == features | alike
        small, large = self.shapes(model, plan)
        assert small.pop("irreps") == halved(large.pop("irreps"))
        edges = [each.pop("edge_irreps", None) for each in (small, large)]
        assert small == large
        assert edges[0] == (halved(edges[1]) if alike else edges[1])

    def test_the_filter_alone_can_be_cut(self, model, groups):
        below = model.shape()["filter_lmax"] - 1
        plan = self.plan_for(model, groups, filter_lmax=below)
        changed = {name for name, kept in plan.keep.items() if len(kept) < plan.channels[name]}
        orders = [g for g in groups if g.axis in ("order", "component")]
        assert changed == {g.name for g in orders if g.l > below}
        small, _ = self.shapes(model, plan)
        assert small["filter_lmax"] == below

    def test_the_cutoff_alone_can_be_named(self, model, groups):
        plan = self.plan_for(model, groups, cutoff=0.9 * model.cutoff)
        assert plan.keep == Plan.identity(groups).keep

    def test_any_other_width_alone_can_be_named(self, model, groups):
        features = {g.width for g in groups if g.site == "features"}
        before = widths_of(groups)
        for axis in ("channel", "width", "correlation"):
            others = [g for g in groups if g.axis == axis and g.width not in features]
            for g in [g for g in others if g.channels > max(g.floor, 1)][:1]:
                asked = {g.width: g.channels - 1}
                found = self.plan_for(model, groups, widths=asked).widths(groups)
                assert found == before | asked
