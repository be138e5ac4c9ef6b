"""What is asked of SLURM before a run; here scripts answer as SLURM does."""

from pathlib import Path

import pytest

from irrepress.core.errors import UserError
from irrepress.study.cluster import Asked, check_queue, check_resources

SINFO = "cpu*|(null)\ngpu|gpu:a100:2(S:0-1),gpu:h100:4\nold|gpu:2\n"


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
    check_resources([Asked("cpu"), Asked("gpu", gpu=True)], "h100")
    check_resources([Asked("old", gpu=True), Asked(None)], None)
    check_resources([], None)


def test_no_sbatch(slurm):
    with pytest.raises(UserError, match=r"no sbatch on PATH.*--profile profiles/local"):
        check_resources([], None)


def test_an_unknown_partition(slurm):
    slurm()
    with pytest.raises(UserError, match="no partition 'gqu'; did you mean 'gpu'"):
        check_resources([Asked("gqu")], None)


def test_an_unknown_gpu_type(slurm):
    slurm()
    with pytest.raises(UserError, match="no GPU of type 'a10'; did you mean 'a100'"):
        check_resources([], "a10")
    slurm(sinfo="cpu|(null)\n")
    with pytest.raises(UserError, match="no GPU of type 'a10'; it has no GPU types"):
        check_resources([], "a10")


PLACES = {
    "a partition of other GPUs": ("old", "a100", "partition 'old' has no GPU of type 'a100'"),
    "a partition without": ("cpu", None, r"partition 'cpu' has no GPU, .* name gpu or old in"),
    "the default": (None, "h100", r"the default partition \(cpu\) has no GPU of type 'h100'"),
}


@pytest.mark.parametrize(("partition", "gpu_type", "message"), PLACES.values(), ids=PLACES)
def test_gpus_that_the_jobs_partition_lacks(slurm, partition, gpu_type, message):
    slurm()
    with pytest.raises(UserError, match=message):
        check_resources([Asked(partition, gpu=True)], gpu_type)
    check_resources([Asked(partition)], gpu_type)


def test_jobs_go_to_a_partition_of_the_file(slurm, tmp_path):
    slurm()
    file = tmp_path / "partitions.yaml"
    file.write_text("partitions: {cpu: {}, gpu: {max_gpu: 4, available_gpu_models: [h100]}}")
    check_resources([Asked(None, gpu=True)], "h100", file)
    with pytest.raises(
        UserError, match=r"no partition of .*yaml has a GPU of type 'a100'.* gpu in"
    ):
        check_resources([Asked(None, gpu=True)], "a100", file)
    file.write_text("[gpu]")
    with pytest.raises(UserError, match="not a file of partitions"):
        check_resources([Asked(None, gpu=True)], "a100", file)


def test_jobs_of_another_run_in_the_same_directory(slurm):
    slurm("12|rule_plan_wildcards_x|/work\n9|rule_score|/work\n8|rule_score|/other\n7||/work\n")
    with pytest.raises(UserError, match=r"scancel 9 12$"):
        check_queue(Path("/work"))
    check_queue(Path("/else"))


def test_a_controller_that_does_not_answer(slurm):
    slurm(status=1)
    with pytest.raises(UserError, match="profile slurm: slurm_load_partitions: no controller"):
        check_resources([], None)
