import copy
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from irrepress.cli import app
from irrepress.core.errors import UserError
from irrepress.core.files import sha256
from irrepress.study.preflight import check_study, find_mistakes, remarks
from irrepress.study.reading import parse_config

STUDY = {
    "name": "study",
    "datasets": {
        "foundation": {
            "source": "generated",
            "systems": ["crystals"],
            "labels": {"family": "sevennet", "checkpoint": "7net-l3i5"},
        },
    },
    "models": {"parent": {"family": "sevennet", "checkpoint": "7net-0"}},
    "scoring": {"dataset": "foundation"},
    "evaluation": {"dataset": "foundation"},
}


def study(**changes):
    """Return a config whose keys, given as ``models__parent__checkpoint``, are changed."""
    content = copy.deepcopy(STUDY)
    for key, value in changes.items():
        *parents, last = key.split("__")
        node = content
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return content


def mistakes(**changes):
    return list(find_mistakes(parse_config(study(**changes)), packages=False))


def test_a_study_that_can_run_has_no_mistakes():
    assert mistakes() == []


GENERATED_BY_PARENT = {"family": "sevennet", "checkpoint": "SevenNet-0"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models__parent__checkpoint": "7net-9"}, "models.parent.checkpoint: 7net-9: neither"),
        (
            {"models__parent": {"family": "escn", "checkpoint": "escn-md-smal"}},
            "models.parent.checkpoint: escn-md-smal: .* did you mean 'escn-md-small'",
        ),
        (
            {"models__parent": {"family": "mace", "checkpoint": "mace-mp-0-larg"}},
            "models.parent.checkpoint: mace-mp-0-larg: .* did you mean 'mace-mp-0-large'",
        ),
        (
            {"models__parent": {"family": "mace", "checkpoint": "mace-off23-small"}},
            "models.parent.licence: mace-off23-small is under a licence",
        ),
        ({"models__parent__checkpoint": "no/such.pth"}, "there is no file 'no/such.pth'"),
        (
            {"models__parent__checkpoint": "../"},
            "models.parent.checkpoint: '[.][.]' is not a checkpoint: it is a directory",
        ),
        ({"models__parent__family": "sevenet"}, "no family 'sevenet'; did you mean 'sevennet'"),
        (
            {"models__parent__checkpoint": "7net-mf-0"},
            "models.parent.modal: 7net-mf-0 needs one; choose one of R2SCAN, PBE",
        ),
        (
            {"models__parent": {"family": "sevennet", "checkpoint": "7net-mf-0", "modal": "PB"}},
            "models.parent.modal: 7net-mf-0 has no 'PB'; did you mean 'PBE'",
        ),
        (
            {"datasets__foundation__systems": ["MgO"]},
            "datasets.foundation.systems: no prototype 'MgO'; did you mean 'mgo'",
        ),
        (
            {"datasets__foundation__labels__checkpoint": "7net-9"},
            "datasets.foundation.labels.checkpoint: 7net-9: neither",
        ),
        (
            {"datasets__mine": {"source": "files", "paths": ["runs/**/OUTCAR"]}},
            "datasets.mine.paths: no file matches the pattern 'runs/.*/OUTCAR'",
        ),
        (
            {"datasets__mine": {"source": "files", "paths": ["path/to/my/frames.extxyz"]}},
            "datasets.mine.paths: there is no file 'path/to/my/frames.extxyz'",
        ),
        (
            {"datasets__foundation__labels": GENERATED_BY_PARENT},
            "scoring.dataset: 'foundation' is labelled by models.parent itself.* 'fisher'",
        ),
        (
            {"sweep__explicit": {"half": {"irreps": "mace-mp-0-small"}}},
            "sweep.explicit.half.irreps: 'mace-mp-0-small' is neither irreps .* sevennet",
        ),
    ],
)
def test_what_would_fail_later_is_one_line_at_the_start(changes, message):
    (line,) = mistakes(**changes)
    assert "\n" not in line
    with pytest.raises(UserError, match="^study.yaml: .*" + message):
        check_study(parse_config(study(**changes)), "study.yaml", packages=False)


OWN = {"source": "generated", "systems": ["silicon"], "labels": GENERATED_BY_PARENT}
UNTRAINED = {"family": "mace", "training": {"dataset": "foundation"}}
NO_TEST = STUDY["datasets"]["foundation"] | {"split": {"train": 0.8, "valid": 0.2, "test": 0}}
NO_VALID = STUDY["datasets"]["foundation"] | {"split": {"train": 0.8, "valid": 0, "test": 0.2}}
NO_TRAIN = STUDY["datasets"]["foundation"] | {"split": {"train": 0, "valid": 0.8, "test": 0.2}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"datasets__foundation": NO_TEST},
            "evaluation.dataset: 'foundation' has no test split, because datasets.foundation.spl",
        ),
        (
            {"datasets__other": NO_VALID, "recovery": {"dataset": "other"}},
            "recovery.dataset: 'other' has no valid split",
        ),
        (
            {"datasets__other": NO_TRAIN, "compensation": {"dataset": "other"}},
            "compensation.dataset: 'other' has no train split",
        ),
        (
            {"datasets__other": NO_TEST, "downstream": {"datasets": ["other"]}}
            | {"recovery": {"dataset": "foundation"}},
            "downstream.datasets: 'other' has no test split",
        ),
        (
            {"datasets__other": {"source": "published", "name": "wbm"}}
            | {"distillation": {"dataset": "other"}},
            "distillation.dataset: 'other' has no train split",
        ),
        (
            {"datasets__foundation__count": 2},
            "datasets.foundation.count: 2 structures are too few for the splits train, valid, test",
        ),
        (
            {"models__parent": UNTRAINED | {"untrained": {"r_mx": 5.0}}},
            "models.parent.untrained.r_mx: not a setting of the family mace; did you mean 'r_max'",
        ),
        (
            {"models__parent__modal": "PBE"},
            "models.parent.modal: 7net-0 has only one level of theory; remove modal 'PBE'",
        ),
        (
            {"models__parent": {"family": "escn", "checkpoint": "escn-md-small"}}
            | {"sweep__cutoffs": [None, 4.5]},
            "sweep.cutoffs: the cutoff of models of the family escn .* cannot be shortened",
        ),
        (
            {"export": {"dtypes": ["float64"], "stages": ["pruned"]}},
            "export.dtypes: files of the family sevennet .* hold float32 only; leave float64 out",
        ),
    ],
)
def test_what_the_config_lacks_for_a_later_stage_is_told(changes, message):
    lines = mistakes(**changes)
    assert any(re.match(message, line) for line in lines), lines
    assert len(lines) <= 2  # train and valid are two parts


def test_layers_that_a_family_cannot_drop_are_told(monkeypatch):
    monkeypatch.setattr("irrepress.study.preflight.drops_layers", lambda family: False)
    lines = mistakes(sweep__layers=[None, 3])
    assert lines == [
        "sweep.layers: layers of models of the family sevennet (models.parent) cannot be dropped; "
        "leave it out"
    ]


def test_parts_that_files_give_need_no_share(tmp_path):
    for name in ("all.extxyz", "test.extxyz"):
        (tmp_path / name).write_text("1\nProperties=species:S:1:pos:R:3\nH 0 0 0\n")
    split = {"train": 0.8, "valid": 0.2, "test": 0}
    files = {"source": "files", "paths": [str(tmp_path / "all.extxyz")], "split": split}
    assert len(mistakes(datasets__foundation=files)) == 1
    files["test_paths"] = [str(tmp_path / "test.extxyz")]
    assert mistakes(datasets__foundation=files) == []


def test_another_checkpoint_than_the_config_says_is_told(tmp_path):
    path = tmp_path / "model.pth"
    path.write_bytes(b"\x80\x02")
    model = {"family": "sevennet", "checkpoint": str(path), "sha256": "0" * 64}
    (line,) = mistakes(models__parent=model)
    assert line.startswith("models.parent.sha256: that of ") and "not 000" in line
    assert mistakes(models__parent=model | {"sha256": sha256(path)}) == []


def test_what_may_not_be_meant_is_remarked():
    changes = {"datasets__other": OWN, "recovery": {"dataset": "foundation"}}
    told = list(remarks(parse_config(study(**changes))))
    assert told[0].startswith("train_plans is empty, so recovery will not run; give pla")
    assert told[1:] == ["datasets.other is used by no section"]
    changes = {"datasets__other": OWN, "evaluation__dataset": "other"}
    (line,) = remarks(parse_config(study(**changes)))
    assert line.startswith("evaluation.dataset: 'other' is labelled by models.parent itself")
    assert list(remarks(parse_config(study()))) == []


def test_own_labels_serve_other_criteria():
    changes = {"datasets__foundation__labels": GENERATED_BY_PARENT, "sweep__criteria": ["fisher"]}
    assert mistakes(**changes) == []


def test_keywords_are_found_in_any_case_and_spelling():
    for keyword in ("7NET-0", "SevenNet-OMNI", "7net-0_11July2024"):
        assert mistakes(models__parent__checkpoint=keyword) == []


def test_check_tells_all_mistakes_a_line_each(tmp_path, monkeypatch):
    import yaml

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(
        yaml.safe_dump(
            study(
                models__parent__checkpoint="7net-9",
                datasets__mine={"source": "files", "paths": ["path/to/my/frames.extxyz"]},
            )
        )
    )
    result = CliRunner().invoke(app, ["check", str(path), "--conda"])
    assert result.exit_code == 2
    assert len(result.output.strip().splitlines()) == 2
    assert "7net-9" in result.output and "path/to/my/frames.extxyz" in result.output


def test_the_check_needs_neither_torch_nor_a_family():
    hidden = ["torch", "sevenn", "mace", "fairchem", "e3nn", "typer", "lightning"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden}))\n"
        "from irrepress.study.reading import load_config\n"
        "from irrepress.study.preflight import find_mistakes\n"
        "print(*find_mistakes(load_config('config/families.yaml'), packages=False))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr


def test_the_parents_own_labels_are_known_by_any_spelling(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pt").write_bytes(b"\x80\x02")
    labels = {"family": "sevennet", "checkpoint": str(tmp_path / "model.pt")}
    found = mistakes(models__parent__checkpoint="./model.pt", datasets__foundation__labels=labels)
    assert len(found) == 1 and "models.parent itself" in found[0]
