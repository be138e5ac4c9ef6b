"""A shorter cutoff: what stays as it was, and that energies stay smooth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from irrepress.testing import assert_close, gates_of, random_plan

# Not "mace" alone: that is the name of this folder, too.
pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.evaluation.symmetry import check_symmetry
from irrepress.families.mace.checkpoint import make_model
from irrepress.families.mace.package import MACECalculator
from irrepress.pruning.compensation import compensate

CUTOFF = 3.6  # where the models end at 4
FITTED = ("conv_tp_weights.", "density_fn.")


@pytest.fixture(scope="module", params=["agnostic", "density", "nonlinear"])
def parent(request, mace, architecture_file):
    """Random weights: plain; transformed distances and densities; networks that know elements."""
    path, modal = architecture_file(request.param)
    return mace.load(path, modal=modal, dtype=torch.float64)


@pytest.fixture(scope="module")
def shorter(parent):
    return parent.with_cutoff(CUTOFF)


def predict(model, structures):
    return model.predict(model.batch(structures))


def taken_over(model, cutoff):
    """The model with its own weights, in the network that MACE builds for a shorter cutoff."""
    taken = model.family.build(
        {**model.native, "r_max": cutoff}, modal=model.modal, dtype=model.dtype
    )
    weights = dict(model.network.named_parameters())
    with torch.no_grad():
        for name, parameter in taken.network.named_parameters():
            parameter.copy_(weights[name])
    return taken


def force_error(model, parent, structures) -> float:
    found, expected = (predict(each, structures).forces for each in (model, parent))
    return float((found - expected).abs().mean())


def test_the_network_sees_fewer_neighbours_and_is_the_same_otherwise(parent, shorter, structures):
    assert parent.cutoff == 4.0
    assert shorter.shape() == {**parent.shape(), "cutoff": CUTOFF}
    assert shorter.parameter_count() == parent.parameter_count()
    assert shorter.groups() == parent.groups()
    edges = [model.batch(structures).inputs["edge_index"] for model in (parent, shorter)]
    assert edges[1].shape[1] < edges[0].shape[1]
    numbers = [
        network.interactions[0].avg_num_neighbors for network in (parent.network, shorter.network)
    ]
    assert numbers[0] == numbers[1]
    weights = dict(parent.network.named_parameters())
    changed = {
        name
        for name, parameter in shorter.network.named_parameters()
        if not torch.equal(parameter, weights[name])
    }
    assert changed and all(any(part in name for part in FITTED) for name in changed)
    assert shorter.native["trained"] == parent.native["trained"]
    if parent.native["pair_repulsion"]:  # whose exponent MACE's constructor takes from the envelope
        repulsions = [model.network.pair_repulsion_fn.p for model in (parent, shorter)]
        assert repulsions[0] == repulsions[1] != shorter.network.radial_embedding.cutoff_fn.p


def test_molecules_that_lose_no_neighbour_stay_as_they_are(parent, shorter):
    """Nearly, and far better than if the weights were taken over as they are."""
    molecules = [molecule(name) for name in ("CH3OH", "SiH4", "CH3Cl", "H2O", "CH4")]
    assert all(atoms.get_all_distances().max() < 0.85 * CUTOFF for atoms in molecules)
    structures = [Structure.unlabelled(atoms) for atoms in molecules]
    taken = taken_over(parent, CUTOFF)
    errors = [force_error(model, parent, structures) for model in (shorter, taken)]
    size = float(predict(parent, structures).forces.abs().mean())
    assert errors[0] < 0.4 * errors[1] and errors[0] < 0.2 * size, (errors, size)


def test_energy_and_forces_are_continuous_where_an_edge_ends(shorter):
    """And gone beyond: two atoms just within the cutoff are two free atoms."""
    pair = [Atoms("Si2", [[0, 0, 0], [d, 0, 0]]) for d in (CUTOFF - 1e-3, CUTOFF + 1e-3)]
    near, far, alone = (
        predict(shorter, [Structure.unlabelled(atoms)]) for atoms in (*pair, Atoms("Si"))
    )
    assert float((near.energy - far.energy).abs()) < 1e-6
    assert float(near.forces.abs().max()) < 2e-3
    assert float(far.energy) == pytest.approx(2 * float(alone.energy), abs=1e-10)


def test_forces_are_the_slopes_of_the_energy_in_every_frame(shorter, structures):
    for native in (True, False):
        symmetry = check_symmetry(shorter, structures[0], native=native)
        assert symmetry.pop("finite_difference") < 1e-5
        assert max(symmetry.values()) < 1e-9


def test_masked_is_narrowed(parent, shorter, structures):
    groups = parent.groups()
    plan, _ = parent.native_plan(random_plan(groups, 2, 1, 1))
    plan = replace(plan, cutoff=CUTOFF)
    with shorter.gated(gates_of(groups, plan, shorter.dtype)):
        masked = predict(shorter, structures)
    narrowed = parent.narrow(plan)
    assert narrowed.cutoff == CUTOFF
    assert_close(predict(narrowed, structures), masked, 1e-9, periodic=[0, 1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_files_load_in_mace_and_are_the_same_every_time(
    mace, architecture_file, structures, tmp_path, dtype
):
    path, modal = architecture_file("density")
    parent = mace.load(path, modal=modal, dtype=dtype)
    paths = [tmp_path / "one.model", tmp_path / "two.model"]
    for path in paths:
        model = parent.with_cutoff(CUTOFF)
        model.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert model.dtype == dtype
    expected = predict(model, structures)
    calculator = MACECalculator(
        model_paths=str(paths[0]), device="cpu", default_dtype=str(dtype)[6:]
    )
    assert calculator.r_max == pytest.approx(CUTOFF)
    energies = []
    for structure in structures:
        atoms = structure.to_atoms()
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    np.testing.assert_allclose(energies, expected.energy.numpy(), rtol=tolerance)
    loaded = mace.load(paths[0], dtype=dtype)
    assert loaded.cutoff == pytest.approx(CUTOFF)
    assert loaded.native == model.native
    torch.testing.assert_close(predict(loaded, structures).forces, expected.forces)


@pytest.mark.parametrize("cutoff", [4.0, 5.0, 2.3])
def test_a_cutoff_that_is_not_shorter_or_far_too_short_is_refused(parent, cutoff):
    plan = replace(Plan.identity(parent.groups()), cutoff=cutoff)
    with pytest.raises(UserError, match=rf"cutoff is {cutoff:g} Å.*less than .* 4 Å .* 2\.4 Å"):
        parent.narrow(plan)


def test_a_repulsion_that_would_break_off_is_refused(network_maker):
    model = make_model(network_maker(pair_repulsion=True, r_max=4.5), None)
    with pytest.raises(
        UserError, match=r"repulsion \(ZBL\) of Na-Na, .* ends at 3\.32 Å: .*restrict"
    ):
        model.with_cutoff(2.7)


@pytest.mark.slow
def test_real_weights_stay_near_the_parent(gst, gst_frames):
    """Without data; compensation brings them nearer still."""
    plan = replace(Plan.identity(gst.groups()), cutoff=4.5)
    before, after = gst.narrow(plan), gst.narrow(plan)
    frames = sorted(gst_frames, key=len)[:12]
    compensate(gst, after, plan, frames[:8], batch_size=2, displacement=0.02)
    unseen = frames[8:]
    errors = [force_error(model, gst, unseen) for model in (after, before, taken_over(gst, 4.5))]
    assert errors[0] < errors[1] < 0.25 * errors[2]
    assert errors[1] < 0.03  # eV/Å
    energies = [predict(model, unseen).energy for model in (before, gst)]
    sizes = torch.tensor([len(frame) for frame in unseen])
    assert float(((energies[0] - energies[1]) / sizes).abs().mean()) < 0.006


@pytest.mark.slow
def test_real_weights_of_molecules_stay_near_the_parent(mace, real_file, shared_data):
    parent = mace.load(real_file("mace-ani-cc-64x0e"), dtype=torch.float64)
    import ase.io

    frames = ase.io.read(shared_data / "molecules" / "3bpa-300K-train.extxyz.xz", "::100")
    structures = [Structure.unlabelled(atoms) for atoms in frames]
    shorter = parent.with_cutoff(4.5)
    errors = [
        force_error(model, parent, structures) for model in (shorter, taken_over(parent, 4.5))
    ]
    assert errors[0] < 0.5 * errors[1]
