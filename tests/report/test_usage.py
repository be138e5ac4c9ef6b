"""What jobs took, from files such as Snakemake writes."""

import pandas as pd
import pytest
from study_samples import make_config, write_study

from irrepress.report.page import write_report
from irrepress.report.usage import COLUMNS, shown_usage, usage_table

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tcpu_time\n"
JOBS = {
    # place -> (seconds, memory in MB)
    "data/foundation.benchmark.tsv": (36, 512),
    "data/foundation.summary.benchmark.tsv": (18, 1024),
    "m/parent/original/model.benchmark.tsv": (36, 2048),
    "m/scores.benchmark.tsv": (360, 4096),
    "m/taylor-0.50/plan.benchmark.tsv": (3.6, 100),
    "m/taylor-0.50/pruned/metrics.benchmark.tsv": (36, 100),
    "m/taylor-0.50/recovered/model.benchmark.tsv": (3600, 8192),
    "m/taylor-0.50/recovered/metrics.benchmark.tsv": (36, 100),
    "m/taylor-0.50/recovered-int8/model.benchmark.tsv": (36, 100),
    "m/taylor-0.50/recovered/downstream/silicon/finetuned/model.benchmark.tsv": (72, 100),
    "m/taylor-0.50/recovered/dynamics/foundation.benchmark.tsv": (36, 100),
    "m/taylor-0.50/recovered/downstream/silicon/finetuned/dynamics/silicon.benchmark.tsv": (72, 9),
}


@pytest.fixture
def logs(tmp_path):
    for place, (seconds, memory) in JOBS.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEAD}{seconds}\t0:00:01\t{memory}\t-\t1.0\n")
    return tmp_path


def test_jobs_are_summed_by_stage(logs):
    config = make_config(device="cuda", recovery={"dataset": "foundation", "devices": 4})
    table = usage_table(logs, config).set_index("stage")
    assert set(table.index) == {
        *("data", "parent", "scores", "plans", "evaluation", "recovered", "recovered-int8"),
        *("downstream", "dynamics", "all"),
    }
    assert table.loc["evaluation", "jobs"] == table.loc["dynamics", "jobs"] == 2
    assert table.loc["evaluation", "wall time [h]"] == pytest.approx(0.02)
    assert table.loc["recovered", "GPU time [GPU h]"] == pytest.approx(4)
    assert table.loc["plans", "GPU time [GPU h]"] == 0
    assert table.loc["data", "peak memory [GB]"] == 1
    assert table.loc["all", "jobs"] == len(JOBS)
    assert table.loc["all", "peak memory [GB]"] == 8
    assert table.loc["all", "wall time [h]"] == pytest.approx(
        sum(seconds for seconds, _ in JOBS.values()) / 3600
    )


def test_on_the_cpu_no_gpu_is_counted(logs):
    table = usage_table(logs, make_config(device="cpu"))
    assert (table["GPU time [GPU h]"] == 0).all()
    assert len(shown_usage(table).rows) == len(table)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_machine_without_gpus_took_no_time_of_them(logs, tmp_path, device):
    config = make_config(device="auto", downstream=None)
    study_dir = write_study(tmp_path / "results", config)
    for path in study_dir.rglob("metrics.json"):
        path.write_text(path.read_text().replace('"device": "cpu"', f'"device": "{device}"'))
    write_report(study_dir, config, tmp_path / "report", logs)
    used = pd.read_csv(tmp_path / "report" / "usage.csv").set_index("stage")
    hours = used.loc["all", "GPU time [GPU h]"]
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert ("GPU time" in page) == (hours > 0) == (device == "cuda")
    assert ("No job had a GPU" in page) == (device == "cpu")


def test_without_benchmarks_there_is_no_table(tmp_path):
    table = usage_table(tmp_path, make_config())
    assert list(table.columns) == COLUMNS and table.empty
    assert shown_usage(table) is None
