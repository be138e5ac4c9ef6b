"""irrepress compress and new: the config that they write, and the workflow that they call."""

import shutil
import subprocess
from pathlib import Path

import ase.io
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from samples import copper_frames

from irrepress.study.launch import Launch


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """The working directory with frames of copper."""
    monkeypatch.chdir(tmp_path)
    ase.io.write("frames.extxyz", copper_frames(6))
    return tmp_path


@pytest.fixture
def snakemake(monkeypatch):
    """Let the workflow do nothing; return its command lines."""
    calls = []

    def call(command, env):
        calls.append(command)
        return 0

    monkeypatch.setattr(subprocess, "call", call)
    return calls


@pytest.fixture
def compress(run, saved):
    def compress(*options, out="own", files=("frames.extxyz",)):
        return run("compress", saved, *files, "--family", "sevennet", "--out", out, *options)

    return compress


SHAPE = ("--irreps", "8x0e+8x1e", "--filter-lmax", "1")


def test_a_config_is_written_and_run(frames, saved, compress, snakemake):
    page = frames / "own/results/own/report/index.html"
    made = compress(*SHAPE)
    assert made.exit_code == 0 and "Report:" not in made.output
    page.parent.mkdir(parents=True)
    page.touch()
    tuned = frames / "own/results/own/model/fisher-shape/compensated/downstream/mine/finetuned"
    tuned.mkdir(parents=True)
    shutil.copy(Path(__file__).parents[1] / "records/validation-1.json", tuned / "validation.json")
    snakemake.clear()
    result = compress(*SHAPE, "--cores", "3", "--", "sweep", "--notemp")
    assert result.exit_code == 0, result.output
    config = yaml.safe_load((frames / "own/config.yaml").read_text())
    assert config["datasets"]["mine"]["paths"] == [str(frames / "frames.extxyz")]
    assert config["models"]["model"]["checkpoint"] == str(saved)
    assert config["sweep"]["explicit"]["shape"] == {"irreps": "8x0e+8x1e", "filter_lmax": 1}
    (command,) = snakemake
    assert command[command.index("--cores") + 1] == "3"
    assert "snakemake sweep --notemp --snakefile" in " ".join(command)
    assert "- elements: 1: Cu" in made.output
    assert "Report: own/results/own/report/index.html" in result.output
    assert "Proof:  failed: 1 of 3 quantities within tolerance, 1 NOT, 1 not done" in result.output
    assert "by hand:" in result.output and "--snakefile" in result.output


def test_the_same_command_resumes_with_the_config_as_it_is(frames, compress, snakemake):
    compress(*SHAPE)
    path = frames / "own/config.yaml"
    path.write_text(path.read_text().replace("steps: 1800", "steps: 7"))
    result = compress(*SHAPE)
    assert result.exit_code == 0 and "is used as it is" in result.output
    assert "steps: 7" in path.read_text() and len(snakemake) == 2


def test_another_command_does_not_touch_the_folder(frames, compress, snakemake):
    compress(*SHAPE)
    result = compress("--parameters", "0.5")
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert line.startswith("irrepress: own: holds a study with ") and "name another" in line
    assert len(snakemake) == 1


def test_what_fails_and_what_is_interrupted_end_in_one_line(frames, compress, monkeypatch):
    monkeypatch.setattr(Launch, "run", lambda self: 1)
    reason = "rule plan: budget: 0.01 of the time cannot be met"
    monkeypatch.setattr(Launch, "reason_of_failure", lambda self: reason)
    result = compress(*SHAPE)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == f"irrepress: {reason}"
    monkeypatch.setattr(Launch, "run", lambda self: 130)
    result = compress(*SHAPE)
    assert result.exit_code == 130
    assert "interrupted; what is done is kept" in result.output.splitlines()[-1]


def test_a_speed_that_no_shape_has_is_told_before_anything_is_written(frames, compress, snakemake):
    result = compress("--speedup", "900")
    assert result.exit_code == 2
    line = result.output.splitlines()[-1]
    assert line.startswith("irrepress: --speedup 900: the smallest shape of ")
    assert "times as fast here" in line and "ask for less" in line
    assert not (frames / "own").exists() and snakemake == []


def test_an_element_that_the_model_lacks_is_told(frames, compress, snakemake):
    atoms = copper_frames(3)
    for each in atoms:
        each.numbers[0] = 98
    ase.io.write("californium.extxyz", atoms)
    result = compress(*SHAPE, files=["californium.extxyz"])
    assert result.exit_code == 2 and "does not know Cf" in result.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give one of --speedup, --parameters, or a shape"),
        (("--filter-lmax", "1"), "--filter-lmax belongs to --irreps"),
        (("--irreps", "8y0e"), "--irreps 8y0e: "),
        ((*SHAPE, "--keys", "energie=E"), "keys.energie: "),
        ((*SHAPE, "--units", "energy=furlong"), "units.energy: "),
        ((*SHAPE, "--units", "energy"), "--units energy: expected NAME=VALUE"),
    ],
)
def test_an_option_that_makes_no_sense_is_told(frames, compress, snakemake, options, message):
    result = compress(*options)
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert message in line


@pytest.fixture
def cell(frames):
    """A crystal without labels, in the working directory."""
    ase.io.write("copper.cif", bulk("Cu"))
    return "copper.cif"


def test_structures_without_labels_are_sampled(frames, cell, compress, snakemake):
    words = (*SHAPE, "--temperature", "300", "900")
    made = compress(*words, files=[cell])
    assert made.exit_code == 0, made.output
    config = yaml.safe_load((frames / "own/config.yaml").read_text())
    assert config["datasets"]["sampled"]["temperatures"] == [300, 900, 1125]
    assert "- no labels are read: " in made.output
    again = compress(*words, files=[cell])
    assert again.exit_code == 0 and "is used as it is" in again.output
    other = compress(*SHAPE, "--temperature", "300", files=[cell])
    assert "with temperature 300.0, 900.0, not 300.0" in other.output


def test_labelled_frames_besides_are_trained_on_in_the_end(frames, cell, compress, snakemake):
    made = compress(*SHAPE, "--labels", "frames.extxyz", files=[cell])
    assert made.exit_code == 0, made.output
    config = yaml.safe_load((frames / "own/config.yaml").read_text())
    assert config["datasets"]["mine"]["paths"] == [str(frames / "frames.extxyz")]
    assert config["downstream"]["datasets"] == ["mine"]
    assert "- 300 K, for no temperature was given" in made.output


@pytest.mark.parametrize(
    ("options", "files", "message"),
    [
        (("--temperature", "0"), ["copper.cif"], "--temperature 0: give temperatures in K"),
        (("--temperature", "300"), ["frames.extxyz"], "so that --temperature has no use; leave it"),
        (("--close-pairs",), ["frames.extxyz"], "so that --close-pairs has no use; leave it out"),
        (("--pressure", "1"), ["frames.extxyz"], "so that --pressure has no use; leave it out"),
        (("--labels", "copper.cif"), ["copper.cif"], "copper.cif: no frame has an energy"),
        (("--labels", "frames.extxyz"), ["silver.cif"], "its frames have Cu, and none has Ag of"),
        (("--device", "gpu"), ["copper.cif"], "device 'gpu': give auto, cpu, cuda or cuda:1"),
        (("--filter-lmax", "9"), ["copper.cif"], "9 is outside the model's range, 0 to"),
        ((), ["atom.xyz"], "structure 0 is a single atom, on which no force ever acts"),
        ((), ["nothing.cif"], "nothing.cif"),
        ((), ["empty.cif"], "empty.cif: "),
    ],
)
def test_what_makes_no_sense_of_structures_is_told(
    frames, cell, compress, snakemake, options, files, message
):
    (frames / "empty.cif").write_text("data_nothing\n_cell_length_a 4\n")
    ase.io.write(frames / "silver.cif", bulk("Ag"))
    ase.io.write(frames / "atom.xyz", Atoms("Cu"))
    shape = [] if "--filter-lmax" in options else SHAPE
    options += ("--irreps", "8x0e+8x1e") if not shape else ()
    result = compress(*shape, *options, files=files)
    assert result.exit_code == 2, result.output
    line = result.output.splitlines()[-1]
    assert line.startswith("irrepress: ") and message in line
    assert not (frames / "own").exists()


def test_a_dry_run_counts_jobs_and_estimates(frames, compress, monkeypatch, snakemake):
    counts = {"score": 1, "fine_tune": 1}
    monkeypatch.setattr(Launch, "count_jobs", lambda self: counts)
    result = compress(*SHAPE, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "fine_tune" in result.output and "Roughly " in result.output
    assert "one call of " in result.output
    assert (frames / "own/config.yaml").exists() and snakemake == []
    counts.clear()
    assert "Nothing is left to do." in compress(*SHAPE, "--dry-run").output


def test_new_says_what_it_found_and_what_to_type(frames, run, saved, snakemake):
    words = ("new", "mine", "frames.extxyz", "--model", saved, "--family", "sevennet")
    result = run(*words)
    assert result.exit_code == 0, result.output
    config = yaml.safe_load((frames / "mine/config.yaml").read_text())
    assert config["sweep"]["budgets"] == [0.2] and config["name"] == "mine"
    assert "- elements: 1: Cu" in result.output
    assert "- five times as fast, for nothing else was asked for" in result.output
    assert f"--configfile {frames}/mine/config.yaml" in result.output.splitlines()[-1]
    again = run(*words)
    assert again.exit_code == 2 and "is there; edit it" in again.output
    resumed = run(
        *("compress", saved, "frames.extxyz", "--family", "sevennet"),
        *("--speedup", "5", "--out", "mine"),
    )
    assert resumed.exit_code == 0 and "is used as it is" in resumed.output
