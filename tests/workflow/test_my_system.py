"""A user's own system: from the path of an extxyz to a model for SevenNet's calculator."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from irrepress.data.store import StructureStore
from irrepress.study.reading import load_config

from .runs import ROOT, environment

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(1200)]

MY_SYSTEM = ROOT / "config" / "my-system.yaml"
LARGE = Path("results/my-system/large")
PRUNED = LARGE / "fisher-fast/pruned"
TASK = LARGE / "fisher-fast/distilled/downstream/mine/finetuned"
DATA = Path("results/my-system/data")


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def silicon_frames(sevennet, count: int) -> list:
    """Rattled cells with r²SCAN labels of SevenNet-MF-0."""
    from sevenn.calculator import SevenNetCalculator

    calculator = SevenNetCalculator("7net-mf-0", modal="R2SCAN", device="cpu")
    frames = []
    for seed in range(count):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.08, seed=seed)
        atoms.calc = calculator
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    return frames


def tiny() -> dict:
    """The config, with what its comments offer, a smaller parent and as little work as possible."""
    content = yaml.safe_load(MY_SYSTEM.read_text())
    small = {"family": "sevennet", "checkpoint": "7net-0", "licence": "GPL-3.0"}
    content["device"] = "cpu"
    content["models"]["large"] = small
    content["datasets"]["mine"]["paths"] = ["silicon.extxyz"]
    perturbed = {"source": "perturbed", "of": "mine", "count": 12, "labels": small}
    content["datasets"]["perturbed"] = perturbed
    content["datasets"]["taught"] = {**content["datasets"]["mine"], "labels": small}
    sampled = {"source": "sampled", "of": "mine", "temperatures": [300], "runs": 3, "count": 6}
    sampled |= {"atoms": 8, "equilibration": 1, "steps": 4, "labels": small}
    content["datasets"]["sampled"] = sampled
    content["datasets"]["all"] = {"source": "joined", "of": ["taught", "perturbed"]}
    content["scoring"]["structures"] = content["compensation"]["structures"] = 6
    content["sweep"]["explicit"]["fast"] = {"irreps": "16x0e+8x1e", "filter_lmax": 1}
    short = {"steps": 4, "validate_every": 2}
    content["distillation"] = {"dataset": "perturbed", "batch_size": 4, **short}
    content["downstream"] |= {"stage": "distilled"}
    content["downstream"]["training"] |= short
    content["evaluation"] |= {"timing_atoms": 8, "timing_repeats": 1}
    return content


@pytest.fixture(scope="module")
def study(snakemake, sevennet, tmp_path_factory) -> Path:
    """The directory of a study with its final model, and one evaluation."""
    directory = tmp_path_factory.mktemp("mine")
    write(directory / "silicon.extxyz", silicon_frames(sevennet, 12))
    config = directory / "my-system.yaml"
    config.write_text(yaml.safe_dump(tiny()))
    stores = [str(DATA / f"{name}.h5") for name in ("all", "sampled")]
    # First one dataset that is labelled: jobs side by side do not wait for each other's labels.
    first = [str(DATA / "taught.h5")]
    for targets in (first, ["downstream", *stores, str(PRUNED / "metrics.json")]):
        done = snakemake(directory, *targets, config=config)
        assert done.returncode == 0, done.stderr[-8000:]
    return directory


def test_energies_of_another_level_are_aligned_with_the_parent(study):
    """Labels are r²SCAN's, the parent knows PBE."""
    metrics = read(study / PRUNED / "metrics.json")
    alignment, errors = metrics["alignment"], metrics["errors"]["labels"]
    assert alignment["applied"] and set(alignment["constants"]) == {"Si"}
    assert alignment["before"] > 1 > 100 * alignment["after"]
    # What pruning did to the energies is left, and nothing else.
    parent = metrics["errors"]["parent"]
    assert errors["energy_mae"] == pytest.approx(parent["energy_mae"], abs=0.05)
    assert metrics["labelled"]["stress"] == 0 < metrics["labelled"]["forces"]
    log = study / "logs/my-system/large/fisher-fast/pruned/metrics.log"
    assert alignment["told"] in log.read_text()
    # The fine-tuned model knows the labels, and its errors are what they are.
    tuned = read(study / TASK / "metrics.json")
    assert not tuned["alignment"]["applied"]
    assert read(study / TASK / "card.json")["stages"][-1]["kept"] in ("best", "start")


def test_an_unedited_config_says_in_one_line_what_to_write(snakemake, tmp_path):
    done = snakemake(tmp_path, "--dry-run", config=MY_SYSTEM)
    assert done.returncode != 0
    (line,) = done.stderr.strip().splitlines()
    assert "my-system.yaml: datasets.mine.paths: there is no file 'path/to/my/frames" in line
    assert f"give the path of your file (relative paths begin at {tmp_path})" in line


def test_a_model_labels_files_in_place_of_their_own_labels(study):
    """Both stores hold the same structures; one the labels of the files, one the model's."""
    mine, taught = (StructureStore(study / DATA / f"{n}.h5") for n in ("mine", "taught"))
    structures = StructureStore(study / DATA / "taught.structures.h5")
    assert taught.info.labels == "sevennet 7net-0" and structures.info.labels == "none"
    (note,) = taught.info.notes
    assert note.text.startswith("own labels not read") and note.count == len(mine)
    assert {p: len(i) for p, i in taught.splits.items()} == {
        p: len(i) for p, i in mine.splits.items()
    }
    for own, labelled in zip(mine.iterate(), taught.iterate(), strict=True):
        assert np.array_equal(own.positions, labelled.positions)
        assert abs(own.energy - labelled.energy) > 1 and np.isfinite(labelled.forces).all()


def test_datasets_with_the_same_labels_are_joined(study):
    names = ("taught", "perturbed", "all")
    taught, perturbed, joined = (StructureStore(study / DATA / f"{n}.h5") for n in names)
    assert len(joined) == len(taught) + len(perturbed)
    for part, found in joined.splits.items():
        assert len(found) == len(taught.splits[part]) + len(perturbed.splits[part])
    assert joined.info.labels == taught.info.labels
    # Structures that come unperturbed were labelled before.
    log = (study / "logs/my-system/data/perturbed.log").read_text()
    assert f"{len(taught) - len(taught.splits['test'])} were there, in labels/" in log


def test_the_model_has_finite_errors_and_a_card(study):
    metrics, card = read(study / TASK / "metrics.json"), read(study / TASK / "card.json")
    assert (metrics["dataset"], metrics["split"]) == ("mine", "test")
    assert np.isfinite(
        [metrics["errors"]["labels"][f"{q}_mae"] for q in ("energy", "forces")]
    ).all()
    assert [stage["stage"] for stage in card["stages"]] == [
        *("pruned", "compensated", "distilled", "finetuned")
    ]
    assert card["stages"][2]["dataset"] == "perturbed"
    assert card["shape"]["irreps"][1] == "16x0e+8x1e"
    assert card["parameters"] < 200_000
    # The final model is measured like any other: beside the whole parent, and its symmetries.
    assert metrics["cost"]["parameters"] == card["parameters"]
    assert 0 < metrics["cost"]["time_ratio"] < 1
    assert metrics["cost"]["kept_blocks"] < metrics["cost"]["total_blocks"]
    assert metrics["checks"]


def test_an_archive_holds_the_final_model(study, snakemake):
    config = study / "my-system.yaml"
    wanted = "results/my-system/archives/large_fisher-fast_distilled_finetuned_mine.tar.gz"
    planned = snakemake(study, "archives", "--dry-run", config=config)
    assert wanted in planned.stdout + planned.stderr
    done = snakemake(study, wanted, config=config)
    assert done.returncode == 0, done.stderr[-4000:]
    with tarfile.open(study / wanted) as archive:
        names = {Path(name).name for name in archive.getnames()}
        model = next(name for name in archive.getnames() if name.endswith("model.pt"))
        assert archive.extractfile(model).read() == (study / TASK / "model.pt").read_bytes()
    assert names == {"model.pt", "card.json", "metrics.json", "LICENCE.txt", "METHODS.md"}


def test_the_model_loads_where_irrepress_is_not_installed(study):
    code = (
        "import sys; sys.modules['irrepress'] = None\n"
        "from ase.build import bulk\n"
        "from sevenn.calculator import SevenNetCalculator\n"
        "atoms = bulk('Si', cubic=True); atoms.rattle(0.05, seed=1)\n"
        "atoms.calc = SevenNetCalculator(sys.argv[1], device='cpu')\n"
        "print(atoms.get_potential_energy() / len(atoms), abs(atoms.get_forces()).max())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(TASK / "model.pt")],
        cwd=study,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    energy, force = map(float, done.stdout.split())
    assert abs(energy + 8.5) < 1  # r²SCAN as of SevenNet-MF-0: -8.5 eV/atom
    assert 0.01 < force < 10


def test_nothing_is_made_of_test_structures(study):
    mine, perturbed = (StructureStore(study / DATA / f"{n}.h5") for n in ("mine", "perturbed"))
    assert not len(perturbed.splits["test"])
    own = len(mine.splits["train"]) + len(mine.splits["valid"])
    assert len(perturbed) == 12 + own
    log = (study / "logs/my-system/data/perturbed.log").read_text()
    assert f"and all {own} unperturbed structures (keep_unperturbed): {12 + own}" in log
    assert {s.group for s in perturbed.iterate()} == {
        f"mine/{i}" for part in ("train", "valid") for i in mine.splits[part]
    }
    # A copy may be displaced by some tenths of an Å; other frames are as far from it as from each
    # other, so that only those that came unperturbed can be told by their positions.
    positions = {part: [mine[i].positions for i in mine.splits[part]] for part in mine.splits}
    copies = [structure.positions for structure in perturbed.iterate()]
    assert positions["test"]
    for part, wanted in {"train": True, "valid": True, "test": False}.items():
        for original in positions[part]:
            assert any(np.allclose(original, copy) for copy in copies) is wanted
    assert perturbed.info.labels == "sevennet 7net-0" and mine.info.labels == "unknown"


def test_nothing_is_labelled_twice_or_in_vain(study):
    teachers = study / LARGE / "parent/original/teacher"
    assert [path.name for path in teachers.iterdir()] == ["mine.h5"]  # perturbed is labelled
    labelled = StructureStore(teachers / "mine.h5")
    assert labelled.labelled["forces"] == len(labelled.splits["test"]) < len(labelled)
    assert np.isfinite(labelled[int(labelled.splits["test"][0])].forces).all()
    assert not list((study / LARGE).rglob("scratch"))
    assert not (study / LARGE / "parent/original/downstream").exists()
    agreement = read(study / PRUNED / "metrics.json")["errors"]["parent"]
    assert agreement["forces_mae"] > 0


def test_the_whole_study_can_be_planned(study, snakemake):
    done = snakemake(study, "--dry-run", config=study / "my-system.yaml")
    assert done.returncode == 0, done.stderr
    left = {line.split()[0]: int(line.split()[1]) for line in job_table(done.stdout)}
    # Of the parent and of three stages of the plan, one is evaluated already.
    assert left["evaluate"] == 3 and left["summarize_dataset"] == 2
    assert left.keys() == {"evaluate", "summarize_dataset", "report", "all", "total"}


def test_the_model_lies_where_the_config_says():
    text = MY_SYSTEM.read_text()
    config = load_config(MY_SYSTEM)
    assert f"{TASK}/model.pt".replace("distilled", config.downstream.stage) in text
    assert config.plans().keys() == set(config.train_plans) == {"fisher-fast"}
    assert config.stages()[-1].name == config.downstream.stage


def job_table(output: str) -> list[str]:
    """The rows of Snakemake's first table of jobs."""
    table = output.split("Job stats:")[1].split("\n\n")[0]
    return table.splitlines()[3:]


def test_frames_are_sampled_by_the_labelling_models_dynamics(study):
    sampled = StructureStore(study / DATA / "sampled.h5")
    assert sampled.info.labels == "sevennet 7net-0"
    assert [len(sampled.splits[part]) for part in ("train", "valid", "test")] == [2, 2, 2]
    assert all(count == 6 for count in sampled.labelled.values())
    assert not list((study / DATA).glob(".sampled.runs-*"))
