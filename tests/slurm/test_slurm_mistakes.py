"""What a cluster would refuse is told in one message before any job is sent."""

import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(1200)]

STORE = "results/tiny/data/foundation.h5"
MISTAKES = {
    "partition": (
        ["--default-resources", "slurm_partition=gqu"],
        "no partition 'gqu'; did you mean 'gpu'",
    ),
    "GPU type": (["--config", "cluster={gpu_type: a10}"], "no GPU of type 'a10'; did you mean"),
}


@pytest.mark.parametrize("dry", [False, True], ids=["run", "dry run"])
@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_one_message_and_no_job(cluster, run, tmp_path, arguments, message, dry):
    before = cluster.jobs("all")
    done = run(tmp_path, STORE, *arguments, *["--dry-run"] * dry)
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if message in line], done.stderr
    assert "Traceback" not in done.stderr
    assert cluster.jobs("all") == before
