"""Configs that are written for a user's files: valid, commented, and what was asked for."""

import sys
from dataclasses import replace
from types import ModuleType

import ase.io
import pytest
import torch
import yaml
from ase.build import bulk, molecule
from parent_cards import parent_card
from samples import copper_frames

from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import UserError
from irrepress.data.config import Files
from irrepress.study.conditions import Conditions
from irrepress.study.drafts import Draft, find_model, plain_name
from irrepress.study.examination import examine
from irrepress.study.plan_target import Target
from irrepress.study.preflight import find_mistakes
from irrepress.study.reading import load_config

MODEL = ModelRef(family="sevennet", checkpoint="7net-0", licence="GPL-3.0")


@pytest.fixture(scope="module")
def examination(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / 'with "quotes" and {braces}.extxyz'
    ase.io.write(path, copper_frames(6))
    return examine(Files(source="files", paths=[str(path)], units={"stress": "kbar"}))


@pytest.mark.parametrize(
    ("target", "plan"),
    [
        (Target.of({"speedup": 5}), "fisher-0.20"),
        (Target.of({"speedup": 25}), "fisher-0.04-autoL"),
        (Target.of({"speedup": 25}, layers=3), "fisher-0.04-3L"),
        (Target.of({"parameters": 0.3}), "fisher-0.30"),
        (Target.of(irreps="64x0e+32x1e", filter_lmax=1), "fisher-shape"),
    ],
)
def test_what_is_written_is_a_config_without_mistakes(examination, tmp_path, target, plan):
    Draft("own", MODEL, examination, target).write(tmp_path / "config.yaml")
    config = load_config(tmp_path / "config.yaml")
    assert list(find_mistakes(config, packages=False)) == []
    assert config.train_plans == [plan] == list(config.plans())
    assert config.sweep == target.with_depth("sevennet").sweep()
    assert config.datasets["mine"].paths == examination.files.paths
    assert config.datasets["mine"].units.stress == "kbar"
    assert config.models["7net-0"].licence == "GPL-3.0"
    assert config.final_dataset == "mine"


@pytest.fixture(scope="module")
def crystal(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "copper.cif"
    ase.io.write(path, bulk("Cu"))
    return examine(Files(source="files", paths=[str(path)]))


@pytest.mark.parametrize("labelled", [False, True])
def test_what_is_written_for_structures_is_a_config_without_mistakes(
    examination, crystal, tmp_path, labelled
):
    conditions = Conditions.of([300, 900], 0.5)
    labels = examination if labelled else None
    target = Target.of({"speedup": 8})
    draft = Draft("own", MODEL, crystal, target, conditions=conditions, labels=labels)
    draft.write(tmp_path / "config.yaml")
    config = load_config(tmp_path / "config.yaml")
    assert list(find_mistakes(config, packages=False)) == []
    assert config.datasets["cell"].labels is False
    sampled = config.datasets["sampled"]
    assert (sampled.temperatures, sampled.pressure) == ([300, 900, 1125], 0.5)
    assert (sampled.runs, sampled.count) == (21, 420)
    assert (sampled.labels.checkpoint, sampled.labels.licence) == ("7net-0", "GPL-3.0")
    assert config.datasets["all"].of == ["sampled", "strained"]
    assert (config.distillation.dataset, config.evaluation.dataset) == ("all", "sampled")
    assert config.sweep == target.sweep()
    proof = config.validation
    # The model that the study ends at is measured.
    assert proof.dataset == ("mine" if labelled else "cell")
    assert (proof.temperatures, proof.structures) == ([300, 900], 1)
    assert (proof.minutes, proof.parent_minutes) == (5, 8)
    assert config.final_dataset == ("mine" if labelled else None)
    if labelled:
        assert config.datasets["mine"].paths == examination.files.paths
        assert config.downstream.stage == "distilled"


@pytest.mark.parametrize(("speedup", "stages"), [(6, []), (25, ["refined"])])
def test_the_fastest_models_are_refined(examination, crystal, speedup, stages):
    conditions, target = Conditions.of([300, 900]), Target.of({"speedup": speedup})
    draft = Draft("own", MODEL, crystal, target, conditions=conditions, labels=examination)
    config = draft.config()
    assert list(find_mistakes(config, packages=False)) == []
    (plan,) = config.train_plans
    assert [stage.name for stage in config.stages_of(plan)][3:] == stages
    assert config.downstream.stage == ["distilled", *stages][-1]
    if stages:
        assert config.refinement.temperatures == [300, 900]


def test_molecules_are_not_strained(tmp_path):
    ase.io.write(tmp_path / "water.xyz", molecule("H2O"))
    water = examine(Files(source="files", paths=[str(tmp_path / "water.xyz")]))
    draft = Draft("own", MODEL, water, Target.of({"speedup": 8}), conditions=Conditions.of())
    config = draft.config()
    assert set(config.datasets) == {"cell", "sampled"}
    assert config.distillation.dataset == config.compensation.dataset == "sampled"


@pytest.mark.parametrize("periodic", [True, False])
def test_close_pairs_are_taught_but_neither_scored_nor_fitted(crystal, tmp_path, periodic):
    ase.io.write(tmp_path / "water.xyz", molecule("H2O"))
    water = examine(Files(source="files", paths=[str(tmp_path / "water.xyz")]))
    conditions = Conditions.of([300], close_pairs=True)
    target = Target.of({"speedup": 25})
    config = Draft(
        "own", MODEL, crystal if periodic else water, target, conditions=conditions
    ).config()
    assert list(find_mistakes(config, packages=False)) == []
    usual = ["sampled", "strained"] if periodic else ["sampled"]
    assert config.datasets["with_close"].of == [*usual, "close"]
    assert config.datasets["close"].count == 48
    for training in (config.distillation, config.refinement):
        assert (training.dataset, training.large_forces) == ("with_close", 3.0)
    scored = "all" if periodic else "sampled"
    assert config.scoring.dataset == config.compensation.dataset == scored


def test_both_kinds_of_configs_share_what_is_the_same(examination, crystal):
    target = Target.of(irreps="64x0e+32x1e", filter_lmax=1)
    one = yaml.safe_load(Draft("own", MODEL, examination, target).text())
    conditions = Conditions.of()
    draft = Draft("own", MODEL, crystal, target, conditions=conditions, labels=examination)
    other = yaml.safe_load(draft.text())
    for section in ("name", "seed", "device", "models", "sweep", "train_plans"):
        assert one[section] == other[section]
    assert one["datasets"]["mine"] == other["datasets"]["mine"]
    lines = draft.text().splitlines()
    assert any(line.startswith("# - 300 K, for no temperature was given") for line in lines)
    assert "\n\n\n" not in draft.text() and "# - elements: 1: Cu" in lines


def test_findings_and_the_command_stand_in_comments(examination):
    text = Draft(
        "own", MODEL, examination, Target.of({"speedup": 2}), run="snakemake --cores 3"
    ).text()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert "# - elements: 1: Cu" in comments
    assert "#   snakemake --cores 3" in comments
    assert max(map(len, comments)) <= 200
    assert text.endswith("\n") and "\n\n\n" not in text


def test_a_batch_holds_the_largest_frame(examination):
    draft = Draft("own", MODEL, examination, Target.of({"speedup": 2}))
    config = draft.config()
    assert config.downstream.training.max_atoms == 96
    assert (config.validation.dataset, config.validation.temperatures) == ("mine", [300])
    sizes = examination.summary.sizes.model_copy(update={"maximum": 216.0})
    summary = examination.summary.model_copy(update={"sizes": sizes})
    large = replace(examination, summary=summary)
    text = Draft("own", MODEL, large, Target.of({"speedup": 2})).text()
    assert yaml.safe_load(text)["downstream"]["training"]["max_atoms"] == 216


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [("7net-0", "7net-0"), ("/a/b/my model.pth", "my-model"), ("/a/data.pt", "data-model")],
)
def test_models_are_called_by_their_keyword_or_file(examination, checkpoint, name):
    model = ModelRef(family="sevennet", checkpoint=checkpoint)
    assert Draft("own", model, examination, Target.of({"speedup": 2})).model_name == name


def test_names_of_folders_become_names_of_studies():
    assert [plain_name(each) for each in ("li", "Ödön 2", "...", "downloads")] == [
        "li",
        "d-n-2",
        "study",
        "downloads-study",
    ]


def test_a_keyword_is_known_by_its_family():
    assert find_model("7net-l3i5").family == "sevennet"
    assert find_model("mace-mp-0-small").family == "mace"
    assert find_model("escn-md-small").family == "escn"
    with pytest.raises(UserError, match="neither a file nor a keyword"):
        find_model("8net-0")


def test_a_licence_that_restricts_use_is_shown():
    with pytest.raises(UserError, match="--licence ASL on the command line"):
        find_model("mace-off23-small")
    assert find_model("mace-off23-small", licence="ASL").licence == "ASL"


def test_a_file_is_known_by_its_card(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"\x80\x04")
    parent_card(path, family="mace", checkpoint="mine", modal="pbe").save(tmp_path / "card.json")
    found = find_model(str(path))
    assert (found.family, found.modal, found.checkpoint) == ("mace", "pbe", str(path))


def test_a_file_is_known_by_the_types_that_it_holds(tmp_path, monkeypatch):
    """Without the package of its family, and without running anything of it."""
    module = ModuleType("mace.modules")
    model = type("ScaleShiftMACE", (), {"__module__": "mace.modules"})
    module.ScaleShiftMACE = model
    monkeypatch.setitem(sys.modules, "mace", ModuleType("mace"))
    monkeypatch.setitem(sys.modules, "mace.modules", module)
    torch.save(model(), tmp_path / "own.model")
    monkeypatch.undo()
    assert find_model(str(tmp_path / "own.model")).family == "mace"


def test_a_file_that_is_no_model_is_told(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        find_model(str(tmp_path / "model.pt"))
    (tmp_path / "frames.extxyz").write_text("2\n")
    with pytest.raises(UserError, match="no checkpoint: it is a text"):
        find_model(str(tmp_path / "frames.extxyz"))
