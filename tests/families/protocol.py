"""What every family's adapter must do, as tests that each family's test class inherits.

A subclass gives the fixtures `family` and `model` (float64, any width), and may change the
numbers of examples. `structures` comes from the top conftest: a crystal, a salt and a molecule.
"""

import copy
import functools
import pickle
import pkgutil
from collections import Counter
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from ase import Atoms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from targets import TargetsProtocol

from irrepress.catalogue.families import loading_line, shortens_cutoff
from irrepress.core.errors import UserError
from irrepress.core.family import ShortensCutoff
from irrepress.core.fits import Pair
from irrepress.core.model import Model, Prediction
from irrepress.core.parameter_roles import ParameterRole
from irrepress.core.plan import Plan
from irrepress.core.statistics import DataStatistics, measure_statistics
from irrepress.core.structure import Structure
from irrepress.evaluation.checks import FINITE_DIFFERENCE_TOLERANCE, SYMMETRY_TOLERANCE
from irrepress.evaluation.predictions import label
from irrepress.evaluation.symmetry import check_symmetry

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


def random_plan(groups, seed: int, order: int | None, filter_order: int | None) -> Plan:
    """A ragged plan: widths and channels at random, some irreps gone, orders cut.

    Args:
        groups: the model's groups.
        seed: of the widths and channels.
        order: everything of higher order is cut; None cuts nothing.
        filter_order: the filter's higher orders are cut, and nothing else; None cuts nothing.
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


def gates_of(groups, plan: Plan, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Gates of 0 and 1 that say the same as a plan."""
    gates = {}
    for g in groups:
        gates[g.name] = torch.zeros(g.channels, dtype=dtype)
        gates[g.name][list(plan.keep[g.name])] = 1
    return gates


def assert_close(
    found: Prediction, expected: Prediction, relative: float, floor: float = 1e-9, periodic=None
):
    """Compare predictions, relative to the largest energy, force and stress each."""
    rows = slice(None) if periodic is None else periodic
    for name in ("energy", "forces", "stress"):
        a, b = getattr(found, name), getattr(expected, name)
        if name == "stress":
            a, b = a[rows], b[rows]
        tolerance = relative * float(b.abs().max()) + floor
        assert float((a - b).abs().max()) <= tolerance, name


def tensor_of(prediction: Prediction) -> torch.Tensor:
    """All of a prediction in one vector."""
    return torch.cat([prediction.energy, prediction.forces.flatten(), prediction.stress.flatten()])


def counted(calls: Counter[str], name: str):
    """A function by its dotted name, wrapped so that its calls are counted."""
    original = pkgutil.resolve_name(name)

    @functools.wraps(original)
    def wrapped(*args, **kwargs):
        calls[name] += 1
        return original(*args, **kwargs)

    return wrapped


class FamilyProtocol(TargetsProtocol):
    """Tests of the Family protocol."""

    relative = 1e-9  # masked against narrowed, float64
    # What runs in our faster code only, and what runs in the family's own.
    ours = "irrepress.families.e3nn.fast_products.ChannelwiseProduct.__call__"
    theirs = ""

    def row_counts(self, batch) -> set[int]:
        """How many rows an observer may see of features of a group: one for each atom."""
        return {len(batch.numbers)}

    @pytest.fixture(scope="class")
    def groups(self, model: Model):
        return model.groups()

    @pytest.fixture(scope="class")
    def batch(self, model: Model, structures):
        return model.batch(structures)

    @pytest.fixture(scope="class")
    def whole(self, model: Model, batch) -> Prediction:
        """The prediction of the unpruned model."""
        return model.predict(batch)

    @pytest.fixture(scope="class")
    def narrowed(self, model: Model, groups) -> Model:
        """A ragged narrowed model that keeps all orders."""
        rng = np.random.default_rng(3)
        return model.narrow(model.native_plan(Plan.random(groups, rng))[0])

    def test_faster_code_computes_what_the_familys_own_does(self, model, structures, batch):
        """Predictions, and derivatives of a loss on forces by the parameters."""
        periodic = [i for i, s in enumerate(structures) if s.pbc.all()]
        parameters = [p for p in model.parameters() if p.requires_grad]
        found = []
        for native in (True, False):
            prediction = model.predict(batch, create_graph=True, native=native)
            loss = prediction.energy.square().sum() + prediction.forces.square().sum()
            slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
            slopes = [slope.flatten() for slope in slopes if slope is not None]
            prediction = replace(prediction, stress=prediction.stress[periodic])
            found.append((tensor_of(prediction).detach(), torch.cat(slopes)))
        # A package may hold constants such as 3j symbols in single precision.
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6 * float(b.abs().max()))

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_file_with_a_number_that_is_none_is_refused(self, family, model, tmp_path, value):
        """As one flipped bit, or a training that diverged, leaves it."""
        damaged = copy.deepcopy(model)
        # A parameter of the readout: every family writes those as they are.
        parts = damaged.parameter_parts()
        name = next(name for name, part in parts.items() if part == "readout")
        with torch.no_grad():
            dict(damaged.named_parameters())[name].view(-1)[-1] = value
        path = tmp_path / "damaged.model"
        damaged.save(path)
        message = r"damaged\.model: 1 of \d+ numbers of the parameter \S+ are NaN or infinite"
        with pytest.raises(UserError, match=message):
            family.load(path, modal=model.modal)

    def test_native_runs_the_familys_own_code_alone(self, model, batch, monkeypatch):
        calls: Counter[str] = Counter()
        for name in (self.ours, self.theirs):
            monkeypatch.setattr(name, counted(calls, name))
        model.predict(batch, native=True)
        assert calls[self.theirs] > 0
        assert calls[self.ours] == 0
        model.predict(batch)
        assert calls[self.ours] > 0

    # --- groups, gates, narrowing ---------------------------------------------------------

    def test_group_names_are_unique_and_floors_sane(self, groups):
        assert len({g.name for g in groups}) == len(groups)
        assert all(0 <= g.floor <= g.channels for g in groups)

    @PROPERTY
    @given(data=st.data())
    def test_masked_is_narrowed(self, model, groups, structures, batch, data):
        orders = [None, *sorted({g.l for g in groups})[:-1]]
        plan = random_plan(
            groups,
            data.draw(st.integers(0, 2**16), label="seed"),
            data.draw(st.sampled_from(orders), label="order"),
            data.draw(st.sampled_from(orders), label="filter order"),
        )
        self.check_masked_is_narrowed(model, groups, structures, batch, plan)

    def check_masked_is_narrowed(self, model, groups, structures, batch, plan):
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

    def test_identity_plan_changes_nothing(self, model, groups, batch, whole):
        plan = Plan.identity(groups)
        assert_close(model.narrow(plan).predict(batch), whole, 1e-12)
        native, _ = model.native_plan(plan)
        assert model.native_plan(native) == (native, [])

    @PROPERTY
    @given(seed=st.integers(0, 2**16))
    def test_terms_of_the_time_fall_with_widths(self, model, groups, seed):
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

    def test_terms_and_names_of_a_narrowed_model_are_the_parents(self, model, groups):
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

    def test_a_shorter_cutoff_is_refused_where_it_cannot_be_made(self, family, model, groups):
        plan = replace(Plan.identity(groups), cutoff=0.9 * model.cutoff)
        assert shortens_cutoff(family.name) == isinstance(family, ShortensCutoff)
        if isinstance(family, ShortensCutoff):
            model.check_cutoff(plan.cutoff)
            terms = model.cost_terms()({})
            assert family.terms_without_neighbours < set(terms)
        else:
            with pytest.raises(UserError, match=f"family {family.name} cannot be shortened"):
                model.narrow(plan)

    def test_plan_of_another_model_is_refused(self, narrowed, groups):
        with pytest.raises(UserError, match=r"another model|no group|is missing"):
            narrowed.narrow(Plan.identity(groups))

    def test_narrowing_leaves_the_parent_alone(self, model, narrowed, batch, whole):
        assert narrowed.parameter_count() < model.parameter_count()
        assert_close(model.predict(batch), whole, 1e-12)

    def test_gates_of_one_change_nothing(self, model, groups, batch, whole):
        with model.gated(gates_of(groups, Plan.identity(groups), model.dtype)):
            assert_close(model.predict(batch), whole, 1e-12)

    def test_gates_end_with_their_context(self, model, groups, batch, whole):
        half = {g.name: torch.full((g.channels,), 0.5, dtype=model.dtype) for g in groups}
        with pytest.raises(RuntimeError, match="inside"), model.gated(half):
            changed = model.predict(batch)
            raise RuntimeError("inside")
        assert not torch.allclose(changed.forces, whole.forces)
        assert_close(model.predict(batch), whole, 1e-12)

    def test_gates_of_unknown_groups_or_shapes_are_refused(self, model, groups):
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

    def test_gates_per_structure(self, model, groups, structures, batch):
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

    def test_gradient_of_gates(self, model, groups, batch):
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

    def test_observer_sees_gated_features_of_every_group(self, model, groups, batch):
        seen = {}
        group = max((g for g in groups if g.axis == "channel"), key=lambda g: g.dim)
        closed = {group.name: torch.zeros(group.channels, dtype=model.dtype)}
        with model.gated(closed, lambda name, x: seen.setdefault(name, x.detach())):
            model.predict(batch)
        assert set(seen) == {g.name for g in groups}
        for g in groups:
            assert seen[g.name].shape[1:] == (g.channels, g.dim)
            if g.axis == "channel":
                assert len(seen[g.name]) in self.row_counts(batch)
        assert float(seen[group.name].abs().max()) == 0

    def test_block_norms_rank_every_block(self, model, groups):
        norms = model.block_norms()
        assert {name: len(norm) for name, norm in norms.items()} == {
            g.name: g.channels for g in groups
        }
        live, _ = model.native_plan(Plan.identity(groups))
        for name, norm in norms.items():
            assert bool((norm >= 0).all())
            assert float(norm.max()) > 0 or not live.keep[name]

    # --- predictions ----------------------------------------------------------------------

    def test_batch_is_the_sum_of_its_structures(self, model, structures, batch, whole):
        for i, structure in enumerate(structures):
            alone = model.predict(model.batch([structure]))
            assert float(whole.energy[i]) == pytest.approx(float(alone.energy[0]), rel=1e-12)
            assert torch.allclose(whole.forces[batch.structure == i], alone.forces, atol=1e-10)
            if structure.pbc.all():
                assert torch.allclose(whole.stress[i], alone.stress[0], atol=1e-12)

    def test_batch_knows_its_structures(self, batch, structures):
        assert len(batch) == len(structures)
        assert batch.num_atoms.tolist() == [len(s) for s in structures]
        assert batch.numbers.tolist() == [z for s in structures for z in s.numbers]
        expected = [i for i, s in enumerate(structures) for _ in s.numbers]
        assert batch.structure.tolist() == expected

    def test_predicting_leaves_the_batch_alone(self, model, structures):
        batch = model.batch(structures)
        before = copy.deepcopy(batch)
        first = model.predict(batch)
        for name, value in before.inputs.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(batch.inputs[name], value), name
                assert not batch.inputs[name].requires_grad
        assert set(batch.inputs) == set(before.inputs)
        assert_close(model.predict(batch), first, 0, floor=0)

    def test_graph_is_kept_only_when_asked_for(self, model, batch, whole):
        for training in (True, False):
            model.train(training)
            kept = model.predict(batch, create_graph=True)
            assert kept.forces.requires_grad and kept.stress.requires_grad
            with torch.no_grad():
                free = model.predict(batch)
            assert not free.energy.requires_grad and not free.forces.requires_grad
            assert_close(free, whole, 1e-12)
            assert all(m.training == training for m in model.modules())
        model.eval()

    def test_weights_have_gradients_of_force_losses(self, narrowed, structures):
        model = copy.deepcopy(narrowed)
        prediction = model.predict(model.batch(structures), create_graph=True)
        loss = prediction.forces.square().sum() + prediction.energy.square().sum()
        loss.backward()
        trainable = [p for p in model.parameters() if p.requires_grad]
        assert trainable and all(p.grad is not None and p.grad.isfinite().all() for p in trainable)

    def test_atomic_energies_add_up(self, narrowed, structures):
        batch = narrowed.batch(structures)
        atomic = narrowed.atomic_energies(batch)
        assert atomic.shape == batch.structure.shape
        assert not atomic.requires_grad
        total = torch.zeros(len(structures), dtype=atomic.dtype)
        total = total.index_add(0, batch.structure, atomic)
        expected = narrowed.predict(batch).energy
        torch.testing.assert_close(total, expected, rtol=1e-10, atol=1e-10)

    def test_isolated_atom(self, model):
        number = model.elements[0]
        atom = Structure.unlabelled(Atoms([number], positions=[[0, 0, 0]]))
        prediction = model.predict(model.batch([atom]))
        assert torch.isfinite(prediction.energy).all()
        assert torch.equal(prediction.forces, torch.zeros(1, 3, dtype=model.dtype))

    def test_unknown_element_is_named(self, model):
        number = next(z for z in range(118, 0, -1) if z not in model.elements)
        atom = Atoms([number], positions=[[0, 0, 0]])
        with pytest.raises(UserError, match=atom.get_chemical_formula()):
            model.batch([Structure.unlabelled(atom)])

    # --- symmetry of narrowed models ------------------------------------------------------

    def test_narrowed_model_is_equivariant(self, narrowed, structures):
        crystal = structures[0]
        rng = np.random.default_rng(5)
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        rotation *= np.linalg.det(rotation)
        base = self.labels(narrowed, crystal)
        scale = np.abs(base.forces).max()

        matrices = [rotation]
        if narrowed.has_reflections():
            matrices.append(-np.eye(3))
        for matrix in matrices:
            turned = replace(
                crystal, positions=crystal.positions @ matrix.T, cell=crystal.cell @ matrix.T
            )
            found = self.labels(narrowed, turned)
            assert found.energy == pytest.approx(base.energy, rel=1e-10)
            assert np.abs(found.forces - base.forces @ matrix.T).max() < 1e-10 * scale
            stress = matrix @ voigt_to_matrix(base.stress) @ matrix.T
            assert np.allclose(voigt_to_matrix(found.stress), stress, rtol=1e-9, atol=1e-12)

        shift = rng.normal(size=3)
        moved = self.labels(narrowed, replace(crystal, positions=crystal.positions + shift))
        assert moved.energy == pytest.approx(base.energy, rel=1e-10)
        assert np.abs(moved.forces - base.forces).max() < 1e-10 * scale

        order = rng.permutation(len(crystal))
        permuted = replace(
            crystal, numbers=crystal.numbers[order], positions=crystal.positions[order]
        )
        found = self.labels(narrowed, permuted)
        assert found.energy == pytest.approx(base.energy, rel=1e-10)
        assert np.abs(found.forces - base.forces[order]).max() < 1e-8 * scale

    @pytest.mark.parametrize("index", [0, 2])
    def test_narrowed_forces_are_derivatives(self, narrowed, structures, index):
        structure, step = structures[index], 1e-4
        base = self.labels(narrowed, structure)
        rng = np.random.default_rng(6)
        direction = rng.normal(size=structure.positions.shape)
        energies = [
            self.labels(
                narrowed, replace(structure, positions=structure.positions + s * direction)
            ).energy
            for s in (step, -step)
        ]
        slope = (energies[0] - energies[1]) / (2 * step)
        assert -np.sum(base.forces * direction) == pytest.approx(slope, rel=1e-5, abs=1e-6)

    @pytest.mark.parametrize("native", [True, False])
    def test_a_saved_model_passes_its_checks(
        self, family, model, groups, structures, tmp_path, native
    ):
        """By the family's own code, as users of the file run it, and by ours.

        A little is cut only: random networks of a few channels have next to no forces.
        """
        whole = Plan.identity(groups)
        less = {
            g.name: tuple(range(max(g.floor, g.channels - g.multiple)))
            for g in groups
            if g.axis == "channel"
        }
        plan, _ = model.native_plan(replace(whole, keep={**whole.keep, **less}))
        model.narrow(plan).save(tmp_path / "model.pt")
        model = family.load(tmp_path / "model.pt", modal=model.modal, dtype=torch.float64)
        found = check_symmetry(model, structures[1], seed=8, native=native)
        assert (found["inversion"] is not None) == model.has_reflections()
        assert found.pop("finite_difference") < FINITE_DIFFERENCE_TOLERANCE
        assert max(v for v in found.values() if v is not None) < SYMMETRY_TOLERANCE

    def test_narrowed_stress_is_a_derivative(self, narrowed, structures):
        crystal, step = structures[1], 1e-4
        base = self.labels(narrowed, crystal)
        strain = np.random.default_rng(7).normal(size=(3, 3))
        strain += strain.T
        energies = []
        for sign in (1, -1):
            deform = np.eye(3) + sign * step * strain
            strained = replace(
                crystal, positions=crystal.positions @ deform, cell=crystal.cell @ deform
            )
            energies.append(self.labels(narrowed, strained).energy)
        volume = abs(np.linalg.det(crystal.cell))
        slope = (energies[0] - energies[1]) / (2 * step) / volume
        work = np.sum(voigt_to_matrix(base.stress) * strain)
        assert work == pytest.approx(slope, rel=1e-5, abs=1e-7)

    @staticmethod
    def labels(model: Model, structure: Structure) -> Structure:
        return next(label(model, [structure], batch_size=1))

    # --- files ----------------------------------------------------------------------------

    def test_copy_saves_the_same_bytes(self, narrowed, tmp_path):
        narrowed.save(tmp_path / "model.pt")
        copy.deepcopy(narrowed).save(tmp_path / "copy.pt")
        assert (tmp_path / "copy.pt").read_bytes() == (tmp_path / "model.pt").read_bytes()

    def test_saved_model_is_the_same(self, family, narrowed, structures, tmp_path):
        path = tmp_path / "model.pt"
        narrowed.save(path)
        loaded = family.load(path, modal=narrowed.modal, dtype=torch.float64)
        found = loaded.predict(loaded.batch(structures))
        expected = narrowed.predict(narrowed.batch(structures))
        assert_close(found, expected, 1e-4, floor=1e-3)  # saved in float32
        assert loaded.shape() == narrowed.shape()
        assert loaded.parameter_count() == narrowed.parameter_count()
        assert loaded.native == narrowed.native

        loaded.save(tmp_path / "again.pt")
        assert (tmp_path / "again.pt").read_bytes() == path.read_bytes()
        assert sorted(p.name for p in tmp_path.iterdir()) == ["again.pt", "model.pt"]

    def test_calculator_agrees(self, family, narrowed, structures, tmp_path):
        path = tmp_path / "model.pt"
        narrowed.save(path)
        model = family.load(path, modal=narrowed.modal)
        calculator = family.calculator(path, modal=narrowed.modal)
        for structure in structures:
            expected = self.labels(model, structure)
            atoms = replace(structure, energy=np.nan).to_atoms()
            atoms.calc = calculator
            scale = np.abs(expected.forces).max()
            assert atoms.get_potential_energy() == pytest.approx(expected.energy, rel=1e-5)
            assert np.abs(atoms.get_forces() - expected.forces).max() < 1e-4 * scale + 1e-5
            if structure.pbc.all():
                stress = atoms.get_stress()
                assert np.abs(stress - expected.stress).max() < 1e-4 * np.abs(stress).max() + 1e-6

    def test_the_line_that_users_are_given_loads_it(self, family, narrowed, structures, tmp_path):
        path = tmp_path / "model.pt"
        narrowed.save(path)
        atoms = replace(structures[0], energy=np.nan).to_atoms()
        exec(loading_line(family.name, path, narrowed.modal), {"atoms": atoms})
        expected = self.labels(family.load(path, modal=narrowed.modal), structures[0])
        assert atoms.get_potential_energy() == pytest.approx(expected.energy, rel=1e-5)

    def test_build_makes_the_same_shape(self, family, narrowed):
        built = family.build(narrowed.native, modal=narrowed.modal)
        assert built.shape() == narrowed.shape()
        names = {name: p.shape for name, p in narrowed.network.named_parameters()}
        assert {name: p.shape for name, p in built.network.named_parameters()} == names

    # --- new weights, shifts, elements, matrices ------------------------------------------

    def test_fits_are_exact_where_nothing_was_removed(self, model, groups, batch):
        """What should leave the maps is what they make of their inputs."""
        plan = Plan.identity(groups)
        same = model.narrow(plan)
        fits = model.linear_fits(same, plan)
        assert fits and len({fit.name for fit in fits}) == len(fits)
        for fit in fits:
            rows = fit.rows(Pair(batch, batch))
            for irrep, weight in fit.weights().items():
                made = torch.einsum("nci,cd->ndi", rows.inputs[irrep], weight)
                torch.testing.assert_close(made, rows.outputs[irrep], rtol=1e-10, atol=1e-10)

    def test_fits_go_on_where_the_last_one_was(self, model, groups, batch):
        """New weights of earlier maps count, whether networks ran from their start or not."""
        plan, _ = model.native_plan(Plan.random(groups, np.random.default_rng(5)))
        copy = model.narrow(plan)
        source = start = Pair(batch, batch)
        for fit in model.linear_fits(copy, plan):
            rows, anew = fit.rows(source), fit.rows(start)
            for found, expected in ((rows.inputs, anew.inputs), (rows.outputs, anew.outputs)):
                assert found.keys() == expected.keys()
                for irrep in found:
                    torch.testing.assert_close(found[irrep], expected[irrep], rtol=1e-9, atol=1e-9)
            fit.set_weights({irrep: 1.1 * weight for irrep, weight in fit.weights().items()})
            source = pickle.loads(pickle.dumps(rows.progress))

    def test_weights_of_fits_can_be_replaced(self, model, groups, batch):
        rng = np.random.default_rng(7)
        plan, _ = model.native_plan(Plan.random(groups, rng))
        copy = model.narrow(plan)
        before = copy.predict(batch)
        fits = model.linear_fits(copy, plan)
        for fit in fits:
            fit.set_weights(fit.weights())
        assert_close(copy.predict(batch), before, 1e-12)
        for fit in fits:
            doubled = {irrep: 2 * weight for irrep, weight in fit.weights().items()}
            fit.set_weights(doubled)
            for irrep, weight in fit.weights().items():
                torch.testing.assert_close(weight, doubled[irrep], rtol=1e-12, atol=0)
        assert not torch.allclose(copy.predict(batch).forces, before.forces)

    def test_fresh_weights(self, narrowed, structures):
        first, again, other = (narrowed.fresh(seed) for seed in (1, 1, 2))
        assert first.shape() == narrowed.shape()
        assert first.dtype == narrowed.dtype
        batch = narrowed.batch(structures)
        predictions = [model.predict(batch).energy for model in (first, again, other)]
        assert torch.equal(predictions[0], predictions[1])
        assert not torch.allclose(predictions[0], predictions[2])
        assert not torch.allclose(predictions[0], narrowed.predict(batch).energy)

    def test_shifted_energies(self, family, narrowed, structures, tmp_path):
        model = copy.deepcopy(narrowed)
        batch = model.batch(structures)
        before = model.predict(batch)
        shifts = {14: 1.5, 11: -2.0, 1: 0.25}
        model.shift_energies(shifts)
        after = model.predict(batch)
        expected = [sum(shifts.get(int(z), 0.0) for z in s.numbers) for s in structures]
        assert np.allclose(after.energy - before.energy, expected, atol=1e-9)
        assert torch.allclose(after.forces, before.forces, atol=1e-10)

        model.save(tmp_path / "model.pt")
        loaded = family.load(tmp_path / "model.pt", modal=model.modal, dtype=torch.float64)
        assert torch.allclose(loaded.predict(batch).energy, after.energy, rtol=1e-5)
        unknown = next(z for z in range(118, 0, -1) if z not in model.elements)
        with pytest.raises(UserError, match="does not know"):
            model.shift_energies({unknown: 1.0})

    def test_restricted_elements(self, family, narrowed, structures, tmp_path):
        needed = {int(z) for s in structures for z in s.numbers}
        small = narrowed.restrict_elements(needed)
        assert small.elements == tuple(sorted(needed))
        assert small.parameter_count() <= narrowed.parameter_count()
        expected = narrowed.predict(narrowed.batch(structures))
        found = small.predict(small.batch(structures))
        assert_close(found, expected, 1e-10)
        assert small.cost_model()({}).parameters == small.parameter_count()

        small.save(tmp_path / "model.pt")
        loaded = family.load(tmp_path / "model.pt", modal=small.modal, dtype=torch.float64)
        assert loaded.elements == small.elements
        found = loaded.predict(loaded.batch(structures))
        assert_close(found, expected, 1e-4, floor=1e-3)

        gone = next(z for z in narrowed.elements if z not in needed)
        atom = Structure.unlabelled(Atoms([gone], positions=[[0, 0, 0]]))
        with pytest.raises(UserError, match="does not know"):
            small.batch([atom])
        with pytest.raises(UserError, match="no elements"):
            narrowed.restrict_elements([])

    def test_parameters_are_parts_of_the_network(self, model):
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        parts = model.parameter_parts()
        assert list(parts) == trained
        assert set(parts.values()) <= set(get_args(ParameterRole))
        assert {"linear", "radial", "readout"} <= set(parts.values())

    def test_weight_blocks_lie_inside_their_parameters(self, model):
        parameters = dict(model.network.named_parameters())
        covered = {name: torch.zeros(p.numel(), dtype=torch.int) for name, p in parameters.items()}
        for block in model.weight_blocks():
            size = block.shape[0] * block.shape[1]
            part = covered[block.parameter][block.start : block.start + size]
            assert len(part) == size > 0
            part += 1
        assert max(int(part.max()) for part in covered.values()) == 1
        # Tables that are never trained are no weights of maps.
        trained = [name for name, p in parameters.items() if p.requires_grad]
        share = sum(int(covered[name].sum()) for name in trained)
        assert share > 0.9 * sum(parameters[name].numel() for name in trained)


def voigt_to_matrix(stress: np.ndarray) -> np.ndarray:
    """Return the symmetric matrix of xx, yy, zz, yz, xz, xy."""
    xx, yy, zz, yz, xz, xy = stress
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


class UntrainedProtocol:
    """Tests of `MakesUntrained`; a subclass gives `family`, and settings `larger` and `wrong`."""

    @pytest.fixture(scope="class")
    def data(self, structures) -> DataStatistics:
        return measure_statistics(
            {1: -1.0, 6: -7.0, 8: -5.0, 11: -2.0, 14: -5.4, 17: -3.0}, structures
        )

    def test_small_model_of_the_datas_elements(self, family, data, structures):
        model = family.untrained({}, data, seed=1)
        assert model.dtype == torch.float32
        assert list(model.elements) == data.elements
        assert model.parameter_count() < 500_000
        prediction = model.predict(model.batch(structures))
        for structure, energy in zip(structures, prediction.energy.tolist(), strict=True):
            constant = sum(data.references[int(z)] + data.shift for z in structure.numbers)
            assert abs(energy - constant) < 3 * data.scale * len(structure)
        assert 0 < float(prediction.forces.std()) < 10 * data.scale

    def test_references_and_scale_are_the_datas(self, family, data, structures):
        moved = replace(data, references={z: e + z for z, e in data.references.items()})
        scaled = replace(data, scale=2 * data.scale)
        found = []
        for statistics in (data, moved, scaled):
            model = family.untrained({}, statistics, seed=1)
            found.append(model.predict(model.batch(structures)))
        base, up, large = found
        added = torch.tensor([float(s.numbers.sum()) for s in structures])
        torch.testing.assert_close((up.energy - base.energy).float(), added, rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(up.forces, base.forces)
        torch.testing.assert_close(large.forces, 2 * base.forces, rtol=1e-4, atol=1e-6)

    def test_weights_follow_from_the_seed(self, family, data):
        state = torch.random.get_rng_state()
        first, again, other = (
            torch.cat(
                [p.detach().flatten() for p in family.untrained({}, data, seed=s).parameters()]
            )
            for s in (1, 1, 2)
        )
        assert torch.equal(first, again) and not torch.equal(first, other)
        assert torch.equal(torch.random.get_rng_state(), state)

    def test_settings_change_the_shape_and_files_keep_it(
        self, family, larger, data, structures, tmp_path
    ):
        model = family.untrained(larger, data, seed=1)
        small = family.untrained({}, data, seed=1)
        assert model.shape() != small.shape()
        assert model.parameter_count() > small.parameter_count()
        model.save(tmp_path / "model.pt")
        loaded = family.load(tmp_path / "model.pt")
        assert loaded.shape() == model.shape()
        expected = model.predict(model.batch(structures))
        assert_close(loaded.predict(loaded.batch(structures)), expected, 1e-5, 1e-5)

    def test_unknown_and_impossible_settings_are_refused(self, family, wrong, data):
        with pytest.raises(UserError, match=r"untrained\.colour: no setting of .* Known: "):
            family.untrained({"colour": "red"}, data, seed=1)
        with pytest.raises(UserError, match="untrained"):
            family.untrained(wrong, data, seed=1)
