"""Resources that a study used: time, GPU hours and memory of its jobs, by stage."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from irrepress.report.markup import Table, make_table
from irrepress.study.config import Config
from irrepress.study.paths import UNTRAINED_STAGE, StudyPaths, match
from irrepress.study.stages import DISTILLED, PRUNED, RECOVERED, REFINED, Stage

GPU_TIME = "GPU time [GPU h]"
COLUMNS = ["stage", "jobs", "wall time [h]", GPU_TIME, "peak memory [GB]"]


@dataclass(frozen=True)
class _Kind:
    """A kind of jobs.

    Attributes:
        stage: its name in the table.
        benchmark: pattern of its benchmark files.
        gpus: number of GPUs that its jobs ask for, if they run on GPUs.
    """

    stage: str
    benchmark: Path
    gpus: int


def usage_table(benchmarks: Path, config: Config, *, gpus: bool = True) -> pd.DataFrame:
    """Read the benchmark files that Snakemake wrote for every job; no rows where there are none.

    A file holds the last run of its job: earlier attempts that were killed are not counted.
    GPU hours are those asked for, whatever use was made of them. Memory is the largest resident
    set of a job's processes; of ranks that srun started it is not known.

    Args:
        benchmarks: the folder with the study's logs and benchmarks.
        config: the study's configuration.
        gpus: whether jobs ran on GPUs; on a machine without any they took none, whatever the
            config asks for.
    """
    rows = []
    paths = StudyPaths(Path("results", config.name), benchmarks)
    kinds = _kinds(paths, config)
    gpus = gpus and config.device != "cpu"
    for path in paths.benchmarks():
        fitting = ((kind, match(kind.benchmark, path)) for kind in kinds)
        kind, wildcards = next((k, found) for k, found in fitting if found is not None)
        measured = pd.read_csv(path, sep="\t", na_values="-")
        rows.append(
            {
                "stage": kind.stage.format(**wildcards),
                "seconds": measured["s"].sum(),
                "gpus": kind.gpus if gpus else 0,
                "memory": measured["max_rss"].max() / 1024,
            }
        )
    if not rows:
        return pd.DataFrame(columns=COLUMNS)
    frame = pd.DataFrame(rows)
    frame["hours"] = frame["seconds"] / 3600
    frame["gpu_hours"] = frame["hours"] * frame["gpus"]
    grouped = frame.groupby("stage", sort=False)
    table = pd.DataFrame(
        {
            "stage": list(grouped.groups),
            "jobs": grouped.size().to_numpy(),
            "wall time [h]": grouped["hours"].sum().to_numpy(),
            GPU_TIME: grouped["gpu_hours"].sum().to_numpy(),
            "peak memory [GB]": grouped["memory"].max().to_numpy(),
        },
        columns=COLUMNS,
    )
    total = {
        "stage": "all",
        "jobs": int(table["jobs"].sum()),
        "wall time [h]": table["wall time [h]"].sum(),
        GPU_TIME: table[GPU_TIME].sum(),
        "peak memory [GB]": table["peak memory [GB]"].max(),
    }
    return pd.concat([table, pd.DataFrame([total])], ignore_index=True)


def shown_usage(table: pd.DataFrame) -> Table | None:
    """Return the table as the page shows it; None if nothing is known."""
    if table.empty:
        return None
    caption = (
        "Time and memory of the jobs of every stage, as their benchmark files tell. Wall times of "
        "jobs that ran at the same time add up"
    )
    on_gpus = table[GPU_TIME].max() > 0
    return make_table(
        "usage",
        f"{caption}; GPU time is what was asked for."
        if on_gpus
        else f"{caption}. No job had a GPU.",
        table,
        [column for column in COLUMNS if on_gpus or column != GPU_TIME],
        csv="usage.csv",
        marked=table["stage"] == "all",
    )


def _kinds(paths: StudyPaths, config: Config) -> list[_Kind]:
    """Return the kinds of jobs; of those that fit a file, the first one counts."""
    stage = paths.stage()
    trainings = {
        RECOVERED: config.recovery,
        DISTILLED: config.distillation,
        REFINED: config.refinement,
    }

    def kind(name: str, output: Path, gpus: int = 0) -> _Kind:
        return _Kind(name, paths.benchmark(output), gpus)

    def of_stage(stage: Stage) -> int:
        if stage == PRUNED or stage.is_converted:
            return 0
        training = trainings.get(stage)
        return training.ranks if training else 1

    labelled = [name for name, dataset in config.datasets.items() if hasattr(dataset, "labels")]
    return [
        *(kind("data", paths.data(name), gpus=1) for name in labelled),
        kind("data", paths.data()),
        kind("report", paths.page),
        kind("archives", paths.archive(stage)),
        kind("scores", paths.scores(), gpus=1),
        kind("shapes", paths.shapes(), gpus=1),
        kind("plans", paths.plan()),
        kind("labels of the parent", paths.teacher(), gpus=1),
        kind(
            "downstream",
            paths.task().model_file,
            gpus=config.downstream.training.ranks if config.downstream else 1,
        ),
        kind("evaluation", stage.metrics, gpus=1),
        kind("dynamics", stage.dynamics(), gpus=1),
        kind("dynamics", paths.task(dataset="{task}").dynamics(), gpus=1),
        kind("validation", stage.validation, gpus=1),
        kind("validation", stage.validation_reference, gpus=1),
        kind("validation", paths.task().validation, gpus=1),
        kind("validation", paths.task().validation_reference, gpus=1),
        kind("deployment", stage.deployment(), gpus=1),
        kind("parent", paths.parent().model_file),
        kind(UNTRAINED_STAGE, paths.untrained().model_file),
        *(
            kind(each.name, paths.stage(stage=each.name).model_file, of_stage(each))
            for each in config.stages()
        ),
        # Stages that the config had once.
        kind("{stage}", stage.model_file, gpus=1),
    ]
