"""What a study took: time, hours of GPUs and memory of its jobs, by stage."""

from pathlib import Path

import pandas as pd

from irrepress.report.markup import Table, make_table
from irrepress.study.config import Config

SUFFIX = ".benchmark.tsv"
GPU_TIME = "GPU time [GPU h]"
COLUMNS = ["stage", "jobs", "wall time [h]", GPU_TIME, "peak memory [GB]"]
# Stages whose jobs ask for no GPU; all others do, where they run on GPUs.
_ON_CPU = ("parent", "plans", "pruned", "report", "archives")


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
    for path in sorted(benchmarks.rglob(f"*{SUFFIX}")):
        stage = _stage(path.relative_to(benchmarks))
        measured = pd.read_csv(path, sep="\t", na_values="-")
        rows.append(
            {
                "stage": stage,
                "seconds": measured["s"].sum(),
                "gpus": _gpus(stage, path, config) if gpus else 0,
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


def _stage(path: Path) -> str:
    """Return the stage that a benchmark file belongs to, from its place."""
    parts, name = path.parts, path.name.removesuffix(SUFFIX)
    if parts[0] in ("data", "report", "archives"):
        return parts[0]
    if "downstream" in parts:
        return "downstream"
    if "teacher" in parts:
        return "labels of the parent"
    if name == "metrics":
        return "evaluation"
    if name in ("scores", "shapes"):
        return name
    if name == "plan":
        return "plans"
    stage = parts[-2]
    return "parent" if stage == "original" else stage


def _gpus(stage: str, path: Path, config: Config) -> int:
    """Return the GPUs that a job asked for."""
    if config.device == "cpu" or stage in _ON_CPU or "-int" in stage:
        return 0
    if stage == "data":
        name = path.name.removesuffix(SUFFIX)
        return int(hasattr(config.datasets.get(name), "labels"))
    training = {
        "recovered": config.recovery,
        "distilled": config.distillation,
        "downstream": config.downstream and config.downstream.training,
    }.get(stage)
    return training.ranks if training else 1
