"""The data part of the workflow: from a mirror or no network to stores, as users run it."""

import io
import json
import os
import tarfile
from pathlib import Path

import ase.io
import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from irrepress.core.files import sha256
from irrepress.data.store import StructureStore

from .runs import environment

pytestmark = pytest.mark.workflow

# An address where nobody answers, so that no test reaches the network.
NO_NETWORK = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    for name, proxy in NO_NETWORK.items():
        monkeypatch.setenv(name, proxy)
        monkeypatch.setenv(name.lower(), proxy)
    assert environment()["HTTPS_PROXY"] == NO_NETWORK["HTTPS_PROXY"]


@pytest.fixture
def config(tmp_path):
    """Write a config whose only use is its datasets."""

    def write(dataset: dict, **sections: object) -> Path:
        content = {
            "name": "data",
            "models": {"sevennet-0": {"family": "sevennet", "checkpoint": "7net-0"}},
            "datasets": {"set": dataset},
            "scoring": {"dataset": "set"},
            "evaluation": {"dataset": "set"},
            "downloads": {"retries": 0, "timeout": 1},
            **sections,
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def write_copper(path: Path) -> None:
    """Write an archive as DPA-2's are: systems of DeePMD-kit, and lists of them."""
    rng = np.random.default_rng(0)
    members = {
        "Cu/sys_dir/train.txt": b"../Cu.init\n../Cu.iter\n",
        "Cu/sys_dir/valid.txt": b"../Cu.valid\n",
    }
    for system in ("Cu.init", "Cu.iter", "Cu.valid", "Cu.unlisted"):
        members[f"Cu/{system}/type.raw"] = b"0\n0\n0\n0\n"
        members[f"Cu/{system}/type_map.raw"] = b"Cu\n"
        crystal = bulk("Cu", cubic=True)
        arrays = {
            "box": np.tile(crystal.cell.array.ravel(), (10, 1)),
            "coord": crystal.positions.ravel() + rng.normal(0, 0.05, (10, 12)),
            "energy": rng.normal(-15, 0.1, 10),
            "force": rng.normal(size=(10, 12)),
            "virial": np.tile(np.eye(3).ravel(), (10, 1)),
        }
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array.astype(np.float32))
            members[f"Cu/{system}/set.000/{name}.npy"] = content.getvalue()
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_a_published_set_from_a_mirror_to_its_summary(snakemake, tmp_path, config):
    mirrored = tmp_path / "mirror" / "dpa2" / "Cu.tar.gz"
    write_copper(mirrored)
    dataset = {"source": "published", "name": "dpa2-cu", "counts": {"train": 12}}
    path = config(dataset, downloads={"mirror": str(tmp_path / "mirror")})

    done = snakemake(tmp_path, "downloads", config=path)
    assert done.returncode == 0, done.stderr[-3000:]
    archive = tmp_path / "downloads" / "dpa2" / "Cu.tar.gz"
    record = json.loads(archive.with_name("Cu.tar.gz.json").read_text())
    assert record["sha256"] == sha256(archive) == sha256(mirrored)
    # From here on, a compute node without mirror and network is enough.
    mirrored.unlink()

    done = snakemake(tmp_path, "data", config=path)
    assert done.returncode == 0, done.stderr[-3000:]
    store = StructureStore(tmp_path / "results" / "data" / "data" / "set.h5")
    assert len(store) == 30 and store.elements == [29]
    sizes = {part: len(indices) for part, indices in store.splits.items()}
    assert sizes["train"] == 12 and sizes["test"] == 10 and 0 < sizes["valid"] <= 8
    assert {store[int(i)].group for i in store.splits["test"]} == {"Cu/Cu.valid"}
    assert store.info.checksum == record["sha256"]
    volume = bulk("Cu", cubic=True).get_volume()
    assert store[0].stress == pytest.approx(np.array([-1, -1, -1, 0, 0, 0]) / volume, rel=1e-5)
    summary = json.loads((tmp_path / "results/data/data/set.summary.json").read_text())
    assert summary["structures"] == 30

    assert "Nothing to be done" in snakemake(tmp_path, "data", config=path).stderr


@pytest.mark.slow
def test_no_network_ends_in_one_message_and_a_rerun_goes_on(snakemake, tmp_path, config):
    path = config({"source": "published", "name": "dpa2-cu"})
    done = snakemake(tmp_path, "data", config=path)
    assert done.returncode != 0
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("rule download: ")]
    assert "downloads/dpa2/Cu.tar.gz: not downloaded." in message
    assert "run `snakemake data` where there is a network (a login node)" in message
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "downloads").rglob("Cu.tar.gz*"))
    # The user fetches it by hand, where the message says.
    write_copper(tmp_path / "downloads" / "dpa2" / "Cu.tar.gz")
    done = snakemake(tmp_path, "data", config=path)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_a_licence_that_restricts_use_is_shown_before_anything_runs(snakemake, tmp_path, config):
    dataset = {"source": "published", "name": "spice-maceoff23"}
    done = snakemake(tmp_path, "downloads", config=config(dataset))
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("config.yaml: datasets.set.accept_licence: spice-maceoff23 is under")
    assert "excludes commercial use" in line and "accept_licence: 'MACE-OFF23'" in line
    accepted = config({**dataset, "accept_licence": "MACE-OFF23"})
    done = snakemake(tmp_path, "downloads", "--dry-run", config=accepted)
    assert done.returncode == 0, done.stderr[-3000:]


def write_frames(path: Path, count: int, bad: int | None = None) -> None:
    frames = []
    for index in range(count):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=index)
        forces = np.full((4, 3), np.nan if index == bad else 0.0)
        atoms.calc = SinglePointCalculator(atoms, energy=-15.0, forces=forces)
        frames.append(atoms)
    path.parent.mkdir(parents=True, exist_ok=True)
    ase.io.write(path, frames, format="extxyz")


@pytest.mark.slow
def test_folders_patterns_and_odd_names(snakemake, tmp_path, config, monkeypatch):
    """What a wildcard of Snakemake would be is a name; new files and new content are noticed."""
    monkeypatch.setenv("MINE", str(tmp_path / "mine"))
    write_frames(tmp_path / "mine/a b/ü.xyz", 4)
    write_frames(tmp_path / "runs/{dataset}/{x}.xyz", 4)
    write_frames(tmp_path / "runs/2.xyz", 4)
    dataset = {"source": "files", "paths": ["$MINE", "runs/**/*.xyz"], "split": {"by": "structure"}}
    path, target = config(dataset), "results/data/data/set.h5"
    done = snakemake(tmp_path, target, config=path)
    assert done.returncode == 0, done.stderr[-3000:]
    store = StructureStore(tmp_path / target)
    assert len(store) == 12
    read = [str(tmp_path / "mine/a b/ü.xyz"), "runs/2.xyz", "runs/{dataset}/{x}.xyz"]
    assert store.info.source == ", ".join(read)
    assert "Nothing to be done" in snakemake(tmp_path, target, config=path).stderr

    write_frames(tmp_path / "runs/{dataset}/{x}.xyz", 5)
    done = snakemake(tmp_path, target, "--dry-run", config=path)
    assert "Params have changed" in done.stdout + done.stderr
    write_frames(tmp_path / "runs/{dataset}/{x}.xyz", 4)
    write_frames(tmp_path / "runs/3.xyz", 4)
    done = snakemake(tmp_path, target, config=path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(StructureStore(tmp_path / target)) == 16

    done = snakemake(tmp_path, target, config=config({**dataset, "paths": ["rums/*.xyz"]}))
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(
        "config.yaml: datasets.set.paths: no file matches the pattern 'rums/*.xyz'"
    )


@pytest.mark.slow
def test_bad_frames_of_the_user(snakemake, tmp_path, config):
    write_frames(tmp_path / "own.extxyz", 12, bad=7)
    dataset = {"source": "files", "paths": ["own.extxyz"], "split": {"by": "structure"}}
    done = snakemake(tmp_path, "data", config=config(dataset))
    assert done.returncode != 0
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("rule read_")]
    assert "own.extxyz: frame 7: forces holds nan" in message and "bad_frames: skip" in message
    assert not list((tmp_path / "results").rglob("*.h5*"))

    done = snakemake(tmp_path, "data", config=config({**dataset, "bad_frames": "skip"}))
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(StructureStore(tmp_path / "results/data/data/set.h5")) == 11
    log = (tmp_path / "logs/data/data/set.log").read_text()
    assert "own.extxyz: frame 7: forces holds nan" in log and "bad frame left out (once," in log


@pytest.fixture
def mine(tmp_path, config):
    """A config of a dataset of the user's file, and that file."""
    path = tmp_path / "mine.extxyz"
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(8):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, rng=rng)
        results = {"energy": -14.0, "forces": rng.normal(size=(4, 3))}
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    ase.io.write(path, frames)
    dataset = {"source": "files", "paths": ["mine.extxyz"], "level_of_theory": "PBE"}
    return path, lambda **changes: config(dataset | changes)


def reads(snakemake, directory: Path, config: Path, *arguments: str) -> bool:
    """Whether the store would be made anew."""
    store = "results/data/data/set.h5"
    done = snakemake(directory, store, "--dry-run", *arguments, config=config)
    assert done.returncode == 0, done.stderr
    output = done.stdout + done.stderr
    assert ("rule read_dataset" in output) != ("Nothing to be done" in output)
    return "rule read_dataset" in output


@pytest.mark.slow
def test_the_content_of_a_users_file_decides(snakemake, tmp_path, mine):
    """Not its time, which copies change and some tools set back."""
    path, config = mine
    assert snakemake(tmp_path, "results/data/data/set.h5", config=config()).returncode == 0
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**12))
    assert not reads(snakemake, tmp_path, config())

    text = path.read_text()
    path.write_text(text.replace("-14.0", "-15.0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert reads(snakemake, tmp_path, config())
    # Who leaves the parameters out has the times again.
    os.utime(path)
    assert reads(snakemake, tmp_path, config(), "--rerun-triggers", "mtime")


@pytest.mark.slow
def test_a_licence_makes_nothing_anew(snakemake, tmp_path, mine):
    _, config = mine
    path = config()
    assert snakemake(tmp_path, "data", config=path).returncode == 0
    store, summary = (tmp_path / f"results/data/data/set.{end}" for end in ("h5", "summary.json"))
    made = store.stat().st_mtime_ns
    texts = {"licence": "CC-BY-4.0", "citation": "doi:10/1"}
    path = config(**texts)
    assert not reads(snakemake, tmp_path, path)
    assert reads(snakemake, tmp_path, config(**texts, level_of_theory="PBEsol"))

    # The next run with something to do brings the records up to date.
    done = snakemake(tmp_path, "data", "--forcerun", "summarize_dataset", config=config(**texts))
    assert done.returncode == 0, done.stderr
    assert f"{store.relative_to(tmp_path)}: licence and citation written again" in done.stderr
    assert store.stat().st_mtime_ns == made
    info = StructureStore(store).info
    assert (info.licence, info.citation) == (texts["licence"], texts["citation"])
    assert json.loads(summary.read_text())["origin"]["licence"] == "CC-BY-4.0"
    assert not reads(snakemake, tmp_path, path)
