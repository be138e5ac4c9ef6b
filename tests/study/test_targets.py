"""What a study can be asked for."""

from pathlib import Path

import pytest
from study_samples import ONE_SYSTEM, make_config

from irrepress.study.paths import StudyPaths
from irrepress.study.targets import Targets

ROOT = Path("results/synthetic")


def targets(**changes: object) -> Targets:
    config = make_config(**changes)
    return Targets(config, StudyPaths.of(config.name))


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def test_every_dataset_is_stored_and_summed_up():
    asked = targets()
    assert names(asked.data()) == [
        *("data/foundation.h5", "data/silicon.h5", "data/ethanol.h5"),
        *(f"data/{name}.summary.json" for name in ("foundation", "silicon", "ethanol")),
    ]
    assert names(targets(downstream=None).summaries()) == ["data/foundation.summary.json"]


def test_models_that_are_only_evaluated_have_no_plans():
    small = {"family": "sevennet", "checkpoint": "7net-l3i5", "compress": False}
    models = {"big": {"family": "sevennet", "checkpoint": "7net-0"}, "small": small}
    asked = targets(models=models)
    assert names(asked.parents()) == [
        "big/parent/original/metrics.json",
        "small/parent/original/metrics.json",
    ]
    assert names(asked.scores()) == ["big/scores.h5"]
    assert {path.parts[2] for path in (*asked.plans(), *asked.sweep())} == {"big"}
    assert len(asked.plans()) == len(asked.sweep()) == len(asked.config.plans())


def test_trained_plans_are_measured_at_every_stage():
    asked = targets(train_plans=["taylor-0.50"])
    place = "sevennet-0/taylor-0.50/{}/metrics.json"
    stages = ["pruned", "recovered", "distilled", "recovered-int8"]
    assert names(asked.trained()) == [place.format(stage) for stage in stages]
    assert names(asked.trained("distilled")) == [place.format("distilled")]
    assert names(asked.quantized()) == [place.format("recovered-int8")]
    assert asked.trained("compensated") == []  # which the config does not ask for


def test_downstream_tasks_have_their_baselines():
    downstream = {"datasets": ["silicon"], "stage": "recovered", "baselines": ["restricted"]}
    asked = targets(train_plans=["taylor-0.50"], downstream=downstream)
    assert names(asked.downstream()) == [
        "sevennet-0/taylor-0.50/recovered/downstream/silicon/finetuned/metrics.json",
        "sevennet-0/parent/original/downstream/silicon/restricted/metrics.json",
    ]
    everything = {**downstream, "baselines": ["scratch", "parent", "restricted"]}
    assert len(targets(downstream=everything).downstream()) == 2 * 2 + 2
    assert targets(downstream=None).downstream() == []


ARCHIVES = {
    "of the last stages": (
        {"train_plans": ["taylor-0.50"]},
        ["taylor-0.50_recovered", "taylor-0.50_distilled", "taylor-0.50_recovered-int8"],
    ),
    "of all plans, if none is trained": (
        {"train_plans": [], "sweep": {"criteria": ["taylor"], "budgets": [0.5], "axes": ["both"]}}
        | {"recovery": None, "distillation": None, "quantization": None, "downstream": None},
        ["taylor-0.50_pruned"],
    ),
    "of what was fine-tuned on the only dataset": (
        ONE_SYSTEM,
        ["taylor-0.50_recovered", "taylor-0.50_recovered_finetuned_silicon"],
    ),
    "of that alone, if nothing else was trained": (
        ONE_SYSTEM | {"recovery": None, "downstream": {"datasets": ["silicon"], "stage": "pruned"}},
        ["taylor-0.50_pruned_finetuned_silicon"],
    ),
}


@pytest.mark.parametrize(("changes", "archives"), ARCHIVES.values(), ids=ARCHIVES)
def test_archives(changes, archives):
    expected = [f"archives/sevennet-0_{name}.tar.gz" for name in archives]
    assert names(targets(**changes).archives()) == expected


def test_every_download_is_recorded():
    published = {"source": "published", "name": "rmd17-ethanol"}
    datasets = {
        "foundation": {**published, "name": "rmd17-aspirin"},
        "again": published,
        "silicon": {"source": "files", "paths": ["frames.xyz"]},
        "ethanol": published,
    }
    found = targets(datasets=datasets, downloads={"directory": "down"}).downloads()
    assert len(found) == len(set(found)) > 0
    assert all(path.parts[:2] == ("down", "rmd17") for path in found)
    assert targets().downloads() == []


def test_dynamics_are_run_with_what_a_study_ends_at():
    dynamics = {"datasets": ["silicon", "foundation"]}
    asked = targets(
        train_plans=["taylor-0.50"],
        downstream={"datasets": ["silicon"], "stage": "recovered"},
        evaluation={"dataset": "foundation", "dynamics": dynamics},
    )
    assert names(asked.dynamics()) == [
        "sevennet-0/parent/original/dynamics/silicon.json",
        "sevennet-0/taylor-0.50/recovered/downstream/silicon/finetuned/dynamics/silicon.json",
        "sevennet-0/parent/original/dynamics/foundation.json",
        "sevennet-0/taylor-0.50/distilled/dynamics/foundation.json",  # not the quantized one
    ]
    assert "dynamics" in asked.tables() and "validation" not in asked.tables()


def test_without_dynamics_there_is_nothing_of_them():
    assert targets().dynamics() == []
    assert "dynamics" not in targets().tables()
