"""Models with fewer layers."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from irrepress.catalogue.families import drops_layers
from irrepress.core.errors import UserError
from irrepress.core.family import DropsLayers, Family
from irrepress.core.fits import Pair
from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.evaluation.checks import FINITE_DIFFERENCE_TOLERANCE, SYMMETRY_TOLERANCE
from irrepress.evaluation.symmetry import check_symmetry
from irrepress.testing.comparisons import assert_close
from irrepress.testing.fixtures import FamilyFixtures
from irrepress.testing.plans import gates_of
from irrepress.training.features import FeatureGuide, observed


class DepthTests(FamilyFixtures):
    """Tests of families that are `DropsLayers`, and of those that are not."""

    @pytest.fixture(scope="class")
    def layers(self, family: Family, model: Model) -> tuple[int, ...]:
        """The layers that stay if one goes."""
        if not isinstance(family, DropsLayers):
            pytest.skip(f"{family.name} drops no layers")
        return family.layers_to_keep(model, model.layers - 1)

    @pytest.fixture(scope="class")
    def fewer(self, model: Model, layers: tuple[int, ...]) -> Model:
        """The model without one of its layers."""
        return model.with_layers(layers)

    @pytest.fixture(scope="class")
    def narrowed_fewer(self, model: Model, fewer: Model, layers: tuple[int, ...]) -> Model:
        """A ragged narrowed model without that layer."""
        return model.narrow(_random_plan(fewer, layers))

    def test_fewer_layers_are_refused_where_they_cannot_be_built(
        self, family: Family, model: Model
    ) -> None:
        assert drops_layers(family.name) == isinstance(family, DropsLayers)
        last = model.layers - 1
        if isinstance(family, DropsLayers):
            for wrong in ([], [last + 1], [last, last], [-1, last]):
                with pytest.raises(UserError, match=f"has the layers 0 to {last}; name some"):
                    model.with_layers(wrong)
        else:
            with pytest.raises(UserError, match=f"family {family.name} cannot be dropped"):
                model.with_layers([0])

    def test_all_layers_are_the_model(
        self, model: Model, batch: Batch, whole: Prediction, layers: tuple[int, ...]
    ) -> None:
        every = tuple(range(model.layers))
        assert model.with_layers(None) is model.with_layers(every) is model
        assert model.layers_to_keep(model.layers) == every
        plan = replace(Plan.identity(model.groups()), layers=every)
        assert_close(model.narrow(plan).predict(batch), whole, 1e-12)
        assert model.groups_with_layers(every) == model.groups_with_layers(None)

    def test_groups_of_fewer_layers_are_some_of_the_parents(
        self, model: Model, fewer: Model, layers: tuple[int, ...]
    ) -> None:
        own = {group.name: group for group in model.groups()}
        names = model.groups_with_layers(layers)
        found = fewer.groups()
        assert names.keys() == {group.name for group in found}
        assert len(set(names.values())) == len(names) < len(own)
        for group in found:
            parent = own[names[group.name]]
            assert (group.irrep, group.axis, group.site) == (parent.irrep, parent.axis, parent.site)
            assert group.channels <= parent.channels

    def test_fewer_layers_cost_less(self, model: Model, fewer: Model) -> None:
        assert fewer.layers == model.layers - 1
        cost, whole = fewer.cost_model()({}), model.cost_model()({})
        assert cost.parameters == fewer.parameter_count() < model.parameter_count()
        assert cost.flops < whole.flops
        terms, before = fewer.cost_terms()({}), model.cost_terms()({})
        assert all(value <= before[name] * (1 + 1e-12) for name, value in terms.items())

    def test_masked_is_narrowed_with_fewer_layers(
        self, fewer: Model, structures: list[Structure], narrowed_fewer: Model
    ) -> None:
        plan, groups = _random_plan(fewer), fewer.groups()
        with fewer.gated(gates_of(groups, plan, fewer.dtype)):
            masked = fewer.predict(fewer.batch(structures))
        found = narrowed_fewer.predict(narrowed_fewer.batch(structures))
        periodic = [i for i, s in enumerate(structures) if s.pbc.all()]
        assert_close(found, masked, self.relative, periodic=periodic)
        cost = fewer.cost_model()(plan.widths(groups))
        assert cost.parameters == narrowed_fewer.parameter_count()

    def test_fits_of_fewer_layers_go_on_where_the_last_one_was(
        self, model: Model, fewer: Model, batch: Batch, layers: tuple[int, ...]
    ) -> None:
        plan = _random_plan(fewer, layers)
        narrowed = model.narrow(plan)
        source = start = Pair(batch, batch)
        fits = model.linear_fits(narrowed, plan)
        assert fits and len({fit.name for fit in fits}) == len(fits)
        for fit in fits:
            rows, anew = fit.rows(source), fit.rows(start)
            weights = fit.weights()
            for irrep, weight in weights.items():
                assert rows.inputs[irrep].shape[1] == weight.shape[0]
                assert rows.outputs[irrep].shape[1] == weight.shape[1]
                for found, expected in ((rows.inputs, anew.inputs), (rows.outputs, anew.outputs)):
                    torch.testing.assert_close(found[irrep], expected[irrep], rtol=1e-9, atol=1e-9)
            fit.set_weights({irrep: 1.1 * weight for irrep, weight in weights.items()})
            source = pickle.loads(pickle.dumps(rows.progress))

    def test_the_guide_follows_the_layers_that_stay(
        self, model: Model, fewer: Model, batch: Batch, layers: tuple[int, ...]
    ) -> None:
        plan = _random_plan(fewer, layers)
        guide, narrowed = FeatureGuide(model, plan), model.narrow(plan)
        with observed(narrowed) as features:
            narrowed.predict(batch)
        loss = float(guide.loss(features, batch))
        assert np.isfinite(loss) and loss > 0

    def test_fewer_layers_have_gradients_of_force_losses(
        self, model: Model, fewer: Model, batch: Batch, layers: tuple[int, ...]
    ) -> None:
        narrowed = model.narrow(_random_plan(fewer, layers))
        prediction = narrowed.predict(batch, create_graph=True)
        loss = prediction.forces.square().sum() + prediction.energy.square().sum()
        loss.backward()
        trainable = [p for p in narrowed.parameters() if p.requires_grad]
        assert trainable and all(p.grad is not None and p.grad.isfinite().all() for p in trainable)

    @pytest.mark.parametrize("native", [True, False])
    def test_a_saved_model_of_fewer_layers_passes_its_checks(
        self,
        family: Family,
        fewer: Model,
        structures: list[Structure],
        tmp_path: Path,
        native: bool,
    ) -> None:
        path = tmp_path / "model.pt"
        fewer.save(path)
        loaded = family.load(path, modal=fewer.modal, dtype=torch.float64)
        assert loaded.shape() == fewer.shape()
        found = check_symmetry(loaded, structures[1], seed=8, native=native)
        difference = found.pop("finite_difference")
        assert difference is not None and difference < FINITE_DIFFERENCE_TOLERANCE
        assert max(v for v in found.values() if v is not None) < SYMMETRY_TOLERANCE

    def test_the_family_runs_fewer_layers(
        self, family: Family, narrowed_fewer: Model, structures: list[Structure], tmp_path: Path
    ) -> None:
        path = tmp_path / "model.pt"
        narrowed_fewer.save(path)
        expected = narrowed_fewer.predict(narrowed_fewer.batch(structures))
        calculator = family.calculator(path, modal=narrowed_fewer.modal)
        for structure, energy in zip(structures, expected.energy.tolist(), strict=True):
            atoms = replace(structure, energy=np.nan).to_atoms()
            atoms.calc = calculator
            assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-5)
        built = family.build(narrowed_fewer.native, modal=narrowed_fewer.modal)
        assert built.shape() == narrowed_fewer.shape()


def _random_plan(fewer: Model, layers: tuple[int, ...] | None = None) -> Plan:
    """Return a ragged plan of a model without some of its parent's layers."""
    plan, _ = fewer.native_plan(Plan.random(fewer.groups(), np.random.default_rng(3)))
    return replace(plan, layers=layers)
