"""What jobs ask for."""

from study_samples import make_config

from irrepress.study.resources import JobResources
from irrepress.training.config import Training


def test_limits_grow_with_attempts_and_inputs_up_to_the_clusters(tmp_path):
    cluster = {"max_minutes": 100, "max_memory": 5000}
    resources = JobResources(make_config(cluster=cluster))
    assert [resources.minutes(40)({}, [], attempt) for attempt in (1, 2, 3)] == [40, 80, 100]
    assert [resources.memory(2000)({}, [], attempt) for attempt in (1, 2, 3)] == [2000, 4000, 5000]
    file = tmp_path / "large"
    file.write_bytes(bytes(10**6))
    files = [str(file), str(tmp_path / "yet to be made")]
    assert resources.memory(1000, per_gigabyte=10**6)({}, files, 1) == 2000
    assert JobResources(make_config()).memory(2000)({}, [], 9) == 18000


def test_gpus_are_asked_for_unless_the_study_uses_the_cpu():
    assert JobResources(make_config(device="cpu")).gpus() == {}
    assert JobResources(make_config(device="auto")).gpus(2) == {"gpu": 2}
    typed = JobResources(make_config(cluster={"gpu_type": "a100"}))
    assert typed.gpus() == {"gpu": 1, "gpu_model": "a100"} and typed.gpu_type == "a100"
    on_cpu = make_config(device="cpu", cluster={"gpu_type": "a100"})
    assert JobResources(on_cpu).gpu_type is None


def test_trainings_ask_for_a_task_a_rank():
    resources = JobResources(make_config(), of_trainings={"slurm_extra": "--signal=TERM@120"})
    extra = {"slurm_extra": "--signal=TERM@120"}
    assert resources.training(Training()) == {"gpu": 1, **extra}
    assert resources.training(Training(devices=2, nodes=2)) == {
        "gpu": 4,
        **extra,
        "mpi": "srun",
        "nodes": 2,
        "tasks_per_node": 2,
    }
    assert resources.training(Training(nodes=2)) == {
        "gpu": 2,
        **extra,
        "mpi": "srun",
        "nodes": 2,
        "tasks": 2,
        "tasks_per_gpu": 0,
    }
