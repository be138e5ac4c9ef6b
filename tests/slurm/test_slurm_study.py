"""A whole study through ``snakemake --profile slurm all``."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(2400)]

RECOVERED = "results/tiny/small/magnitude-half/recovered"


def submitted(log: Path) -> dict[str, str]:
    """SLURM's number of the job that made each output, read from the logs that SLURM wrote."""
    return {path.stem: str(path.parent) for path in log.rglob("*.log")}


def test_the_whole_study_runs_as_jobs(study, cluster):
    metrics = json.loads((study / RECOVERED / "metrics.json").read_text())
    assert metrics["cost"]["parameters"] < 842623
    assert (study / "results/tiny/report/index.html").exists()
    jobs = submitted(study / ".snakemake/slurm_logs")
    seen = {}
    for number, place in jobs.items():
        job = cluster.job(number)
        seen.setdefault(re.search(r"(?:rule|group)_(\w+)", place)[1], []).append(job)
        assert job["JobState"] == "COMPLETED" and job["NodeList"] in ("node1", "node2")
    on_gpus = {"generate_dataset", "score", "evaluate", "recover", "fine_tune"}
    for rule, each in seen.items():
        for job in each:
            asked = job.get("TresPerJob", "")
            assert ("gres:gpu:a100:1" in asked) == (rule in on_gpus), (rule, asked)
            assert job["Partition"] == ("gpu" if rule in on_gpus else "cpu"), rule
    # One job for plan and prune, which take seconds.
    assert "plan" not in seen and "prune" not in seen
    assert len(jobs) == len(list(study.glob("logs/**/*.benchmark.tsv"))) - 1
    assert cluster.jobs(directory=study) == []


def test_nothing_is_computed_twice(study, run):
    done = run(study, "all")
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_every_job_leaves_a_log_and_a_benchmark(study):
    logs = {path.with_suffix("") for path in (study / "logs").rglob("*.log")}
    tables = list((study / "logs").rglob("*.benchmark.tsv"))
    assert logs == {path.with_suffix("").with_suffix("") for path in tables}
    for table in tables:
        assert float(pd.read_csv(table, sep="\t")["s"].iloc[0]) > 0


def test_the_report_says_what_the_stages_took(study):
    usage = pd.read_csv(study / "results/tiny/report/usage.csv", index_col="stage")
    wall = usage["wall time [h]"]
    assert 0 < wall["recovered"] < wall["all"]
    # Jobs had GPUs of the cluster, but these are stand-ins, on which nothing ran.
    assert (usage["GPU time [GPU h]"] == 0).all()
    assert (usage["peak memory [GB]"] > 0.1).all()


def test_two_ranks_on_the_cluster_give_the_result_of_one(study, copy, run, cluster):
    """The number of devices is no part of what a result depends on: the target has to go."""
    directory = copy(*(f"{RECOVERED}/{name}" for name in ("model.pt", "card.json", "training.csv")))
    done = run(
        directory,
        f"{RECOVERED}/model.pt",
        *("--config", "cluster={gpu_type: a100}", "recovery={devices: 2}"),
        *("--slurm-jobname-prefix", "ranks"),
    )
    assert done.returncode == 0, done.stderr[-4000:]
    number = re.search(r"SLURM jobid (\d+)", done.stderr)[1]
    job = cluster.job(number)
    assert job["NumTasks"] == "2" and "gres:gpu:a100:2" in job["TresPerJob"]
    log = (directory / "logs/tiny/small/magnitude-half/recovered/model.log").read_text()
    assert "training with 2 ranks" in log
    alone, shared = (
        pd.read_csv(place / RECOVERED / "training.csv").drop(columns="seconds")
        for place in (study, directory)
    )
    pd.testing.assert_frame_equal(alone, shared, rtol=1e-3)  # the model is in float32
