from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.training.data import BatchStream, GraphDataset, TrainingData

streams = {
    "count": st.integers(1, 30),
    "batch_size": st.integers(1, 7),
    "world_size": st.integers(1, 3),
    "seed": st.integers(0, 2**31),
}


def stream(count, batch_size, world_size, seed, *, rank=0, length=4, first_step=0):
    indices = 100 + np.arange(count)
    return BatchStream(indices, batch_size, length, seed, lambda: first_step, rank, world_size)


@settings(deadline=None, max_examples=30)
@given(**streams)
def test_ranks_together_see_permutation_after_permutation(count, batch_size, world_size, seed):
    ranks = [stream(count, batch_size, world_size, seed, rank=rank) for rank in range(world_size)]
    seen = [i for step in range(2 * count) for each in ranks for i in each.batch(step)]
    assert all(len(each.batch(3)) == batch_size for each in ranks)
    for start in range(0, len(seen) - count + 1, count):
        assert sorted(seen[start : start + count]) == list(range(100, 100 + count))


@settings(deadline=None, max_examples=30)
@given(**streams, start=st.integers(0, 50))
def test_going_on_at_a_step_gives_the_same_batches(count, batch_size, world_size, seed, start):
    whole = stream(count, batch_size, world_size, seed, length=start + 4)
    rest = stream(count, batch_size, world_size, seed, length=4, first_step=start)
    assert list(whole)[start:] == list(rest)


def test_permutations_differ_among_themselves_and_between_seeds():
    first = stream(20, 20, 1, seed=0)
    assert first.batch(0) != first.batch(1)
    assert first.batch(0) != stream(20, 20, 1, seed=1).batch(0)


class AtStep:
    """What `TrainingData` asks of the trainer."""

    global_rank = 0
    world_size = 1

    def __init__(self, step):
        self.global_step = step


def load(sevennet, model, store, settings, *, step=0, teacher=None):
    data = TrainingData(sevennet, model, store, settings, seed=3, teacher=teacher)
    data.trainer = AtStep(step)
    return data


def test_workers_build_the_same_batches(sevennet, small_sevennet, store, settings):
    batches = [
        list(
            load(
                sevennet, small_sevennet, store, settings.model_copy(update={"workers": workers})
            ).train_dataloader()
        )
        for workers in (0, 2)
    ]
    assert len(batches[0]) == settings.validate_every
    for alone, worker in zip(*batches, strict=True):
        assert torch.equal(alone.graph.numbers, worker.graph.numbers)
        assert torch.equal(alone.labels.forces, worker.labels.forces)
        assert alone.labels.counts == worker.labels.counts


def test_loaders_cover_their_own_split(sevennet, small_sevennet, store, settings):
    data = load(sevennet, small_sevennet, store, settings)
    valid = [i for indices in data.val_dataloader().sampler for i in indices]
    assert valid == store.splits["valid"].tolist()
    drawn = Counter(i for indices in data.train_dataloader().sampler for i in indices)
    assert drawn == Counter(store.splits["train"].tolist())  # 2 batches of 3, 6 structures


def test_a_batch_is_never_larger_than_the_split(sevennet, small_sevennet, store, settings):
    settings = settings.model_copy(update={"batch_size": 1000})
    batch = next(iter(load(sevennet, small_sevennet, store, settings).train_dataloader()))
    assert len(batch.graph) == len(store.splits["train"])


def test_the_teacher_labels_the_same_structures(sevennet, small_sevennet, store, teacher, labelled):
    indices = [4, 3, 5]
    batch = GraphDataset(sevennet, small_sevennet, store, teacher)[indices]
    forces = np.concatenate([labelled[i].forces for i in indices])
    assert batch.labels.forces.numpy() == pytest.approx(forces, abs=1e-6)
    assert batch.teacher.forces.numpy() == pytest.approx(0.5 * forces, abs=1e-6)
    assert batch.graph.num_atoms.tolist() == [len(labelled[i]) for i in indices]
    # 5 is a molecule: its stress counts nowhere
    assert batch.teacher.counts["stress"] == 12
