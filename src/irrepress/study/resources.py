"""Resource requests of jobs, which grow with every attempt and with the size of inputs."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from irrepress.study.config import Config
from irrepress.training.config import Training


@dataclass(frozen=True)
class JobResources:
    """Resource requests of a study's jobs.

    Snakemake passes arguments to the returned functions by name.

    Attributes:
        config: the config.
        of_trainings: further resources of training jobs.

    Example:
        >>> resources = JobResources(config)
        >>> resources.gpus(2), resources.minutes(30)({}, [], attempt=2)
        ({'gpu': 2}, 60)
    """

    config: Config
    of_trainings: Mapping[str, Any] = field(default_factory=dict)

    def minutes(self, base: float, per_gigabyte: float = 0) -> Callable[..., int]:
        """Return a function for the time limit in minutes, bounded by the config."""

        def runtime(wildcards: Any, input: Iterable[str], attempt: int) -> int:
            wanted = (base + per_gigabyte * _gigabytes(input)) * attempt
            return int(min(wanted, self.config.cluster.max_minutes))

        return runtime

    def memory(self, base: float, per_gigabyte: float = 0) -> Callable[..., int]:
        """Return a function for the memory limit in MB, bounded by the config."""

        def mem_mb(wildcards: Any, input: Iterable[str], attempt: int) -> int:
            wanted = (base + per_gigabyte * _gigabytes(input)) * attempt
            return int(min(wanted, self.config.cluster.max_memory or wanted))

        return mem_mb

    def gpus(self, count: int = 1) -> dict[str, Any]:
        """Return the resources of a GPU job; empty if the study runs on CPUs."""
        if self.config.device == "cpu":
            return {}
        return {"gpu": count} | ({"gpu_model": self.gpu_type} if self.gpu_type else {})

    @property
    def gpu_type(self) -> str | None:
        """The type of the requested GPUs."""
        return None if self.config.device == "cpu" else self.config.cluster.gpu_type

    def training(self, section: Training) -> dict[str, Any]:
        """Return the resources of training: GPUs, and a SLURM task for each rank.

        The key mpi tells the executor to leave srun to the script.
        """
        asked = {**self.gpus(section.ranks), **self.of_trainings}
        if section.ranks == 1:
            return asked
        if section.devices > 1:
            tasks = {"tasks_per_node": section.devices}
        else:
            tasks = {"tasks": section.nodes, "tasks_per_gpu": 0}
        return {**asked, "mpi": "srun", "nodes": section.nodes, **tasks}


def _gigabytes(files: Iterable[str]) -> float:
    """Return the size of a job's inputs in GB; missing files count as 0."""
    return sum(os.path.getsize(file) for file in files if os.path.exists(file)) / 1e9
