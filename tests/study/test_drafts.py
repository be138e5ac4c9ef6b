"""Configs that are written for a user's files: valid, commented, and what was asked for."""

import sys
from types import ModuleType

import ase.io
import pytest
import torch
import yaml
from samples import copper_frames

from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import UserError
from irrepress.core.target import Explicit
from irrepress.data.config import Files
from irrepress.study.cards import Card
from irrepress.study.drafts import Draft, Target, find_model, plain_name
from irrepress.study.examination import examine
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
        (Target(speedup=5), "fisher-0.20"),
        (Target(parameters=0.3), "fisher-0.30"),
        (Target(shape=Explicit(irreps="64x0e+32x1e", filter_lmax=1)), "fisher-shape"),
    ],
)
def test_what_is_written_is_a_config_without_mistakes(examination, tmp_path, target, plan):
    Draft("own", MODEL, examination, target).write(tmp_path / "config.yaml")
    config = load_config(tmp_path / "config.yaml")
    assert list(find_mistakes(config, packages=False)) == []
    assert config.train_plans == [plan] == list(config.plans())
    assert config.sweep == target.sweep()
    assert config.datasets["mine"].paths == examination.files.paths
    assert config.datasets["mine"].units.stress == "kbar"
    assert config.models["7net-0"].licence == "GPL-3.0"
    assert config.final_dataset == "mine"


def test_findings_and_the_command_stand_in_comments(examination):
    text = Draft("own", MODEL, examination, Target(speedup=2), run="snakemake --cores 3").text()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert "# - elements: 1: Cu" in comments
    assert "#   snakemake --cores 3" in comments
    assert max(map(len, comments)) <= 200
    assert text.endswith("\n") and "\n\n\n" not in text


def test_a_batch_holds_the_largest_frame(examination):
    draft = Draft("own", MODEL, examination, Target(speedup=2))
    assert draft.config().downstream.training.max_atoms == 96
    sizes = examination.summary.sizes.model_copy(update={"maximum": 216.0})
    summary = examination.summary.model_copy(update={"sizes": sizes})
    large = type(examination)(examination.files, summary, examination.findings)
    text = Draft("own", MODEL, large, Target(speedup=2)).text()
    assert yaml.safe_load(text)["downstream"]["training"]["max_atoms"] == 216


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({}, "give one of --speedup, --parameters and --irreps"),
        ({"speedup": 2.0, "parameters": 0.5}, "give one of"),
        ({"speedup": 0.5}, "--speedup 0.5: give a number above 1"),
        ({"parameters": 5.0}, "--parameters 5: give the fraction"),
    ],
)
def test_a_target_that_makes_no_sense_is_told(target, message):
    with pytest.raises(UserError, match=message):
        Target(**target)


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [("7net-0", "7net-0"), ("/a/b/my model.pth", "my-model"), ("/a/data.pt", "data-model")],
)
def test_models_are_called_by_their_keyword_or_file(examination, checkpoint, name):
    model = ModelRef(family="sevennet", checkpoint=checkpoint)
    assert Draft("own", model, examination, Target(speedup=2)).model_name == name


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
    Card.of_parent(
        path,
        name="x",
        family="mace",
        checkpoint="mine",
        checkpoint_sha256="0" * 64,
        shape={},
        parameters=1,
        licence=None,
        modal="pbe",
        seed=0,
    ).save(tmp_path / "card.json")
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
