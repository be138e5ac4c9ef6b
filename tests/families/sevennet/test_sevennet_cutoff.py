"""A shorter cutoff: what stays as it was, and that energies stay smooth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from sevenn.scripts.deploy import deploy
from slopes import check_that_forces_are_slopes

from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.evaluation.symmetry import check_symmetry
from irrepress.testing import assert_close, gates_of, random_plan

CUTOFF = 4.6


@pytest.fixture(scope="module")
def shorter(small_sevennet_double):
    return small_sevennet_double.with_cutoff(CUTOFF)


@pytest.fixture(scope="module")
def tiny(checkpoint_writer, tmp_path_factory):
    """A network with random weights and small radial networks, which are fitted quickly."""
    return checkpoint_writer(tmp_path_factory.mktemp("tiny") / "tiny.pth")


def predict(model, structures):
    return model.predict(model.batch(structures))


def test_the_network_sees_fewer_neighbours_and_is_the_same_otherwise(
    small_sevennet_double, shorter, structures
):
    parent = small_sevennet_double
    assert parent.cutoff == 5.0 and parent.shape()["cutoff"] == 5.0
    before, after = parent.shape(), shorter.shape()
    assert after == {**before, "cutoff": CUTOFF}
    assert shorter.parameter_count() == parent.parameter_count()
    assert shorter.groups() == parent.groups()
    edges = [model.batch(structures).inputs["edge_vec"] for model in (parent, shorter)]
    assert len(edges[1]) < len(edges[0])
    assert edges[1].norm(dim=1).max() <= CUTOFF
    weights = parent.state_dict()
    changed = {n for n, t in shorter.state_dict().items() if not torch.equal(t, weights[n])}
    assert changed and all(".weight_nn." in name for name in changed)


def radial_weights(model, radii):
    """All radial weights at some distances, [points, weights]."""
    modules = model.network._modules
    edges = modules["edge_embedding"]
    basis = edges.basis_function(radii) * edges.cutoff_function(radii)[:, None]
    layers = [m.weight_nn(basis) for name, m in modules.items() if name.endswith("_convolution")]
    return torch.cat(layers, dim=1).detach()


def test_radial_networks_give_what_they_gave(sevennet, small_sevennet_double, shorter):
    """Far better than if they were taken over as they are."""
    radii = torch.linspace(1.5, 4.2, 50, dtype=torch.float64)
    taken = sevennet.build(shorter.native)
    taken.network.double().load_state_dict(small_sevennet_double.network.state_dict())
    target, *found = (
        radial_weights(model, radii) for model in (small_sevennet_double, shorter, taken)
    )
    errors = [float((each - target).norm() / target.norm()) for each in found]
    assert errors[0] < 0.03 and errors[0] < 0.3 * errors[1]


def test_energy_and_forces_are_continuous_where_an_edge_ends(shorter):
    """And gone beyond: two atoms just within the cutoff are two free atoms."""
    pair = [Atoms("Si2", [[0, 0, 0], [d, 0, 0]]) for d in (CUTOFF - 1e-3, CUTOFF + 1e-3)]
    free = Atoms("Si")
    near, far, alone = (predict(shorter, [Structure.unlabelled(atoms)]) for atoms in (*pair, free))
    assert float((near.energy - far.energy).abs()) < 1e-6
    assert float(near.forces.abs().max()) < 1e-3
    assert float(far.energy) == pytest.approx(2 * float(alone.energy), abs=1e-10)


def test_forces_are_the_slopes_of_the_energy(shorter):
    check_that_forces_are_slopes(shorter)
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=3)
    for native in (True, False):
        symmetry = check_symmetry(shorter, Structure.unlabelled(atoms), native=native)
        assert all(symmetry[name] < 1e-9 for name in ("rotation", "translation", "permutation"))


def test_masked_is_narrowed(sevennet, tiny, structures):
    parent = sevennet.load(tiny, dtype=torch.float64)
    plan, _ = parent.native_plan(random_plan(parent.groups(), 2, 1, 1))
    plan = replace(plan, cutoff=3.6)
    shorter = parent.with_cutoff(3.6)
    with shorter.gated(gates_of(parent.groups(), plan, shorter.dtype)):
        masked = predict(shorter, structures)
    narrowed = parent.narrow(plan)
    assert narrowed.cutoff == 3.6
    assert_close(predict(narrowed, structures), masked, 1e-9, periodic=[0, 1])


def test_files_load_in_sevenn_and_are_the_same_every_time(sevennet, tiny, structures, tmp_path):
    parent = sevennet.load(tiny)
    paths = [tmp_path / "one.pt", tmp_path / "two.pt"]
    for path in paths:
        model = parent.with_cutoff(3.6)
        model.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    expected = predict(model, structures)
    calculator = sevennet.calculator(paths[0])
    energies = []
    for structure in structures:
        atoms = structure.to_atoms()
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
    np.testing.assert_allclose(energies, expected.energy.numpy(), rtol=1e-5)
    loaded = sevennet.load(paths[0])
    assert loaded.cutoff == 3.6
    torch.testing.assert_close(predict(loaded, structures).forces, expected.forces)

    deploy(str(paths[0]), str(tmp_path / "deployed.pt"))
    told = {"cutoff": b""}
    torch.jit.load(tmp_path / "deployed.pt", _extra_files=told)
    assert float(told["cutoff"]) == 3.6  # what LAMMPS asks for


@pytest.mark.parametrize("cutoff", [5.0, 6.0, 2.9])
def test_a_cutoff_that_is_not_shorter_or_far_too_short_is_refused(small_sevennet, cutoff):
    plan = replace(Plan.identity(small_sevennet.groups()), cutoff=cutoff)
    with pytest.raises(UserError, match=rf"the cutoff is {cutoff:g} Å.*less than .* 5 Å .* 3 Å"):
        small_sevennet.narrow(plan)
