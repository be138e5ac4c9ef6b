"""Batches for training: a stream that is a function of the seed and the step alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from irrepress.config import Training
from irrepress.families.base import Batch, Family, Model
from irrepress.structures.store import StructureStore
from irrepress.training.losses import Labels


@dataclass(frozen=True)
class LabelledBatch:
    """A graph with its labels and those of the teacher, if there is one."""

    graph: Batch
    labels: Labels
    teacher: Labels | None

    def to(self, device: torch.device | str, **kwargs: bool) -> "LabelledBatch":
        """Return the batch on another device."""
        return LabelledBatch(
            self.graph.to(device, **kwargs),
            self.labels.to(device, **kwargs),
            self.teacher.to(device, **kwargs) if self.teacher is not None else None,
        )


class BatchStream(Sampler[list[int]]):
    """Batches from permutation after permutation of the indices, without end.

    The permutations follow each other without a gap, so that every batch is full. The batch at
    a step depends on the seed and the step only: training that is resumed sees the batches that
    an uninterrupted run would have seen. An iteration is a window of ``length`` batches, which
    need not be a pass over the data.

    Args:
        indices: what is permuted, ``[structures]``.
        batch_size: indices per batch and rank.
        length: batches per iteration.
        seed: seed of the permutations.
        first_step: returns the step that an iteration begins with. Lightning's own count of
            epochs (``set_epoch``) is one behind after a resume, its count of steps is not.
        rank: which part of the batch of a step this process takes.
        world_size: number of processes, which together see each index once a permutation.
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
    ):
        self.indices = np.asarray(indices)
        self.batch_size = batch_size
        self.length = length
        self.seed = seed
        self.first_step = first_step
        self.rank = rank
        self.world_size = world_size
        self._permutation: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[list[int]]:
        first = self.first_step()
        for step in range(first, first + self.length):
            yield self.batch(step)

    def batch(self, step: int) -> list[int]:
        """Return this rank's batch at a step, counted from 0 over all epochs."""
        position = (step * self.world_size + self.rank) * self.batch_size
        batch: list[int] = []
        while len(batch) < self.batch_size:
            number, offset = divmod(position + len(batch), len(self.indices))
            missing = self.batch_size - len(batch)
            batch += self._permuted(number)[offset : offset + missing].tolist()
        return batch

    def _permuted(self, number: int) -> np.ndarray:
        if self._permutation is None or self._permutation[0] != number:
            generator = np.random.default_rng([self.seed, number])
            self._permutation = (number, generator.permutation(self.indices))
        return self._permutation[1]


class GraphDataset(Dataset[LabelledBatch]):
    """Lists of indices -> labelled batches; this is what the worker processes run.

    Args:
        family: the model's family.
        model: consulted for its cutoff, elements and dtype. Workers are forked, so that it is
            shared and not copied.
        store: the structures.
        teacher: the same structures with the teacher's labels.
    """

    def __init__(
        self,
        family: Family,
        model: Model,
        store: StructureStore,
        teacher: StructureStore | None = None,
    ):
        self.family = family
        self.model = model
        self.store = store
        self.teacher = teacher

    def __getitem__(self, indices: Sequence[int]) -> LabelledBatch:
        """Return the batch of the structures with these indices, on the CPU."""
        structures = self.store.read(indices)
        dtype = self.model.dtype
        teacher = None
        if self.teacher is not None:
            teacher = Labels.of(self.teacher.read(indices), dtype)
        graph = self.family.batch(self.model, structures)
        return LabelledBatch(graph, Labels.of(structures, dtype), teacher)


class TrainingData(LightningDataModule):
    """The train and valid splits of a store, as batches.

    Under data-parallel training every rank draws its own part of each step's batch, but the
    whole valid split, so that all ranks find the same validation loss. Lightning must not wrap
    the samplers (``Trainer(use_distributed_sampler=False)``).
    """

    def __init__(
        self,
        family: Family,
        model: Model,
        store: StructureStore,
        settings: Training,
        seed: int,
        teacher: StructureStore | None = None,
    ):
        super().__init__()
        self.dataset = GraphDataset(family, model, store, teacher)
        self.splits = {name: store.splits[name] for name in ("train", "valid")}
        self.settings = settings
        self.seed = seed

    def train_dataloader(self) -> DataLoader[LabelledBatch]:
        """Return the stream of train batches, from the trainer's step on."""
        train = self.splits["train"]
        trainer = self.trainer
        stream = BatchStream(
            train,
            # A larger batch would only hold structures twice.
            min(self.settings.batch_size, len(train)),
            self.settings.validate_every,
            self.seed,
            first_step=lambda: trainer.global_step,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )
        return self._loader(stream)

    def val_dataloader(self) -> DataLoader[LabelledBatch]:
        """Return the batches of the valid split, in the store's order."""
        valid, size = self.splits["valid"], self.settings.batch_size
        batches = [valid[i : i + size].tolist() for i in range(0, len(valid), size)]
        return self._loader(batches)

    def _loader(self, batches: Sampler[list[int]] | list[list[int]]) -> DataLoader[LabelledBatch]:
        workers = self.settings.workers
        return DataLoader(
            self.dataset,
            sampler=batches,  # of lists: the dataset makes a batch at once
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context="fork" if workers > 0 else None,
            collate_fn=_unchanged,
        )


def _unchanged(batch: LabelledBatch) -> LabelledBatch:
    """Stand for PyTorch's conversion of arrays to tensors, which has nothing to do here."""
    return batch
