"""Deployments for ML-IAP: the stand-in for LAMMPS's data, and a small SevenNet run with it."""

import shutil
import sys

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.lj import LennardJones

from irrepress.core.errors import UserError
from irrepress.deploy.config import DeploySettings
from irrepress.deploy.deployment import Source, deploy
from irrepress.deploy.target import MLIAP, get_target, load_script, read_file

CUTOFF = 6.0


class PairPotential:
    """Lennard-Jones for ML-IAP, by pairs alone, with the elements in an order of its own."""

    element_types = ("Xe", "Ar", "Ne")
    rcutfac, ndescriptors, nparams = CUTOFF / 2, 1, 1

    def compute_forces(self, data):
        squares = (data.rij**2).sum(1)
        sixth, at_cutoff = squares**-3, CUTOFF**-6
        weights = np.array([0.5, 1.0, 2.0])  # of the first element: xenon, argon, neon
        weight = weights[data.elems[data.pair_i]] * weights[data.elems[data.pair_j]]
        data.update_pair_energy(weight * 4 * (sixth**2 - sixth - at_cutoff**2 + at_cutoff))
        slope = weight * 4 * (6 * sixth - 12 * sixth**2) / squares
        data.update_pair_forces(0.5 * slope[:, None] * data.rij)  # each pair is there twice


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The script that stands in for LAMMPS, of no deployment."""
    path = tmp_path_factory.mktemp("script") / "runtime.py"
    path.write_text(read_file("mliap.py"))
    (path.parent / "in_lammps.py").write_text(get_target("mliap").input_text(_Model))
    return load_script(path)


class _Model:
    class family:
        name = "mace"


def structures() -> list[Atoms]:
    """A skewed crystal smaller than the cutoff, a slab and a cluster, all of argon."""
    crystal = bulk("Ar", "hcp", a=1.2, c=1.93)
    crystal.set_cell(crystal.cell[:] @ [[1.05, 0.1, 0], [0, 0.97, 0.02], [0, 0, 1]], True)
    frames = [
        crystal,
        fcc111("Ar", (2, 2, 2), a=1.7, vacuum=4.0, periodic=False),
        Atoms("Ar7", np.eye(7, 3) * 1.2 + np.arange(7)[:, None] * 0.4),
    ]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.02, seed=seed)
    return frames


@pytest.mark.parametrize("atoms", structures(), ids=["crystal", "slab", "cluster"])
def test_a_pair_potential_gives_ases_energy_forces_and_stress(script, atoms):
    data = script.LammpsData(PairPotential, atoms, ["Ar"])
    assert (data.ntotal > data.nlocal) == atoms.pbc.any()
    assert np.all(np.diff(data.pair_i) >= 0) and data.pair_j.max() < data.ntotal
    PairPotential().compute_forces(data)
    atoms.calc = LennardJones(sigma=1.0, epsilon=1.0, rc=CUTOFF, smooth=False)
    assert data.energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    expected = atoms.get_forces()
    np.testing.assert_allclose(data.forces(), expected, atol=1e-11 * abs(expected).max())
    if atoms.pbc.all():
        virial = -atoms.get_stress(voigt=False) * atoms.get_volume()
        np.testing.assert_allclose(data.virial, virial, atol=1e-11 * abs(virial).max())


def test_elements_are_mapped_whatever_their_order(script):
    atoms = bulk("NaCl", "rocksalt", a=3.4)
    atoms.symbols = ["Ne", "Xe"]
    energies = []
    for symbols in (["Ne", "Xe"], ["Xe", "Ne"], ["Ar", "Xe", "Ne"]):
        data = script.LammpsData(PairPotential, atoms, symbols)
        assert set(data.elems[data.owners == 0]) == {2} and set(data.elems[data.owners == 1]) == {0}
        PairPotential().compute_forces(data)
        energies.append(data.energy)
    assert energies[0] == energies[1] == energies[2]
    with pytest.raises(ValueError, match="the model does not know Kr"):
        script.LammpsData(PairPotential, atoms, ["Kr", "Ne", "Xe"])


def test_ghosts_take_features_from_their_owners_and_give_gradients_back(script):
    data = script.LammpsData(PairPotential, structures()[0], ["Ar"])
    torch.manual_seed(0)
    features, gradients = torch.randn(2, data.ntotal, 5, dtype=torch.float64)
    features[data.nlocal :] = 0.0
    forward, back = torch.empty_like(features), torch.empty_like(features)
    data.forward_exchange(features, forward, 5)
    assert torch.equal(forward[data.nlocal :], features[data.owners[data.nlocal :]])
    data.reverse_exchange(gradients, back, 5)
    given = (forward * gradients).sum()
    torch.testing.assert_close((features * back)[: data.nlocal].sum(), given)
    with pytest.raises(TypeError, match="features are"):
        data.forward_exchange(features[: data.nlocal], forward, 5)


def test_lammps_is_asked_whether_it_loads_files(script, tmp_path):
    """By what its source and a LAMMPS without Python answer."""
    command = tmp_path / "lmp"
    for answer, reason in (
        ("Running mliappy unified module failure. (src/KOKKOS/mliap_unified_kokkos.cpp:1)", None),
        ("Using pair_style mliap unified requires ML-IAP with python support", "python support"),
    ):
        command.write_text(f'#!/bin/sh\necho "ERROR: {answer}" >log.lammps\nexit 1\n')
        command.chmod(0o755)
        found = script.why_not_in_lammps(f"{command} -k on")
        assert found is reason is None or reason in found
    assert "cannot be started" in script.why_not_in_lammps("no-such-program")


@pytest.fixture(scope="module")
def deployed(compressed, tmp_path_factory):
    """A small model for ML-IAP, where LAMMPS is not, checked on a salt, a cell and water."""
    folder = tmp_path_factory.mktemp("deployed") / "small"
    frames = [bulk("NaCl", "rocksalt", a=5.6, cubic=True), bulk("Si"), molecule("H2O")]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.08, seed=seed)
    source = Source(compressed, "small", {"name": "small"})
    settings = DeploySettings(targets=["mliap"], minutes=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMP", "no-such-lammps")
        record = deploy(source, get_target("mliap"), folder, settings, structures=frames)
    return folder, record


def test_a_deployment_proves_itself_and_says_with_what(deployed):
    folder, record = deployed
    expected = {
        *("deployed.pt", "runtime.py", "in_lammps.py", "in.lammps", "structure.data", "check.py"),
        *("golden.extxyz", "deployment.json", "card.json"),
    }
    assert {path.name for path in folder.iterdir()} == expected
    assert record.golden == ["Cl4Na4", "Si2", "H2O"] and record.times == []
    golden = ase.io.read(folder / "golden.extxyz", ":")
    assert all(abs(atoms.get_forces()).max() > 0.05 for atoms in golden)  # eV/Å: not of nothing
    assert record.differences["energy"] < 1e-6 and record.differences["stress"] < 1e-7
    assert record.differences["forces"] < 1e-5
    assert "with a stand-in for the data of LAMMPS" in record.checked
    assert "no-such-lammps cannot be started" in record.checked
    assert record.tested.keys() == {"sevenn", "torch"} and "e3nn" in record.notes[0]
    assert b"irrepress" not in (folder / "deployed.pt").read_bytes()  # nothing of this machine

    text = (folder / "in.lammps").read_text()
    assert "pair_style      mliap unified deployed.pt 0\npair_coeff      * * Cl Na\n" in text
    assert "-k on g 1 -sf kk -pk kokkos newton on neigh half -in in.lammps" in text


def test_the_check_tells_in_one_line_that_lammps_is_stood_in_for(deployed, monkeypatch, capfd):
    """As check.py calls it, which was run when the model was deployed."""
    monkeypatch.setenv("LMP", "none")
    runtime = load_script(deployed[0] / "runtime.py")
    atoms = ase.io.read(deployed[0] / "golden.extxyz", 2)
    (found,) = runtime.evaluate([atoms], "cpu")
    assert found["energy"] == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
    assert "stress" not in found
    (note,) = capfd.readouterr().err.splitlines()
    assert note.startswith("note: not in LAMMPS, but with a stand-in for its data (none cannot be")


def test_elements_in_another_order_give_the_same(deployed):
    runtime = load_script(deployed[0] / "runtime.py")
    runtime.check_input(deployed[0] / "in.lammps")
    atoms = ase.io.read(deployed[0] / "golden.extxyz", 0)
    for symbols in (["Cl", "Na"], ["Na", "Cl"], ["O", "Na", "Cl"]):
        found = runtime.compute(atoms, symbols)
        assert found["energy"] == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
        np.testing.assert_allclose(found["forces"], atoms.get_forces(), atol=1e-5)
    swapped = deployed[0].parent / "swapped.in"
    swapped.write_text((deployed[0] / "in.lammps").read_text().replace("Cl Na", "Na Cl"))
    shutil.copy(deployed[0] / "structure.data", swapped.parent)
    with pytest.raises(RuntimeError, match=r"names Na Cl, but the masses .* of Cl Na; name these"):
        runtime.check_input(swapped)


def test_what_cannot_be_is_refused_in_one_message(compressed, tmp_path, monkeypatch):
    def asked(target):
        settings = DeploySettings(targets=["mliap"], minutes=0, structures=1)
        deploy(Source(compressed, "small"), target, tmp_path / "out", settings)

    with pytest.raises(UserError, match=r"--lmp nothing: does not load models .*leave it out"):
        asked(MLIAP("nothing"))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "sevenn.mliap", None)  # as in a sevenn before ML-IAP
        with pytest.raises(UserError, match=r"mliap: sevenn cannot write this model .*as native"):
            asked(MLIAP())
    with pytest.raises(ValueError, match="cuequivariance is for the target mliap"):
        DeploySettings(targets=["native"], cuequivariance=True)
    monkeypatch.setattr(MLIAP, "missing", lambda self, family: [])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"cuEquivariance on a GPU alone.*leave cuequivariance out"):
        asked(MLIAP(cuequivariance=True))
    assert not list(tmp_path.iterdir())


def test_a_family_without_a_file_for_ml_iap_is_told_what_there_is(compressed, monkeypatch):
    monkeypatch.setattr(type(compressed.family), "name", "escn")
    with pytest.raises(UserError, match="runs models of mace, sevennet and not of escn; choose"):
        get_target("mliap").takes(compressed)
