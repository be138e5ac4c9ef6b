"""Deployments of a small SevenNet: what is in the folder, and that it proves itself."""

import importlib.util
import json
import shutil
import subprocess
import sys

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase.build import bulk

from irrepress.core.errors import UserError
from irrepress.deploy.config import DeploySettings
from irrepress.deploy.deployment import Source, deploy
from irrepress.deploy.records import Deployment
from irrepress.deploy.target import Lammps, get_target, with_constants
from irrepress.deploy.timing import time_against_size

QUICK = {"largest": 8, "minutes": 5}


def settings(target: str, **changes) -> DeploySettings:
    return DeploySettings(targets=[target], **{**QUICK, **changes})


def check(folder, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "check.py", "--device", "cpu", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def deployed(compressed, tmp_path_factory):
    """A small model as TorchScript, timed beside itself, and what was recorded."""
    folder = tmp_path_factory.mktemp("deployed") / "small"
    source = Source(compressed, "small", {"name": "small"})
    target = get_target("torchscript")
    record = deploy(source, target, folder, settings("torchscript"), parent=source)
    return folder, record


def test_a_folder_holds_all_that_runs_and_proves_a_model(deployed):
    folder, record = deployed
    expected = {
        *("deployed.pt", "runtime.py", "run.py", "check.py", "golden.extxyz"),
        *("deployment.json", "card.json", "times.csv"),
    }
    assert {path.name for path in folder.iterdir()} == expected
    assert Deployment.load(folder / "deployment.json") == record
    assert record.tested.keys() == {"torch"}
    golden = ase.io.read(folder / "golden.extxyz", ":")
    assert [bool(atoms.pbc.all()) for atoms in golden] == [True, True, False]
    assert all(abs(atoms.get_forces()).max() > 0.05 for atoms in golden)  # eV/Å: not of nothing
    assert record.differences.keys() == {"energy", "forces", "stress"}
    for quantity, difference in record.differences.items():
        assert 0 <= difference < 0.5 * record.tolerance[quantity]
    assert record.notes == ["TorchScript by irrepress"]


def test_times_stand_beside_the_parents_in_the_same_runtime(deployed):
    folder, record = deployed
    table = pd.read_csv(folder / "times.csv")
    assert set(table["model"]) == {"deployed", "parent"}
    assert list(table["atoms"]) == [8, 8] and (table["seconds"] > 0).all()
    assert (table["threads"] == record.threads).all() and record.threads >= 1
    assert table["versions"].str.contains("torch").all() and table["machine"].str.len().all()
    assert list(record.speedups()) == [8]


def test_golden_results_are_the_familys_own(deployed, compressed):
    folder, _ = deployed
    atoms = ase.io.read(folder / "golden.extxyz", 1)
    expected = dict(atoms.calc.results)
    path = folder.parent / "native.pt"
    compressed.save(path)
    atoms.calc = compressed.family.calculator(path)
    assert atoms.get_potential_energy() == pytest.approx(expected["energy"], abs=1e-4)
    np.testing.assert_allclose(atoms.get_forces(), expected["forces"], atol=1e-5)
    np.testing.assert_allclose(atoms.get_stress(), expected["stress"], atol=1e-6)


def test_the_form_of_the_familys_package_can_be_had_in_a_relative_folder(
    compressed, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    target = get_target("torchscript", own_form=True)
    settings_ = settings("torchscript", minutes=0, own_form=True)
    record = deploy(Source(compressed, "small"), target, "some/out", settings_)
    assert (tmp_path / "some/out/deployed.pt").exists()
    assert record.notes == ["TorchScript by sevenn"] and record.times == []


def test_a_check_that_fails_names_structure_value_and_mend(deployed, tmp_path):
    folder = shutil.copytree(deployed[0], tmp_path / "moved")
    text = (folder / "deployment.json").read_text()
    record = json.loads(text)
    record["tested"] = {"torch": "2.0.0"}
    (folder / "deployment.json").write_text(json.dumps(record))
    golden = ase.io.read(folder / "golden.extxyz", ":")
    golden[1].calc.results["forces"][0, 0] += 0.01
    ase.io.write(folder / "golden.extxyz", golden)
    done = check(folder)
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    for part in ("forces of structure 1 (Na4Si4)", "0.01 eV/Å", "tested with 2.0.0", "install"):
        assert part in message
    assert "Traceback" not in done.stderr


def test_a_model_that_computes_something_else_is_not_deployed(
    compressed, sevennet_0, tmp_path, monkeypatch
):
    """As if the runtime's file were another model's."""
    target = get_target("torchscript")
    family, other = type(compressed.family), sevennet_0
    write = family.write_torchscript
    monkeypatch.setattr(family, "write_torchscript", lambda _, __, path: write(other, path))
    with pytest.raises(UserError, match=r"energy of structure \d .* differs by .*nothing was"):
        deploy(Source(compressed, "small"), target, tmp_path / "out", settings("torchscript"))
    assert not list(tmp_path.iterdir())


def test_what_a_runtime_does_not_take_is_refused_with_those_that_do(compressed, tmp_path):
    with pytest.raises(UserError, match="not of sevennet; choose --to native or torchscript or"):
        deploy(
            Source(compressed, "small"),
            get_target("symmetrix"),
            tmp_path / "out",
            settings("symmetrix"),
        )
    with pytest.raises(UserError, match="no target 'lamps'; did you mean 'lammps'"):
        get_target("lamps")
    with pytest.raises(UserError, match="--lmp no-such-program: cannot be started"):
        Lammps("no-such-program").found("sevennet")


def test_a_folder_that_is_there_is_not_replaced(compressed, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="exists already"):
        source = Source(compressed, "small")
        deploy(source, get_target("native"), tmp_path / "out", settings("native"))


def test_without_lammps_its_file_is_checked_in_torch_and_the_record_says_so(
    compressed, tmp_path, monkeypatch
):
    monkeypatch.setattr("shutil.which", lambda name: None)
    frames = [bulk("NaCl", "rocksalt", a=5.64, cubic=True)]
    record = deploy(
        Source(compressed, "small"),
        get_target("lammps"),
        tmp_path / "out",
        settings("lammps"),
        structures=frames,
    )
    assert "no LAMMPS with the pair style e3gnn is here" in record.checked
    assert record.golden == ["Cl4Na4"] and record.times == []
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"in.lammps", "structure.data", "deployed.pt", "check.py"} <= names
    assert "pair_coeff      * * deployed.pt Cl Na" in (tmp_path / "out/in.lammps").read_text()
    data = (tmp_path / "out/structure.data").read_text()
    assert "8 atoms" in data and "1 35.45  # Cl" in data

    spec = importlib.util.spec_from_file_location("runtime", tmp_path / "out/runtime.py")
    runtime = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runtime)
    runtime.check_input(tmp_path / "out/in.lammps")
    swapped = (tmp_path / "out/in.lammps").read_text().replace("pt Cl Na", "pt Na Cl")
    (tmp_path / "out/swapped.in").write_text(swapped)
    with pytest.raises(RuntimeError, match=r"names Na Cl, but the masses .* of Cl Na; name these"):
        runtime.check_input(tmp_path / "out/swapped.in")


def test_constants_of_scripts_keep_their_comments_and_types():
    script = 'MODAL: str | None = None  # head\nDTYPE = "float64"\nOTHER = 1'
    assert with_constants(script, {"MODAL": "pbe", "DTYPE": "float32"}) == (
        "MODAL: str | None = 'pbe'  # head\nDTYPE = 'float32'\nOTHER = 1"
    )


def test_timing_stops_at_the_time_limit_and_says_so(deployed):
    folder, _ = deployed
    limits = DeploySettings(targets=["torchscript"], largest=100_000, minutes=1e-4)
    cell = bulk("Si", cubic=True)
    timed = time_against_size({"deployed": folder}, cell, limits, device="cpu", environment={})
    assert [time.atoms for time in timed.times] == [8]
    assert "would take longer than the time limit" in timed.stopped
