"""What jobs read."""

from pathlib import Path

import pytest
from study_samples import make_config

from irrepress.catalogue.model_ref import ModelRef
from irrepress.data.config import Files
from irrepress.study.contents import Contents
from irrepress.study.inputs import Inputs
from irrepress.study.paths import StudyPaths
from irrepress.study.uses import labelled_parts

ROOT = Path("results/synthetic")


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """A function that returns the inputs of a config, in a folder with frames and a checkpoint."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.xyz", "b.xyz", "mine.pth"):
        Path(name).write_text(name)

    def make(**changes: object) -> Inputs:
        config = make_config(**changes)
        return Inputs(config, StudyPaths.of(config.name), Contents("contents.json"))

    return make


def test_a_dataset_is_read_from_the_users_files_and_their_contents_count(inputs):
    reads = inputs()
    dataset = Files(source="files", paths=["*.xyz"])
    assert reads.files(dataset) == ["a.xyz", "b.xyz"]
    before = reads.content_of_files(dataset)
    Path("b.xyz").write_text("other")
    assert reads.content_of_files(dataset) != before
    generated = reads.config.datasets["foundation"]
    assert reads.files(generated) == [] and reads.content_of_files(generated) is None


def test_a_published_dataset_is_read_from_its_downloads(inputs):
    reads = inputs(downloads={"directory": "down"})
    config = make_config(
        datasets={
            "foundation": {"source": "published", "name": "rmd17-ethanol"},
            "silicon": {"source": "files", "paths": ["a.xyz"]},
            "ethanol": {"source": "files", "paths": ["b.xyz"]},
        }
    )
    found = reads.files(config.datasets["foundation"])
    assert found and all(path.parts[0] == "down" and path.suffix == ".json" for path in found)


def test_a_checkpoint_is_a_file_a_download_or_part_of_a_package(inputs):
    reads = inputs()
    file = ModelRef(family="sevennet", checkpoint="mine.pth")
    assert reads.checkpoint(file) == ["mine.pth"]
    assert len(reads.content_of_checkpoint(file) or "") == 64
    shipped = ModelRef(family="sevennet", checkpoint="7net-0")
    assert reads.checkpoint(shipped) == [] and reads.content_of_checkpoint(shipped) is None
    (record,) = reads.checkpoint(ModelRef(family="mace", checkpoint="mace-mp-0-small"))
    assert record.suffix == ".json" and "mace" in record.parts


def test_a_file_that_cannot_be_read_is_left_to_its_job(inputs):
    lost = ModelRef(family="sevennet", checkpoint="lost.pth")
    assert inputs().content_of_checkpoint(lost) is None


def test_labels_of_the_parent_are_not_computed_twice(inputs):
    other = inputs().teacher("foundation", "sevennet-0")
    assert other == ROOT / "sevennet-0/parent/original/teacher/foundation.h5"
    models = {"m": {"family": "sevennet", "checkpoint": "7net-l3i5"}}
    sweep = {"criteria": ["fisher"], "budgets": [0.5]}
    same = inputs(models=models, sweep=sweep, train_plans=[]).teacher("foundation", "m")
    assert same == ROOT / "data/foundation.h5"


def test_some_inputs_are_there_for_some_jobs_only(inputs):
    reads = inputs(quantization={"bits": 4, "stages": ["recovered"]})
    assert reads.plan("sevennet-0", "parent") == []
    assert reads.plan("sevennet-0", "taylor-0.50") == [ROOT / "sevennet-0/taylor-0.50/plan.json"]
    assert reads.packed("sevennet-0", "taylor-0.50", "recovered") == []
    (packed,) = reads.packed("sevennet-0", "taylor-0.50", "recovered-int4")
    assert packed == ROOT / "sevennet-0/taylor-0.50/recovered-int4/packed.pt"
    assert reads.shapes("sevennet-0") == [] and reads.guides("sevennet-0", "taylor-0.50") == {}
    assert reads.elements("sevennet-0") == {}


def test_what_settings_ask_for_is_read(inputs):
    sweep = {"criteria": ["taylor"], "budgets": [0.5], "unit": "time"}
    training = {"dataset": "foundation", "features": 0.1}
    models = {"m": {"family": "sevennet", "checkpoint": "7net-0", "restrict_to": "silicon"}}
    reads = inputs(sweep=sweep, distillation=training, models=models, train_plans=["taylor-0.50"])
    assert reads.shapes("m") == [ROOT / "m/shapes.json"]
    explicit = sweep | {"budgets": [], "explicit": {"shape": {"irreps": "8x0e"}}}
    changes = {"models": models, "train_plans": ["fisher-shape"]}
    assert inputs(sweep=explicit | {"criteria": ["fisher"]}, **changes).shapes("m") == []
    assert reads.guides("m", "taylor-0.50") == {
        "parent": ROOT / "m/parent/original/model.pt",
        "plan": ROOT / "m/taylor-0.50/plan.json",
    }
    assert reads.elements("m") == {"store": ROOT / "data/silicon.h5"}
    training = {"dataset": "foundation", "hessian_rows": 2}
    reads = inputs(distillation=training, train_plans=["taylor-0.50"])
    assert reads.guides("sevennet-0", "taylor-0.50") == {
        "parent": ROOT / "sevennet-0/parent/original/model.pt"
    }


def test_the_parent_labels_only_what_is_read():
    config = make_config()
    assert labelled_parts(config, "foundation") == ["train", "valid", "test"]
    config = make_config(distillation=None)
    assert labelled_parts(config, "foundation") == ["test"]
    config = make_config(distillation={"dataset": "silicon"})
    assert labelled_parts(config, "silicon") == ["train", "valid"]
    assert labelled_parts(config, "ethanol") == ["train", "valid", "test"]
