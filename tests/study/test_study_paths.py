"""Where files of a study lie; the places are part of what users rely on."""

from pathlib import Path

import pytest

from irrepress.study.paths import DownloadPaths, ModelFolder, StudyPaths, match

PATHS = StudyPaths.of("mine")
STAGE = PATHS.stage("m", "taylor-0.50", "recovered-int8")
TASK = PATHS.task("m", "taylor-0.50", "recovered", "silicon", "finetuned")

PLACES = {
    "results/mine/data/own.h5": PATHS.data("own"),
    "results/mine/data/own.summary.json": PATHS.summary("own"),
    "results/mine/m/scores.h5": PATHS.scores("m"),
    "results/mine/m/shapes.json": PATHS.shapes("m"),
    "results/mine/m/taylor-0.50/plan.json": PATHS.plan("m", "taylor-0.50"),
    "results/mine/m/parent/original/model.pt": PATHS.parent("m").model_file,
    "results/mine/m/parent/untrained/card.json": PATHS.untrained("m").card,
    "results/mine/m/parent/original/teacher/own.h5": PATHS.teacher("m", "own"),
    "results/mine/m/taylor-0.50/recovered-int8/packed.pt": STAGE.packed,
    "results/mine/m/taylor-0.50/recovered-int8/metrics.json": STAGE.metrics,
    "results/mine/m/taylor-0.50/recovered/downstream/silicon/finetuned/card.json": TASK.card,
    "results/mine/archives/m_taylor-0.50_recovered-int8.tar.gz": PATHS.archive(STAGE),
    "results/mine/archives/m_taylor-0.50_recovered_finetuned_silicon.tar.gz": PATHS.archive(TASK),
    "results/mine/report/index.html": PATHS.page,
    "results/mine/report/sweep.csv": PATHS.table("sweep"),
}


@pytest.mark.parametrize(("place", "path"), PLACES.items())
def test_every_file_has_its_place(place, path):
    assert path == Path(place)


LOGS = {
    "logs/mine/data/own.log": PATHS.data("own"),
    "logs/mine/data/own.summary.log": PATHS.summary("own"),
    "logs/mine/m/taylor-0.50/plan.log": PATHS.plan("m", "taylor-0.50"),
    "logs/mine/m/taylor-0.50/recovered-int8/model.log": STAGE.model_file,
    "logs/mine/archives/m_taylor-0.50_recovered-int8.log": PATHS.archive(STAGE),
    "logs/mine/report/index.log": PATHS.page,
}


@pytest.mark.parametrize(("place", "path"), LOGS.items())
def test_logs_and_benchmarks_mirror_results(place, path):
    assert PATHS.log(path) == Path(place)
    assert PATHS.benchmark(path) == Path(place).with_suffix(".benchmark.tsv")


def test_downloads_are_shared_by_studies():
    downloads = DownloadPaths(Path("down"))
    assert downloads.file("mptrj", "a.zip") == Path("down/mptrj/a.zip")
    assert downloads.record("mptrj", "a.zip") == Path("down/mptrj/a.zip.json")
    assert downloads.log() == Path("logs/downloads/{collection}/{file}.log")


@pytest.mark.parametrize("folder", [STAGE, TASK, PATHS.parent("m")])
def test_a_folder_tells_which_model_it_holds(folder):
    assert ModelFolder.of(folder.path) == folder


def test_models_know_what_they_are_compared_with():
    assert TASK.untuned == PATHS.stage("m", "taylor-0.50", "recovered")
    assert TASK.parent == STAGE.parent == PATHS.parent("m")
    assert PATHS.parent("m").is_of_the_parent and not TASK.is_of_the_parent


def test_a_pattern_tells_the_wildcards_of_a_path():
    path = PATHS.stage("m", "taylor-0.50", "pruned").metrics
    assert match(PATHS.stage().metrics, path) == {
        "model": "m",
        "plan": "taylor-0.50",
        "stage": "pruned",
    }
    assert match(PATHS.scores(), path) is None
    assert match(PATHS.data(), PATHS.data("own").with_suffix(".csv")) is None
