"""Fewer layers: what stays as it was, what sevenn builds of it, and where compensation starts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk
from sevenn.scripts.deploy import deploy
from slopes import check_that_forces_are_slopes

from irrepress.core.errors import UserError
from irrepress.core.fits import Pair
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.evaluation.symmetry import check_symmetry
from irrepress.pruning.compensation import compensate
from irrepress.testing import assert_close, gates_of, random_plan


@pytest.fixture(scope="module")
def with_parity(sevennet, checkpoint_writer, tmp_path_factory):
    """A network of O(3) whose first layer gives other irreps than the next ones."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.pth"
    checkpoint_writer(path, num_convolution_layer=4)
    return sevennet.load(path, dtype=torch.float64)


def predict(model, structures):
    return model.predict(model.batch(structures))


def rattled(count: int) -> list[Structure]:
    found = []
    for seed in range(count):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.05, seed=seed)
        found.append(Structure.unlabelled(atoms))
    return found


def test_layers_that_stay_keep_their_weights(small_sevennet_double, structures):
    parent = small_sevennet_double
    fewer = parent.with_layers([0, 2, 4])
    before, after = parent.shape(), fewer.shape()
    assert after == {**before, "layers": 3, "irreps": [before["irreps"][i] for i in (0, 2, 4, 5)]}
    given, found = parent.network.state_dict(), fewer.network.state_dict()
    for name, tensor in found.items():
        layer, _, rest = name.partition("_")
        own = f"{(0, 2, 4)[int(layer)]}_{rest}" if layer.isdecimal() else name
        assert torch.equal(tensor, given[own]), name
    # Energies of free atoms need no layers at all.
    energies = [predict(model, structures).energy for model in (parent, fewer)]
    assert torch.isfinite(energies[1]).all() and not torch.allclose(*energies)
    assert parent.with_layers(None) is parent.with_layers([0, 1, 2, 3, 4]) is parent


def test_groups_are_those_that_layers_read(small_sevennet_double):
    parent = small_sevennet_double
    fewer = parent.with_layers([0, 4])
    names = parent.groups_with_layers([0, 4])
    assert names.keys() == {group.name for group in fewer.groups()}
    assert names["features.1.1e"] == "features.4.1e" and names["messages.1.2e"] == "messages.4.2e"
    assert names["features.2.0e"] == "features.5.0e" and names["filter.1e"] == "filter.1e"
    assert names["features.0.0e"] == "features.0.0e"
    own = {group.name: group.name for group in parent.groups()}
    assert parent.groups_with_layers(None) == own


@pytest.mark.parametrize("layers", [(0, 2, 3), (1, 3)])
def test_masked_is_narrowed(with_parity, structures, layers):
    """Where irreps differ, those that the next layer cannot have stay out."""
    tiny = with_parity
    cutoff = 3.6 if layers[0] else None
    fewer = tiny.with_layers(layers).with_cutoff(cutoff)
    assert fewer.cost_model()({}).parameters == fewer.parameter_count()
    plan, _ = fewer.native_plan(random_plan(fewer.groups(), 2, 1, 1))
    with fewer.gated(gates_of(fewer.groups(), plan, fewer.dtype)):
        masked = predict(fewer, structures)
    narrowed = tiny.narrow(replace(plan, layers=layers, cutoff=cutoff))
    assert narrowed.layers == len(layers) and narrowed.cutoff == fewer.cutoff
    assert_close(predict(narrowed, structures), masked, 1e-9, periodic=[0, 1])


def test_what_leaves_a_layer_is_fitted_to_what_the_next_one_reads(
    small_sevennet_double, structures
):
    parent, layers = small_sevennet_double, (0, 2, 4)
    plan = replace(Plan.identity(parent.with_layers(layers).groups()), layers=layers)
    narrowed = parent.narrow(plan)
    source = Pair.of(parent, narrowed, structures)
    targets = {}
    for fit in parent.linear_fits(narrowed, plan):
        rows = fit.rows(source)
        source = rows.progress
        targets[fit.name] = rows.outputs
        for irrep, weight in fit.weights().items():
            assert rows.inputs[irrep].shape[1] == weight.shape[0]
            assert rows.outputs[irrep].shape[1] == weight.shape[1]
    whole = Plan.identity(parent.groups())
    source = Pair.of(parent, parent, structures)
    wanted = {}
    for fit in parent.linear_fits(parent, whole):
        rows = fit.rows(source)
        source, wanted[fit.name] = rows.progress, rows.outputs
    for name, own in [
        ("0_self_interaction_2", "1_self_interaction_2"),
        ("1_self_interaction_1", "2_self_interaction_1"),
        ("1_self_interaction_2", "3_self_interaction_2"),
        ("2_self_interaction_2", "4_self_interaction_2"),
    ]:
        for irrep, target in targets[name].items():
            assert torch.equal(target, wanted[own][irrep]), (name, irrep)


@pytest.mark.slow
def test_compensation_makes_of_fewer_layers_a_start(small_sevennet_double):
    parent = small_sevennet_double
    layers = (0, 2, 4)
    plan = replace(Plan.identity(parent.with_layers(layers).groups()), layers=layers)
    plain, fitted = parent.narrow(plan), parent.narrow(plan)
    crystals = rattled(16)
    compensate(parent, fitted, plan, crystals[:12])
    target = predict(parent, crystals[12:]).forces
    errors = [
        float((predict(model, crystals[12:]).forces - target).norm()) for model in (plain, fitted)
    ]
    assert errors[1] < 0.3 * errors[0]
    for native in (True, False):
        symmetry = check_symmetry(fitted, crystals[0], native=native)
        assert all(symmetry[name] < 1e-9 for name in ("rotation", "translation", "permutation"))


def test_forces_are_the_slopes_of_the_energy(small_sevennet_double):
    check_that_forces_are_slopes(small_sevennet_double.with_layers([0, 4]))


@pytest.mark.slow
def test_files_load_in_sevenn(sevennet, small_sevennet, structures, tmp_path):
    fewer = small_sevennet.with_layers([0, 1, 4])
    plan, _ = fewer.native_plan(Plan.random(fewer.groups(), np.random.default_rng(1)))
    path = tmp_path / "model.pt"
    model = small_sevennet.narrow(replace(plan, layers=(0, 1, 4)))
    model.save(path)
    expected = predict(model, structures)
    calculator = sevennet.calculator(path)
    energies = []
    for structure in structures:
        atoms = structure.to_atoms()
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
    np.testing.assert_allclose(energies, expected.energy.numpy(), rtol=1e-5)
    loaded = sevennet.load(path)
    assert loaded.shape() == model.shape() and loaded.layers == 3
    torch.testing.assert_close(predict(loaded, structures).forces, expected.forces)
    deploy(str(path), str(tmp_path / "deployed.pt"))
    assert (tmp_path / "deployed.pt").stat().st_size > 0


@pytest.mark.parametrize("layers", [(), (0, 5), (4, 1), (4, 4), (-1, 4), (0, 3)])
def test_layers_that_are_not_there_are_refused(small_sevennet, layers):
    plan = replace(Plan.identity(small_sevennet.groups()), layers=layers)
    with pytest.raises(
        UserError, match=r"layers .*: the model has the layers 0 to 4; name .* with 4"
    ):
        small_sevennet.narrow(plan)
