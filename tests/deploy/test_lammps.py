"""A deployed model in a real LAMMPS: ASE's results, dynamics, and input as users write it."""

import importlib.util
import os
import subprocess
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from lammps_build import CannotBuild, lammps_command

from irrepress.core.errors import UserError
from irrepress.deploy.config import DeploySettings
from irrepress.deploy.deployment import Source, deploy
from irrepress.deploy.target import MLIAP, Lammps

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lammps():
    """The command of a LAMMPS with sevenn's pair style."""
    try:
        return lammps_command(ROOT / "build" / "lammps")
    except CannotBuild as error:
        pytest.skip(f"no LAMMPS: {error}")


@pytest.fixture(scope="module")
def deployed(compressed, lammps, tmp_path_factory):
    """A compressed model for LAMMPS, checked there, with its record."""
    folder = tmp_path_factory.mktemp("lammps") / "small"
    settings = DeploySettings(targets=["lammps"], largest=8, minutes=5)
    frames = [bulk("NaCl", "rocksalt", a=5.6, cubic=True), bulk("Si"), molecule("H2O")]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.08, seed=seed)
    source = Source(compressed, "small")
    record = deploy(source, Lammps(lammps), folder, settings, structures=frames, parent=source)
    return folder, record


@pytest.fixture(scope="module")
def runtime(deployed, lammps):
    """The folder's runtime.py, which runs LAMMPS."""
    spec = importlib.util.spec_from_file_location("runtime", deployed[0] / "runtime.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMP", lammps)
        yield module


def thermo(log: str) -> np.ndarray:
    """The last table of thermodynamic output, its columns as they were asked for."""
    lines = log.splitlines()
    first = max(i for i, line in enumerate(lines) if line.split()[:1] == ["Step"])
    last = next(i for i, line in enumerate(lines[first:], first) if line.startswith("Loop time"))
    return np.loadtxt(lines[first + 1 : last])


def test_energies_forces_and_pressure_are_ases_for_two_elements_a_skewed_cell_and_a_molecule(
    deployed,
):
    """check.py has compared them in LAMMPS: a salt, a primitive cell, water without a cell."""
    folder, record = deployed
    assert record.checked.startswith("by check.py in LAMMPS")
    assert record.golden == ["Cl4Na4", "Si2", "H2O"]
    golden = ase.io.read(folder / "golden.extxyz", ":")
    assert all(abs(atoms.get_forces()).max() > 0.05 for atoms in golden)  # eV/Å: not of nothing
    assert record.differences["energy"] < 1e-6
    assert record.differences["forces"] < 1e-4
    assert record.differences["stress"] < 1e-6
    assert [(time.atoms, time.model) for time in record.times] == [(8, "deployed"), (8, "parent")]


def test_the_input_runs_as_it_is(deployed, lammps):
    folder, _ = deployed
    done = subprocess.run(
        [lammps, "-in", "in.lammps"], cwd=folder, capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stdout[-500:]
    table = thermo(done.stdout)
    assert table[-1, 0] == 50 and 50 < table[-1, 1] < 900 and np.isfinite(table).all()


def test_elements_in_another_order_give_the_same(runtime, deployed, tmp_path):
    atoms = ase.io.read(deployed[0] / "golden.extxyz", 0)
    expected = atoms.calc.results
    for symbols in (["Cl", "Na"], ["Na", "Cl"]):
        log = runtime.run(atoms, "run 0", folder=tmp_path, symbols=symbols)
        assert f"deployed.pt {' '.join(symbols)}" in (tmp_path / "in.lammps").read_text()
        assert thermo(log)[2] == pytest.approx(expected["energy"], abs=1e-4)


def test_energy_is_conserved(runtime):
    """In 0.2 ps at about 300 K, to a small part of what kinetic energy fluctuates by."""
    atoms = bulk("Si", cubic=True).repeat((2, 1, 1))
    log = runtime.run(
        atoms,
        "velocity all create 600 4928 mom yes dist gaussian",
        "fix 1 all nve",
        "timestep 0.001",
        "thermo_style custom step pe ke etotal",
        "thermo 10",
        "thermo_modify format float %.10g",
        "run 200",
    )
    _, _, kinetic, total = thermo(log).T
    assert kinetic.std() > 0.05
    assert abs(total - total[0]).max() < 0.05 * kinetic.std()


def test_constant_pressure_runs_and_follows_the_pressure(runtime):
    """Under 20 GPa a crystal ends smaller than under -5 GPa."""
    volumes = []
    for pressure in (-5e4, 20e4):
        log = runtime.run(
            bulk("Si", cubic=True).repeat((2, 2, 1)),
            "velocity all create 300 4928 mom yes dist gaussian",
            f"fix 1 all npt temp 300 300 0.05 iso {pressure} {pressure} 0.2",
            "timestep 0.001",
            "thermo_style custom step temp press vol",
            "thermo 50",
            "run 200",
        )
        table = thermo(log)
        assert np.isfinite(table).all()
        volumes.append(table[-1, 3])
    assert volumes[1] < 0.98 * volumes[0]


def test_an_element_that_the_model_lacks_is_named_by_lammps(runtime):
    with pytest.raises(RuntimeError, match="Unknown chemical specie"):
        runtime.run(Atoms("Po2", positions=[[0, 0, 0], [0, 0, 3]], cell=[9, 9, 9], pbc=True))


def test_a_lammps_without_python_in_ml_iap_is_named(compressed, lammps, tmp_path):
    settings = DeploySettings(targets=["mliap"], minutes=0, structures=1)
    with pytest.raises(UserError, match=r"does not load models through ML-IAP \(LAMMPS: ERROR: .*"):
        deploy(Source(compressed, "s"), MLIAP(lammps), tmp_path / "out", settings)


def test_a_lammps_without_the_pair_style_is_named(compressed, lammps, tmp_path, monkeypatch):
    bare = tmp_path / "lmp"
    text = Path(lammps).read_text().replace("LAMMPS_PLUGIN_PATH=", "OTHER=")
    bare.write_text(text)
    bare.chmod(0o755)
    settings = DeploySettings(targets=["lammps"], minutes=0, structures=1)
    with pytest.raises(UserError, match="Unrecognized pair style 'e3gnn'"):
        deploy(Source(compressed, "s"), Lammps(str(bare)), tmp_path / "out", settings)
