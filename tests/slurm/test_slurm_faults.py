"""What a cluster refuses a job in mid-course, done to single jobs of a study that is there."""

from pathlib import Path

import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(2400)]

SUMMARY = "results/tiny/data/foundation.summary.json"


def test_a_job_over_its_memory_succeeds_with_more(copy, run, cluster):
    directory = copy(SUMMARY)
    limit = "summarize_dataset:mem_mb=100*attempt**5"  # Snakemake alone takes more than 100 MB
    done = run(directory, SUMMARY, "--set-resources", limit)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (directory / SUMMARY).exists()
    first, second = sorted(cluster.jobs("all", directory=directory), key=int)
    assert cluster.job(first)["JobState"] in ("OUT_OF_MEMORY", "FAILED", "CANCELLED")
    assert cluster.job(first)["MinMemoryNode"] == "100M"
    assert cluster.job(second)["JobState"] == "COMPLETED"
    assert cluster.job(second)["MinMemoryNode"] == "3200M"
    log = Path(cluster.job(first)["StdOut"]).read_text()
    assert "exceed" in log and "memory" in log.lower()
