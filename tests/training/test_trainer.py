import csv
import logging
import os
import re
import signal
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.core.loss_weights import LossWeights
from irrepress.training.checkpoints import load_checkpoint
from irrepress.training.data import GraphDataset, TrainingData
from irrepress.training.losses import Comparison, compare
from irrepress.training.module import COLUMNS, is_finished


def change(settings, **values):
    return settings.model_copy(update=values)


def valid_loss(model, store, settings):
    """The validation loss, computed without the trainer."""
    total = Comparison.empty()
    data = TrainingData(model, store, settings, seed=0)
    for batch in data.val_dataloader():
        prediction = model.predict(batch.graph)
        delta = settings.weights.huber_delta
        total += compare(prediction, batch.labels, batch.graph.num_atoms, delta)
    return float(total.loss(settings.weights))


@pytest.mark.slow
def test_learns(run, cut_sevennet, make_store, labelled, settings, tmp_path, same_weights):
    store = make_store([s for s in labelled if len(s) == 2])  # silicon alone: 4 to train on
    settings = change(
        settings, steps=24, validate_every=8, precision="32", ema=0.99, learning_rate=1e-3
    )
    before = deepcopy(cut_sevennet)
    result = run(model=cut_sevennet, store=store, settings=settings)
    assert result.steps == 24
    assert not result.kept_start
    assert result.best_valid_loss < 0.4 * valid_loss(before, store, settings)

    # The caller's model is left alone; the result is on the CPU, in its dtype, in eval mode.
    assert same_weights(cut_sevennet, before)
    assert not result.model.training
    assert result.model.dtype == before.dtype
    assert result.model.device.type == "cpu"
    # The weights that came back are the averaged ones that the best validation saw.
    loss = valid_loss(result.model, store, settings)
    assert loss == pytest.approx(result.best_valid_loss, rel=1e-4)

    with (tmp_path / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["step"]) for row in rows] == [0, 8, 16, 24]
    assert float(rows[-1]["epoch"]) == 24 * 3 / 4
    assert min(float(row["valid_loss"]) for row in rows) == result.best_valid_loss
    assert float(rows[-1]["train_loss"]) < float(rows[1]["train_loss"])


def test_the_result_is_never_worse_than_the_start(
    run, cut_sevennet, make_store, labelled, settings, same_weights
):
    store = make_store([s for s in labelled if len(s) == 2])
    settings = change(settings, steps=3, validate_every=3, learning_rate=0.3, ema=0.0)
    result = run(model=cut_sevennet, store=store, settings=settings)
    assert result.kept_start
    assert same_weights(result.model, cut_sevennet)
    start = valid_loss(result.model, store, settings)
    assert result.best_valid_loss == pytest.approx(start, rel=1e-4)


def test_the_last_steps_are_validated_too(run, settings):
    result = run(settings=change(settings, steps=5, validate_every=3))
    assert result.steps == 5


def test_same_seed_same_weights_with_and_without_workers(run, settings, tmp_path, same_weights):
    settings = change(settings, steps=3)
    first = run(settings=settings)
    second = run(settings=change(settings, workers=2), work_dir=tmp_path / "again")
    other = run(settings=settings, work_dir=tmp_path / "other", seed=1)
    assert same_weights(first.model, second.model)
    assert not same_weights(first.model, other.model)


def test_checkpoint_holds_averaged_and_current_weights(run, tmp_path):
    run()
    checkpoint = load_checkpoint(tmp_path / "work" / "last.ckpt")
    averaged, current = checkpoint["state_dict"], checkpoint["current_model_state"]
    assert any(not torch.equal(averaged[name], current[name]) for name in averaged)


def test_without_averaging_the_current_weights_are_kept(run, settings, tmp_path):
    run(settings=change(settings, ema=0))
    assert "current_model_state" not in load_checkpoint(tmp_path / "work" / "last.ckpt")


def test_nothing_is_left_where_it_was_started(run, tmp_path, monkeypatch, capfd, caplog):
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    with caplog.at_level(logging.INFO):
        run()
    assert list(place.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert {record.name.split(".")[0] for record in caplog.records} == {"irrepress"}


@pytest.mark.slow
def test_distillation_follows_the_teacher(run, settings, teacher, tmp_path, cut_sevennet, store):
    settings = change(settings, steps=8, validate_every=4, precision="32", learning_rate=1e-3)
    results = {
        fraction: run(
            model=cut_sevennet,
            settings=settings,
            teacher=teacher,
            label_fraction=fraction,
            work_dir=tmp_path / str(fraction),
        )
        for fraction in (0.0, 1.0)
    }
    losses = {
        (fraction, target): valid_loss(result.model, data, settings)
        for fraction, result in results.items()
        for target, data in (("teacher", teacher), ("labels", store))
    }
    assert results[0.0].best_valid_loss == pytest.approx(losses[0.0, "teacher"], rel=1e-3)
    assert results[1.0].best_valid_loss == pytest.approx(losses[1.0, "labels"], rel=1e-3)
    assert losses[0.0, "teacher"] < losses[1.0, "teacher"]
    assert losses[1.0, "labels"] < losses[0.0, "labels"]


def test_labels_and_teacher_can_be_mixed(run, settings, teacher, store):
    settings = change(settings, steps=2)
    both = run(settings=settings, teacher=teacher, label_fraction=0.25)
    expected = 0.25 * valid_loss(both.model.double(), store, settings)
    expected += 0.75 * valid_loss(both.model, teacher, settings)
    assert both.best_valid_loss == pytest.approx(expected, rel=1e-3)


def test_a_teacher_of_other_structures_is_refused(run, make_store, labelled):
    with pytest.raises(UserError, match="not the same structures"):
        run(teacher=make_store(labelled[:-1]), label_fraction=0.0)


def test_part_of_the_loss_needs_a_teacher(run):
    with pytest.raises(UserError, match="no teacher"):
        run(label_fraction=0.5)


@pytest.mark.parametrize(("train", "valid", "name"), [(1.0, 0.0, "valid"), (0.0, 1.0, "train")])
def test_an_empty_split_is_refused(run, make_store, labelled, train, valid, name):
    with pytest.raises(UserError, match=f"the {name} split is empty"):
        run(store=make_store(labelled, train=train, valid=valid))


def test_unknown_elements_are_refused_by_name(run, small_sevennet, tmp_path):
    model = small_sevennet.restrict_elements([1, 8])
    with pytest.raises(UserError, match=r"data\.h5: the model does not know Si;"):
        run(model=model)
    assert not (tmp_path / "work").exists()


def test_missing_labels_are_told(run, make_store, labelled, tmp_path):
    bare = [replace(s, energy=np.nan, forces=np.full((len(s), 3), np.nan)) for s in labelled]
    bare = [replace(s, stress=np.full(6, np.nan)) for s in bare]
    message = r"no structure in the train split of \S+ has a label for energy or forces or stress"
    with pytest.raises(UserError, match=message):
        run(store=make_store(bare))
    assert not (tmp_path / "work").exists()  # told before time is spent


def test_batches_without_labels_do_no_harm(run, settings, make_store, labelled):
    some = [
        s if i % 2 else replace(s, energy=np.nan, forces=np.full((len(s), 3), np.nan))
        for i, s in enumerate(labelled)
    ]
    weights = LossWeights(stress=0)
    result = run(store=make_store(some), settings=change(settings, batch_size=1, weights=weights))
    assert np.isfinite(result.best_valid_loss)


def test_the_log_tells_only_what_there_is_a_value_of(run, make_store, labelled, settings, caplog):
    energies = [
        replace(s, forces=np.full((len(s), 3), np.nan), stress=np.full(6, np.nan)) for s in labelled
    ]
    with caplog.at_level(logging.INFO):
        run(store=make_store(energies), settings=change(settings, steps=2))
    assert "labels of 6 structures: energies of 6, forces of 0, stress of 0" in caplog.text
    assert "has a label for forces: its weight in the loss (1) has no effect" in caplog.text
    lines = [text for text in caplog.messages if text.startswith("step ")]
    assert re.fullmatch(r"step 0 of 2: valid loss \S+ \(\S+ eV/atom\)", lines[0])
    assert re.fullmatch(r"step 2 of 2: train loss \S+, valid loss \S+ \(\S+ eV/atom\)", lines[1])
    assert "nan" not in caplog.text


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loss_that_explodes_names_the_step_and_the_mend(run, settings, workers):
    settings = change(settings, learning_rate=1e30, warmup=0.0, workers=workers)
    with pytest.raises(UserError, match=r"at step 2; lower learning_rate \(now 1e\+30\)"):
        run(settings=settings)


def test_parts_learn_at_their_own_rates(run, settings, small_sevennet):
    parts = small_sevennet.parameter_roles()
    result = run(settings=change(settings, relative_rates={"radial": 0, "linear": 1e-3}))
    moved = dict.fromkeys(parts.values(), 0.0)
    before, after = dict(small_sevennet.named_parameters()), dict(result.model.named_parameters())
    for name, part in parts.items():
        moved[part] = max(moved[part], float((after[name] - before[name]).detach().abs().max()))
    assert moved["radial"] == 0
    assert 0 < moved["linear"] < 0.1 * moved["readout"]


def test_limited_batches_train(run, settings, tmp_path):
    """Silicon has 2 atoms, water 3: batches of 1 or 2 of the 6 structures, not of 3."""
    result = run(settings=change(settings, max_atoms=5, max_edges=1000))
    assert result.steps == 6
    with (tmp_path / "training.csv").open() as file:
        epochs = [float(row["epoch"]) for row in csv.DictReader(file)]
    assert epochs[0] == 0
    assert 6 * 1 / 6 <= epochs[-1] <= 6 * 2 / 6
    assert epochs == sorted(set(epochs))


def test_a_structure_larger_than_a_batch_is_refused(run, settings, tmp_path):
    message = r"data\.h5: structure \d+ has 3 atoms.*raise max_atoms to 3"
    with pytest.raises(UserError, match=message):
        run(settings=change(settings, max_atoms=2))
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("at", ["its first batch", "a later batch"])
def test_a_worker_that_is_killed_is_told(run, settings, monkeypatch, at):
    whole = GraphDataset.__getitem__
    seen = []

    def killed(self, indices):
        seen.append(indices)  # each process has its own list
        if torch.utils.data.get_worker_info() and len(seen) > (at == "a later batch"):
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, indices)

    monkeypatch.setattr(GraphDataset, "__getitem__", killed)
    message = "process that builds graphs was killed .*lower workers"
    with pytest.raises(UserError, match=message) as error:
        run(settings=change(settings, workers=2, batch_size=1))
    assert "\n" not in str(error.value)


def test_a_damaged_store_is_told_by_the_workers(run, settings, make_store, labelled):
    store = make_store(labelled)
    store.close()
    store.path.write_bytes(store.path.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"data\.h5: damaged") as error:
        run(store=store, settings=change(settings, workers=2))
    assert "Traceback" not in str(error.value)


def test_stops_when_patience_is_exhausted(run, settings):
    # The rate is far too high: validation gets worse from the first one on.
    settings = change(settings, steps=40, validate_every=1, patience=2, learning_rate=0.3)
    result = run(settings=settings)
    assert 3 <= result.steps < 40


def test_finished():
    def rows(*losses):
        return [{"step": i + 1, "valid_loss": loss} for i, loss in enumerate(losses)]

    class Settings:
        steps = 9
        patience = 2

    assert not is_finished([], Settings)
    assert not is_finished(rows(3, 2, 1), Settings)
    assert not is_finished(rows(1, 2), Settings)
    assert is_finished(rows(1, 2, 1), Settings)  # equal is no improvement
    assert not is_finished(rows(1, 2, 0.5, 1), Settings)
    assert is_finished(rows(*range(9, 0, -1)), Settings)


def test_half_precision_falls_back_on_the_cpu(run, settings, caplog):
    result = run(settings=change(settings, precision="16-mixed", steps=2))
    assert "16-mixed is not available on the CPU" in caplog.text
    assert np.isfinite(result.best_valid_loss)


def test_a_precision_that_the_model_cannot_run_in_is_refused(run, settings, tmp_path):
    # e3nn's linear maps contract tensors in a way that torch does not autocast.
    with pytest.raises(UserError, match=r"bf16-mixed does not work with this model.*set it to 32"):
        run(settings=change(settings, precision="bf16-mixed"))
    assert not (tmp_path / "work").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["32", "64"])
def test_trains_on_cuda(run, settings, precision):
    settings = change(settings, precision=precision, workers=2)
    result = run(settings=settings, device="cuda:0")
    assert np.isfinite(result.best_valid_loss)
    assert result.model.device.type == "cpu"
