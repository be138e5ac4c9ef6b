"""The processes of a training run, called ranks: one per GPU, or several on the cores of a CPU.

On a single machine Lightning starts the other ranks. In a SLURM job `start_by_srun` starts all of
them, on every node of the job; Lightning then reads the rank from SLURM's variables.
"""

import os
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
)
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor

from irrepress.core.processes import STARTED_BY_SRUN
from irrepress.training.batches import Limit, fewest_structures
from irrepress.training.config import Training

# Steps of a training that takes longer than it takes another process to begin.
_WORTH_A_PROCESS = 200


def start_by_srun(settings: Training) -> None:
    """In a SLURM job with several devices, replace this process by srun with one rank per device.

    Returns if there is nothing to do: with one device, outside SLURM, or in a rank.
    """
    if settings.ranks == 1 or "SLURM_JOB_ID" not in os.environ or STARTED_BY_SRUN in os.environ:
        return
    environment = os.environ | {STARTED_BY_SRUN: "1"}
    if settings.nodes == 1:
        # A node may not be able to reach itself by its own name.
        environment.setdefault("MASTER_ADDR", "127.0.0.1")
    sys.stdout.flush()
    sys.stderr.flush()
    command = [
        "srun",
        f"--nodes={settings.nodes}",
        f"--ntasks-per-node={settings.devices}",
        f"--ntasks={settings.ranks}",
        "--kill-on-bad-exit=1",  # ranks wait for each other: if one ends, all must
        "--export=ALL",
        *(sys.executable, *sys.argv),
    ]
    os.execvpe(command[0], command, environment)


def cluster_environment() -> ClusterEnvironment:
    """Return the environment from which Lightning takes the rank of this process."""
    if STARTED_BY_SRUN in os.environ:
        # The workflow requeues jobs: it requests more time with every attempt, and
        # `irrepress.training.interruption` saves between steps, not within one.
        return SLURMEnvironment(auto_requeue=False)
    # Otherwise Lightning would use the task count of the SLURM job as its world size.
    return LightningEnvironment()


def ranks_on_cores(
    settings: Training, splits: Mapping[str, np.ndarray], limits: Sequence[Limit], cores: int
) -> int:
    """Return how many ranks train on the cores of a CPU.

    Threads of one process speed up networks of this size little; ranks that share each batch do.
    There are as many as every batch has structures for. The config's own number goes first, and
    trainings of a few steps are not worth another process.

    Args:
        settings: the training's settings.
        splits: the structures of the train and the valid split, ``[structures]`` each.
        limits: limits on the size of a batch.
        cores: how many cores the training may use.

    Example:
        >>> splits = {"train": np.arange(8), "valid": np.arange(8, 10)}
        >>> ranks_on_cores(Training(steps=1000, batch_size=4), splits, [], cores=16)
        2
    """
    if settings.ranks > 1 or settings.steps < _WORTH_A_PROCESS:
        return settings.ranks
    structures = fewest_structures(splits["train"], settings.batch_size, limits)
    return max(min(cores, structures, len(splits["valid"])), 1)


def strategy(ranks: int, device: torch.device) -> Strategy | str:
    """Return Lightning's strategy for exchanging gradients between ranks."""
    if ranks == 1:
        return "auto"
    return DDPStrategy(
        process_group_backend="nccl" if device.type == "cuda" else "gloo",
        broadcast_buffers=False,  # they are constants of the network
        find_unused_parameters=True,  # frozen parts (`relative_rates`) have no gradient
    )


def world_size() -> int:
    """Return the number of connected ranks."""
    return torch.distributed.get_world_size() if _is_distributed() else 1


def communication_device() -> torch.device:
    """Return the device on which ranks exchange tensors."""
    if _is_distributed() and torch.distributed.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def summed(values: Tensor) -> Tensor:
    """Return the sum over all ranks, without an autograd graph; all ranks must call this."""
    if not _is_distributed():
        return values.detach()
    total = values.detach().clone()
    torch.distributed.all_reduce(total)
    return total


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
