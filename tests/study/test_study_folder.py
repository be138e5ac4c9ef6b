"""A folder of a study is begun once, resumed by the same command, and never mistaken."""

import pytest
import yaml
from minimal_config import MINIMAL

from irrepress.core.errors import UserError
from irrepress.study.study_folder import StudyFolder

REQUEST = {"model": "7net-0", "frames": ["/a.extxyz"], "speedup": 5.0, "irreps": None, "keys": {}}


class StandIn:
    """A draft that is written as it is."""

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("name: own\n")


@pytest.fixture
def folder(tmp_path):
    return StudyFolder(tmp_path / "own")


@pytest.fixture
def begun(folder):
    folder.begin(StandIn(), REQUEST)
    return folder


def test_an_absent_or_empty_folder_is_not_begun(folder):
    assert not folder.is_begun(REQUEST)
    folder.path.mkdir()
    assert not folder.is_begun(REQUEST)


def test_the_same_command_resumes_and_an_edited_config_stays(begun):
    begun.config_file.write_text("name: edited\n")
    assert begun.is_begun(REQUEST | {"modal": None})
    assert begun.config_file.read_text() == "name: edited\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "7net-l3i5"}, "holds a study with model 7net-0, not 7net-l3i5"),
        ({"frames": ["/b.extxyz"]}, "with frames /a.extxyz, not /b.extxyz"),
        ({"speedup": 7.0}, "with speedup 5.0, not 7.0"),
        ({"irreps": "64x0e"}, "with irreps as it is by default, not 64x0e"),
    ],
)
def test_another_study_is_not_overwritten(begun, change, message):
    before = begun.config_file.read_text()
    with pytest.raises(UserError, match=message):
        begun.is_begun(REQUEST | change)
    assert begun.config_file.read_text() == before


def test_an_option_that_is_left_out_is_another_study(begun):
    with pytest.raises(UserError, match=r"with speedup 5\.0, not as it is by default"):
        begun.is_begun(REQUEST | {"speedup": None, "parameters": None})


def test_a_folder_of_other_things_is_left_alone(folder, tmp_path):
    folder.path.mkdir()
    (folder.path / "thesis.tex").touch()
    with pytest.raises(UserError, match="is not empty, and holds no study"):
        folder.is_begun(REQUEST)
    (folder.path / "config.yaml").touch()
    with pytest.raises(UserError, match="was not written by this command"):
        folder.is_begun(REQUEST)
    with pytest.raises(UserError, match="is a file"):
        StudyFolder(folder.path / "thesis.tex").is_begun(REQUEST)


def test_the_models_that_a_study_is_for(folder):
    content = MINIMAL | {"train_plans": ["taylor-0.50"], "compensation": {"dataset": "frames"}}
    content["datasets"] = {"frames": {"source": "files", "paths": ["a.extxyz"]}}
    content["scoring"] = content["evaluation"] = {"dataset": "frames"}
    (model,) = content["models"]
    folder.path.mkdir()
    folder.config_file.write_text(yaml.safe_dump(content))
    plan = folder.path / "results" / content["name"] / model / "taylor-0.50"
    compensated = plan / "compensated" / "model.pt"
    assert list(folder.models()) == []
    compensated.parent.mkdir(parents=True)
    compensated.touch()
    assert list(folder.models()) == [compensated]
    content["downstream"] = {"datasets": ["frames"], "stage": "compensated"}
    folder.config_file.write_text(yaml.safe_dump(content))
    tuned = plan / "compensated/downstream/frames/finetuned/model.pt"
    tuned.parent.mkdir(parents=True)
    tuned.touch()
    assert list(folder.models()) == [tuned]
    assert folder.page() == folder.path / "results" / content["name"] / "report/index.html"
