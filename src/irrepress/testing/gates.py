"""Groups of blocks, and gates on them."""

import numpy as np
import pytest
import torch
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.groups import Group
from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.testing.comparisons import assert_close
from irrepress.testing.fixtures import FamilyFixtures
from irrepress.testing.plans import gates_of


class GateTests(FamilyFixtures):
    """Tests of `Model.groups`, `Model.gated` and `Model.block_norms`."""

    def test_group_names_are_unique_and_floors_sane(self, groups: list[Group]) -> None:
        assert len({g.name for g in groups}) == len(groups)
        assert all(0 <= g.floor <= g.channels for g in groups)

    def test_gates_of_one_change_nothing(
        self, model: Model, groups: list[Group], batch: Batch, whole: Prediction
    ) -> None:
        with model.gated(gates_of(groups, Plan.identity(groups), model.dtype)):
            assert_close(model.predict(batch), whole, 1e-12)

    def test_gates_end_with_their_context(
        self, model: Model, groups: list[Group], batch: Batch, whole: Prediction
    ) -> None:
        half = {g.name: torch.full((g.channels,), 0.5, dtype=model.dtype) for g in groups}
        with pytest.raises(RuntimeError, match="inside"), model.gated(half):
            changed = model.predict(batch)
            raise RuntimeError("inside")
        assert not torch.allclose(changed.forces, whole.forces)
        assert_close(model.predict(batch), whole, 1e-12)

    def test_gates_of_unknown_groups_or_shapes_are_refused(
        self, model: Model, groups: list[Group]
    ) -> None:
        with (
            pytest.raises(UserError, match="no group"),
            model.gated({"nothing": torch.ones(1)}),
        ):
            pass
        group = groups[-1]
        with (
            pytest.raises(UserError, match=group.name),
            model.gated({group.name: torch.ones(group.channels + 1)}),
        ):
            pass

    def test_gates_per_structure(
        self, model: Model, groups: list[Group], structures: list[Structure], batch: Batch
    ) -> None:
        rng = np.random.default_rng(0)
        rows = {
            g.name: torch.tensor(rng.uniform(0.5, 1, (len(structures), g.channels))) for g in groups
        }
        with model.gated(rows):
            together = model.predict(batch)
        for i, structure in enumerate(structures):
            with model.gated({name: gate[i] for name, gate in rows.items()}):
                alone = model.predict(model.batch([structure]))
            assert float(together.energy[i]) == pytest.approx(float(alone.energy[0]), rel=1e-10)
            assert torch.allclose(together.forces[batch.structure == i], alone.forces, atol=1e-9)

    def test_gradient_of_gates(self, model: Model, groups: list[Group], batch: Batch) -> None:
        rng = np.random.default_rng(1)
        gates = {
            g.name: torch.ones(g.channels, dtype=model.dtype, requires_grad=True) for g in groups
        }
        weights = torch.tensor(rng.normal(size=(len(batch.numbers), 3)))

        def target() -> torch.Tensor:
            prediction = model.predict(batch, create_graph=True)
            return prediction.energy.sum() + (prediction.forces * weights).sum()

        with model.gated(gates):
            gradient = torch.autograd.grad(target(), list(gates.values()), allow_unused=True)
            direction = {
                name: torch.tensor(rng.normal(size=len(gate))) for name, gate in gates.items()
            }
        expected = sum(
            float((g * d).sum())
            for g, d in zip(gradient, direction.values(), strict=True)
            if g is not None
        )
        values, step = [], 1e-4
        for sign in (1, -1):
            moved = {name: (1 + sign * step * d) for name, d in direction.items()}
            with model.gated(moved):
                values.append(float(target()))
        assert expected == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)

    def test_observer_sees_gated_features_of_every_group(
        self, model: Model, groups: list[Group], batch: Batch
    ) -> None:
        seen: dict[str, Tensor] = {}
        group = max((g for g in groups if g.axis == "channel"), key=lambda g: g.dim)
        closed = {group.name: torch.zeros(group.channels, dtype=model.dtype)}

        def look(name: str, features: Tensor) -> None:
            seen.setdefault(name, features.detach())

        with model.gated(closed, look):
            model.predict(batch)
        assert set(seen) == {g.name for g in groups}
        for g in groups:
            assert seen[g.name].shape[1:] == (g.channels, g.dim)
            if g.axis == "channel":
                assert len(seen[g.name]) in self.row_counts(batch)
        assert float(seen[group.name].abs().max()) == 0

    def test_block_norms_rank_every_block(self, model: Model, groups: list[Group]) -> None:
        norms = model.block_norms()
        assert {name: len(norm) for name, norm in norms.items()} == {
            g.name: g.channels for g in groups
        }
        live, _ = model.native_plan(Plan.identity(groups))
        for name, norm in norms.items():
            assert bool((norm >= 0).all())
            assert float(norm.max()) > 0 or not live.keep[name]
