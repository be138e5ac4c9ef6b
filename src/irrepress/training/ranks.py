"""The processes of one training, called ranks: one per GPU (or CPU device).

On one machine Lightning starts the further ranks. In a SLURM job `start_by_srun` starts all of
them, on every node that the job was given; Lightning then finds its place in SLURM's variables.
"""

import os
import sys

import torch
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
)
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor

from irrepress.core.processes import STARTED_BY_SRUN
from irrepress.training.config import Training


def start_by_srun(settings: Training) -> None:
    """Replace this process by srun with one rank per device, in a SLURM job with several.

    Returns if there is nothing to do: one device, no SLURM job, or a rank already.
    """
    if settings.ranks == 1 or "SLURM_JOB_ID" not in os.environ or STARTED_BY_SRUN in os.environ:
        return
    environment = os.environ | {STARTED_BY_SRUN: "1"}
    if settings.nodes == 1:
        # The name of a node need not be one that it can reach itself by.
        environment.setdefault("MASTER_ADDR", "127.0.0.1")
    sys.stdout.flush()
    sys.stderr.flush()
    command = [
        "srun",
        f"--nodes={settings.nodes}",
        f"--ntasks-per-node={settings.devices}",
        f"--ntasks={settings.ranks}",
        "--kill-on-bad-exit=1",  # ranks wait for each other: without one, all must end
        "--export=ALL",
        *(sys.executable, *sys.argv),
    ]
    os.execvpe(command[0], command, environment)


def cluster_environment() -> ClusterEnvironment:
    """Return the cluster environment from which Lightning learns the rank of this process."""
    if STARTED_BY_SRUN in os.environ:
        # Requeueing is the workflow's matter: it asks for more time with every attempt, and
        # `irrepress.training.interruption` saves between two steps, not within one.
        return SLURMEnvironment(auto_requeue=False)
    # Lightning would take a SLURM job's own task count for its world size.
    return LightningEnvironment()


def strategy(settings: Training, device: torch.device) -> Strategy | str:
    """Return how ranks exchange gradients."""
    if settings.ranks == 1:
        return "auto"
    return DDPStrategy(
        process_group_backend="nccl" if device.type == "cuda" else "gloo",
        broadcast_buffers=False,  # they are constants of the network
        find_unused_parameters=True,  # parts that learn nothing (`relative_rates`) have no gradient
    )


def world_size() -> int:
    """Return the number of ranks that have found each other."""
    return torch.distributed.get_world_size() if _is_distributed() else 1


def communication_device() -> torch.device:
    """Return the device that tensors must be on to be exchanged by ranks."""
    if _is_distributed() and torch.distributed.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def summed(values: Tensor) -> Tensor:
    """Return the sum over all ranks, which must all call this; without a graph."""
    if not _is_distributed():
        return values.detach()
    total = values.detach().clone()
    torch.distributed.all_reduce(total)
    return total


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
