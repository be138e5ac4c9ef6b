"""Batches for training, built by worker processes in parallel with the model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from irrepress.core.errors import UserError
from irrepress.core.labels import Labels
from irrepress.core.model import Batch, Model
from irrepress.data.store import StructureStore
from irrepress.training.batches import (
    EqualBatches,
    Limit,
    LimitedBatches,
    Permutations,
    cut,
    distribute,
)
from irrepress.training.config import Training
from irrepress.training.targets import Targets, TeacherTargets


@dataclass(frozen=True)
class LabelledBatch:
    """A graph with its labels.

    Example:
        >>> labels = Labels.of(structures, model.dtype)
        >>> batch = LabelledBatch(model.batch(structures), labels, teacher=None)
        >>> batch.to("cpu").labels.energy.shape
        torch.Size([4])
    """

    graph: Batch
    labels: Labels
    teacher: Labels | None
    targets: Targets | None = None

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "LabelledBatch":
        """Return the batch on another device."""
        return LabelledBatch(
            self.graph.to(device, non_blocking=non_blocking),
            self.labels.to(device, non_blocking=non_blocking),
            self.teacher.to(device, non_blocking=non_blocking)
            if self.teacher is not None
            else None,
            self.targets.to(device, non_blocking=non_blocking)
            if self.targets is not None
            else None,
        )

    def pin_memory(self) -> "LabelledBatch":
        """Return the batch in pinned memory, which a GPU copies from asynchronously."""
        return LabelledBatch(
            self.graph.pin_memory(),
            self.labels.pin_memory(),
            self.teacher.pin_memory() if self.teacher is not None else None,
            self.targets.pin_memory() if self.targets is not None else None,
        )


class Drawn(list[int]):
    """The indices of a batch, and the step that it is for.

    Attributes:
        step: counted from 0 over all iterations.

    Example:
        >>> drawn = Drawn([3, 1], step=7)
        >>> drawn == [3, 1], drawn.step
        (True, 7)
    """

    def __init__(self, indices: Sequence[int] = (), step: int = 0):
        super().__init__(indices)
        self.step = step


class BatchStream(Sampler[list[int]]):
    """The batches of one rank; each iteration is a window of ``length`` steps.

    The window need not be a pass over the data; `irrepress.training.batches` defines the batches.

    Args:
        indices: the indices to draw from, ``[structures]``.
        batch_size: maximum number of indices per batch and rank.
        length: number of batches per iteration.
        seed: seed for the permutations.
        first_step: function that returns the first step of an iteration. After a resume,
            Lightning's count of epochs (``set_epoch``) is one behind, its count of steps is not.
        rank: rank of this process, which determines its part of each step's batch.
        world_size: number of ranks, which together see each index once per permutation.
        limits: limits on the size of a batch; if empty, all batches are full.
        sharing: number of consecutive ranks that share one batch, which must hold as many
            structures; each takes about as many atoms as the others.
        num_atoms: number of atoms of each structure of the store, ``[structures]``; only needed
            for sharing.

    Example:
        >>> stream = BatchStream(np.arange(10), 4, length=2, seed=0, first_step=lambda: 0)
        >>> [len(batch) for batch in stream]
        [4, 4]
    """

    def __init__(
        self,
        indices: np.ndarray,
        batch_size: int,
        length: int,
        seed: int,
        first_step: Callable[[], int],
        rank: int = 0,
        world_size: int = 1,
        limits: Sequence[Limit] = (),
        sharing: int = 1,
        num_atoms: np.ndarray | None = None,
    ):
        self.length = length
        self.first_step = first_step
        self.rank = rank
        self.sharing = sharing
        self.num_atoms = num_atoms
        permutations = Permutations(indices, seed)
        self.batches: LimitedBatches | EqualBatches
        if limits:
            self.batches = LimitedBatches(permutations, batch_size, limits, world_size // sharing)
        else:
            self.batches = EqualBatches(permutations, batch_size, world_size // sharing)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[list[int]]:
        first = self.first_step()
        for step in range(first, first + self.length):
            yield Drawn(self.batch(step), step)

    def batch(self, step: int) -> list[int]:
        """Return the indices of this rank's batch at a step, counted from 0 over all iterations."""
        batch = self.batches.batch(step, self.rank // self.sharing)
        if self.sharing > 1 and self.num_atoms is not None:
            sizes = np.stack([np.ones_like(batch), self.num_atoms[batch]], axis=1)
            shares = distribute(sizes, sizes.sum(axis=0), self.sharing)
            batch = batch[shares[self.rank % self.sharing]] if shares else batch
        return batch.tolist()


class GraphDataset(Dataset[LabelledBatch]):
    """Maps lists of indices to labelled batches; runs in the worker processes.

    Args:
        model: provides cutoff, elements and dtype. Workers are forked and share it without a copy.
        store: the structures.
        teacher: the same structures with the teacher's labels.
        targets: further targets of the batches that a `BatchStream` draws.

    Example:
        >>> dataset = GraphDataset(model, store)
        >>> dataset[[0, 1]].graph.num_atoms
        tensor([2, 2])
    """

    def __init__(
        self,
        model: Model,
        store: StructureStore,
        teacher: StructureStore | None = None,
        targets: TeacherTargets | None = None,
    ):
        self.model = model
        self.store = store
        self.teacher = teacher
        self.targets = targets

    def __getitem__(self, indices: Sequence[int]) -> LabelledBatch:
        """Return the batch of the structures with these indices, on the CPU."""
        structures = self.store.read(indices, groups=False)
        dtype = self.model.dtype
        teacher = None
        if self.teacher is not None:
            teacher = Labels.of(self.teacher.read(indices, groups=False), dtype)
        graph = self.model.batch(structures, device="cpu")
        targets = None
        if self.targets is not None and isinstance(indices, Drawn):
            targets = self.targets.read(indices, indices.step, self.model)
        return LabelledBatch(graph, Labels.of(structures, dtype), teacher, targets)


class GraphLoader(DataLoader[LabelledBatch | UserError]):
    """Loads batches in worker processes and re-raises their `UserError` unchanged.

    PyTorch would include the worker's traceback in the message.

    Args:
        dataset: builds the batches.
        batches: the indices of each batch.
        workers: number of worker processes; 0: build batches in this process.
        pin_memory: whether to put batches into pinned memory, which a GPU copies from
            asynchronously.

    Example:
        >>> loader = GraphLoader(GraphDataset(model, store), [[0, 1], [2]], workers=0)
        >>> [len(batch.graph) for batch in loader]
        [2, 1]
    """

    def __init__(
        self,
        dataset: GraphDataset,
        batches: Sampler[list[int]] | list[list[int]],
        workers: int,
        pin_memory: bool = False,
    ):
        super().__init__(
            _Caught(dataset),
            sampler=batches,  # yields lists: the dataset builds a batch at once
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context="fork" if workers > 0 else None,
            collate_fn=_unchanged,
            pin_memory=pin_memory,
        )

    # PyTorch annotates a private iterator class.
    def __iter__(self) -> Iterator[LabelledBatch]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                raise batch
            yield batch


class TrainingData(LightningDataModule):
    """The train and valid splits of a store, in batches.

    In data-parallel training every rank draws its own part of each step's batch, and every n-th
    batch of the valid split for n ranks. Limits are those of each of the config's devices; further
    ranks (`irrepress.training.ranks.ranks_on_cores`) share its batch. Lightning must not wrap the
    samplers (``Trainer(use_distributed_sampler=False)``).

    Args:
        model: see `GraphDataset`.
        store: the structures.
        settings: the training's settings.
        seed: seed for the order of the structures.
        teacher: see `GraphDataset`.
        limits: limits on the size of a batch; see `irrepress.training.limits.make_limits`.
        pin_memory: whether to pin the memory of batches, for training on a GPU.
        targets: further targets of the train split; the valid split has none.

    Example:
        >>> data = TrainingData(model, store, Training(batch_size=2), seed=0)
        >>> len(data.val_dataloader())
        1
    """

    def __init__(
        self,
        model: Model,
        store: StructureStore,
        settings: Training,
        seed: int,
        teacher: StructureStore | None = None,
        limits: Sequence[Limit] = (),
        pin_memory: bool = False,
        targets: TeacherTargets | None = None,
    ):
        super().__init__()
        self.dataset = GraphDataset(model, store, teacher, targets)
        self.num_atoms = store.num_atoms
        self.splits = {name: store.splits[name] for name in ("train", "valid")}
        self.settings = settings
        self.seed = seed
        self.limits = limits
        self.pin_memory = pin_memory
        self._stream: BatchStream | None = None

    def train_dataloader(self) -> GraphLoader:
        """Return the stream of train batches, starting at the trainer's step."""
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("the stream of train batches needs a trainer")
        train = self.splits["train"]
        self._stream = BatchStream(
            train,
            # Devices share a batch; one larger than the split would hold structures twice.
            max(1, min(self.settings.batch_size, len(train)) // self.settings.ranks),
            self.settings.validate_every,
            self.seed,
            first_step=lambda: trainer.global_step,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            limits=self.limits,
            sharing=trainer.world_size // self.settings.ranks,
            num_atoms=self.num_atoms,
        )
        return self._loader(self._stream)

    def val_dataloader(self) -> GraphLoader:
        """Return this rank's batches of the valid split, in the store's order.

        Without a trainer, return all batches.
        """
        trainer = self.trainer
        ranks, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
        valid = self.splits["valid"]
        cuts = cut(valid, max(1, self.settings.batch_size // ranks), self.limits)
        batches = [valid[start:stop].tolist() for start, stop in pairwise(cuts)]
        if len(batches) < ranks:  # each rank needs a batch, or it would not wait for the others
            batches = [part.tolist() for part in np.array_split(valid, ranks)]
        return self._loader(batches[rank::ranks])

    def passes(self, step: int) -> float:
        """Return the number of passes over the train split that all ranks have made by a step."""
        if self._stream is None or not step:
            return 0.0
        return self._stream.batches.drawn(step) / len(self.splits["train"])

    def transfer_batch_to_device(
        self, batch: LabelledBatch, device: torch.device, dataloader_idx: int
    ) -> LabelledBatch:
        """Move a batch to a device; from pinned memory, a GPU copies it asynchronously."""
        return batch.to(device, non_blocking=self.pin_memory)

    def _loader(self, batches: Sampler[list[int]] | list[list[int]]) -> GraphLoader:
        return GraphLoader(self.dataset, batches, self.settings.workers, self.pin_memory)


class _Caught(Dataset[LabelledBatch | UserError]):
    """Returns user errors as values, so that the main process can report them."""

    def __init__(self, dataset: GraphDataset):
        self.dataset = dataset

    def __getitem__(self, indices: Sequence[int]) -> LabelledBatch | UserError:
        try:
            return self.dataset[indices]
        except UserError as error:
            return error


def _unchanged(batch: Any) -> Any:
    """Return a batch unchanged, instead of PyTorch's conversion of arrays to tensors."""
    return batch
