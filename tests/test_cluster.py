"""What is asked of SLURM before a run; here scripts answer as SLURM does."""

from pathlib import Path

import pytest

from irrepress.cluster import check_cluster
from irrepress.errors import UserError

SINFO = "cpu|(null)\ngpu|gpu:a100:2(S:0-1),gpu:h100:4\nold|gpu:2\n"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A function that puts answers of SLURM's commands on PATH, and nothing else."""

    def answer(queue: str = "", sinfo: str = SINFO, status: int = 0) -> None:
        for name, text in (("sinfo", sinfo), ("squeue", queue), ("sbatch", "")):
            (tmp_path / f"{name}.txt").write_text(text)
            path = tmp_path / name
            lines = [f'while read -r line; do echo "$line"; done < "{tmp_path / name}.txt"']
            if status:
                lines = ["echo 'slurm_load_partitions: no controller' >&2", f"exit {status}"]
            path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
            path.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    return answer


def test_what_the_cluster_has_is_accepted(slurm):
    slurm()
    check_cluster(["cpu", "gpu"], "h100", Path("/work"))
    check_cluster([], None, Path("/work"))


def test_no_sbatch(slurm):
    with pytest.raises(UserError, match=r"no sbatch on PATH.*--profile profiles/local"):
        check_cluster([], None, Path("/work"))


def test_an_unknown_partition(slurm):
    slurm()
    with pytest.raises(UserError, match="no partition 'gqu'; did you mean 'gpu'"):
        check_cluster(["gqu"], None, Path("/work"))


def test_an_unknown_gpu_type(slurm):
    slurm()
    with pytest.raises(UserError, match="no GPU of type 'a10'; did you mean 'a100'"):
        check_cluster([], "a10", Path("/work"))
    slurm(sinfo="cpu|(null)\n")
    with pytest.raises(UserError, match="no GPU of type 'a10'; it names no types"):
        check_cluster([], "a10", Path("/work"))


def test_jobs_of_another_run_in_the_same_directory(slurm):
    slurm("12|rule_plan_wildcards_x|/work\n9|rule_score|/work\n8|rule_score|/other\n7||/work\n")
    with pytest.raises(UserError, match=r"scancel 9 12$"):
        check_cluster([], None, Path("/work"))
    check_cluster([], None, Path("/else"))


def test_a_controller_that_does_not_answer(slurm):
    slurm(status=1)
    with pytest.raises(UserError, match="profile slurm: slurm_load_partitions: no controller"):
        check_cluster([], None, Path("/work"))
