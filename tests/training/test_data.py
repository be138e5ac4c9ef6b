import multiprocessing
from collections import Counter
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import Callback, Trainer

from irrepress.core.errors import UserError
from irrepress.data.store import StructureStore
from irrepress.training.batches import Limit
from irrepress.training.data import BatchStream, GraphDataset, TrainingData
from irrepress.training.module import TrainingModule

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

    def __init__(self, step, rank=0, world_size=1):
        self.global_step = step
        self.global_rank = rank
        self.world_size = world_size


def load(model, store, settings, *, step=0, rank=0, world_size=1, **arguments):
    data = TrainingData(model, store, settings, seed=3, **arguments)
    data.trainer = AtStep(step, rank, world_size)
    return data


def test_workers_build_the_same_batches(small_sevennet, store, settings):
    batches = [
        list(
            load(
                small_sevennet, store, settings.model_copy(update={"workers": workers})
            ).train_dataloader()
        )
        for workers in (0, 2)
    ]
    assert len(batches[0]) == settings.validate_every
    for alone, worker in zip(*batches, strict=True):
        assert torch.equal(alone.graph.numbers, worker.graph.numbers)
        assert torch.equal(alone.labels.forces, worker.labels.forces)
        assert alone.labels.counts == worker.labels.counts


def test_loaders_cover_their_own_split(small_sevennet, store, settings):
    data = load(small_sevennet, store, settings)
    valid = [i for indices in data.val_dataloader().sampler for i in indices]
    assert valid == store.splits["valid"].tolist()
    drawn = Counter(i for indices in data.train_dataloader().sampler for i in indices)
    assert drawn == Counter(store.splits["train"].tolist())  # 2 batches of 3, 6 structures


def test_a_batch_is_never_larger_than_the_split(small_sevennet, store, settings):
    settings = settings.model_copy(update={"batch_size": 1000})
    batch = next(iter(load(small_sevennet, store, settings).train_dataloader()))
    assert len(batch.graph) == len(store.splits["train"])


def test_the_teacher_labels_the_same_structures(small_sevennet, store, teacher, labelled):
    indices = [4, 3, 5]
    batch = GraphDataset(small_sevennet, store, teacher)[indices]
    forces = np.concatenate([labelled[i].forces for i in indices])
    assert batch.labels.forces.numpy() == pytest.approx(forces, abs=1e-6)
    assert batch.teacher.forces.numpy() == pytest.approx(0.5 * forces, abs=1e-6)
    assert batch.graph.num_atoms.tolist() == [len(labelled[i]) for i in indices]
    # 5 is a molecule: its stress counts nowhere
    assert batch.teacher.counts["stress"] == 12


@pytest.fixture
def limits(store):
    """Silicon has 2 atoms, water 3."""
    return [Limit("max_atoms", "atoms", 5, store.num_atoms)]


def test_all_batches_obey_limits(small_sevennet, store, settings, limits):
    settings = settings.model_copy(update={"batch_size": 3, "validate_every": 20})
    data = load(small_sevennet, store, settings, limits=limits)
    train, valid = list(data.train_dataloader()), list(data.val_dataloader())
    assert len(train) == 20
    assert {len(batch.graph) for batch in train} == {1, 2}
    assert all(len(batch.graph.numbers) <= 5 for batch in train + valid)
    indices = [i for indices in data.val_dataloader().sampler for i in indices]
    assert indices == store.splits["valid"].tolist()
    assert sum(len(batch.graph) for batch in valid) == len(indices)


def test_passes_count_what_was_drawn(small_sevennet, store, settings, limits):
    settings = settings.model_copy(update={"validate_every": 7})
    for some in ([], limits):
        data = load(small_sevennet, store, settings, limits=some)
        assert data.passes(0) == 0
        drawn = sum(len(batch.graph) for batch in data.train_dataloader())
        assert data.passes(7) == drawn / len(store.splits["train"])


def read_as_rank(rank, queue, *arguments, **keywords):
    """What one of two ranks reads: what identifies each structure of each batch."""
    data = load(*arguments, rank=rank, world_size=2, **keywords)
    batches = [batch.labels.energy.tolist() for batch in data.train_dataloader()]
    queue.put((rank, batches))


@pytest.mark.parametrize("limited", [False, True])
def test_ranks_with_workers_read_one_store(small_sevennet, store, settings, limits, limited):
    """Two ranks with two workers each, all at random in the same open store."""
    settings = settings.model_copy(
        update={
            "workers": 2,
            "batch_size": 4,
            "devices": 2,
            "validate_every": 12,
            "precision": "32",
        }
    )
    limits = limits if limited else []
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    ranks = [
        context.Process(
            target=read_as_rank,
            args=(rank, queue, small_sevennet, store, settings),
            kwargs={"limits": limits},
        )
        for rank in range(2)
    ]
    for process in ranks:
        process.start()
    found = dict(queue.get(timeout=60) for _ in ranks)
    for process in ranks:
        process.join()
        assert process.exitcode == 0
    energies = torch.tensor([s.energy for s in store.read(np.arange(len(store)))])
    seen = []
    for rank in range(2):
        stream = BatchStream(
            store.splits["train"], 2, 12, 3, lambda: 0, rank, world_size=2, limits=limits
        )
        expected = [energies[batch].tolist() for batch in stream]
        assert found[rank] == expected
        seen += [i for batch in stream for i in batch]
    assert set(seen) == set(store.splits["train"].tolist())


class Recorder(Callback):
    """Writes what a rank was given and what it ended with."""

    def __init__(self, directory):
        self.directory = directory
        self.energies = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.energies.append(batch.labels.energy.tolist())

    def on_fit_end(self, trainer, module):
        found = {
            "energies": self.energies,
            "weights": module.state_dict(),
            "valid_loss": module.rows[-1]["valid_loss"],
        }
        torch.save(found, self.directory / f"{trainer.global_rank}.pt")


@pytest.mark.skipif(torch.cuda.is_initialized(), reason="this process can no longer be forked")
def test_data_parallel_training(small_sevennet, store, settings, limits, tmp_path):
    """Lightning's own two ranks draw different parts and end with the same model."""
    settings = settings.model_copy(
        update={
            "workers": 1,
            "batch_size": 6,
            "devices": 2,
            "validate_every": 3,
            "precision": "32",
        }
    )
    module = TrainingModule(deepcopy(small_sevennet), settings, label_fraction=1.0)
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_fork",
        max_steps=3,
        callbacks=[Recorder(tmp_path)],
        use_distributed_sampler=False,
        inference_mode=False,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = TrainingData(small_sevennet, store, settings, seed=3, limits=limits)
    trainer.fit(module, datamodule=data)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    energies = torch.tensor([s.energy for s in store.read(np.arange(len(store)))])
    for rank, found in enumerate(ranks):
        stream = BatchStream(store.splits["train"], 3, 3, 3, lambda: 0, rank, 2, limits)
        assert found["energies"] == [energies[batch].tolist() for batch in stream]
    assert ranks[0]["energies"] != ranks[1]["energies"]
    assert ranks[0]["valid_loss"] == ranks[1]["valid_loss"]
    before = small_sevennet.state_dict()
    for name, weights in ranks[0]["weights"].items():
        assert torch.equal(weights, ranks[1]["weights"][name])
    assert any(
        not torch.equal(weights, before[name.removeprefix("model.")])
        for name, weights in ranks[0]["weights"].items()
    )


@pytest.mark.parametrize("limited", [False, True])
def test_ranks_on_cores_share_the_batches_of_one(store, limits, limited):
    """No structure is lost or drawn twice, and each rank has about half of the atoms."""
    rules = limits if limited else []
    train, atoms = store.splits["train"], store.num_atoms
    alone = BatchStream(train, 6, 9, 3, lambda: 0, limits=rules)
    shared = [
        BatchStream(train, 6, 9, 3, lambda: 0, rank, 2, rules, sharing=2, num_atoms=atoms)
        for rank in range(2)
    ]
    for step in range(9):
        whole, parts = alone.batch(step), [stream.batch(step) for stream in shared]
        assert sorted(parts[0] + parts[1]) == sorted(whole)
        assert len(whole) == 1 or all(parts)
        first, second = (atoms[part].sum() for part in parts)
        assert abs(first - second) <= atoms[whole].max()
        assert shared[0].batches.drawn(step) == alone.batches.drawn(step)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_store_is_told_in_one_message(
    small_sevennet, make_store, labelled, settings, workers
):
    store = make_store(labelled)
    store.close()
    store.path.write_bytes(store.path.read_bytes()[:3000])
    settings = settings.model_copy(update={"workers": workers})
    data = load(small_sevennet, store, settings)
    with pytest.raises(UserError) as error:
        next(iter(data.train_dataloader()))
    with pytest.raises(UserError) as expected:
        StructureStore(store.path)
    assert str(error.value) == str(expected.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_for_a_gpu_are_pinned(small_sevennet, store, teacher, settings):
    settings = settings.model_copy(update={"workers": 1})
    data = load(small_sevennet, store, settings, teacher=teacher, pin_memory=True)
    batch = next(iter(data.train_dataloader()))
    assert batch.labels.forces.is_pinned() and batch.teacher.forces.is_pinned()
    assert batch.graph.numbers.is_pinned()
    assert all(v.is_pinned() for v in batch.graph.inputs.values() if isinstance(v, torch.Tensor))
    moved = data.transfer_batch_to_device(batch, torch.device("cuda"), 0)
    assert torch.equal(moved.labels.forces.cpu(), batch.labels.forces)
