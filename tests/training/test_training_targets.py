"""Atomic energies and changes of forces as targets of a distillation."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.core.section import make_section
from irrepress.training.config import DISPLACEMENT, Distillation
from irrepress.training.data import Drawn, TrainingData
from irrepress.training.targets import Targets, TeacherTargets


@pytest.fixture(scope="module")
def parent(sevennet_0):
    return sevennet_0


@pytest.fixture
def prepared(parent, store, tmp_path):
    """Return a function that makes the targets of a parent."""

    def make(folder="targets", **settings):
        targets = TeacherTargets(tmp_path / folder, store, Distillation(**settings), seed=3)
        targets.prepare(parent, "cpu")
        return targets

    return make


BOTH = {"atomic_energies": 1.0, "hessian_rows": 2}


def test_values_are_the_parents(parent, store, prepared):
    """Force changes are products of the Hessian with the displacements, to first order."""
    chosen = store.splits["train"][:2].tolist()
    targets = prepared(**BOTH)
    read = targets.read(chosen, step=1, model=parent)
    batch = parent.batch(store.read(chosen))
    torch.testing.assert_close(
        read.atomic_energies.float(), parent.atomic_energies(batch), rtol=1e-6, atol=1e-5
    )
    moved = [targets._displaced(s, i, 1) for s, i in zip(store.read(chosen), chosen, strict=True)]
    pairs = list(zip(moved, store.read(chosen), strict=True))
    apart = np.concatenate([m.positions - s.positions for m, s in pairs])
    assert np.allclose(np.abs(apart), DISPLACEMENT)
    expected = parent.predict(parent.batch(moved)).forces
    torch.testing.assert_close(read.forces, expected, rtol=0, atol=1e-5)
    # Half the way gives half the change.
    halfway = [replace(m, positions=(m.positions + s.positions) / 2) for m, s in pairs]
    start = parent.predict(batch).forces
    half = parent.predict(parent.batch(halfway)).forces - start
    assert float((read.forces - start).abs().max()) > 0.01
    assert torch.allclose(2 * half, read.forces - start, atol=0.01, rtol=0.05)


def test_directions_change_with_the_step_and_repeat(parent, store, prepared):
    targets = prepared(**BOTH)
    chosen = store.splits["train"][:2].tolist()
    first, second, third = (targets.read(chosen, step, parent).forces for step in (0, 1, 2))
    assert not torch.equal(first, second)
    assert torch.equal(first, third)


def test_nothing_is_said_of_the_parent_itself(parent, store, prepared):
    targets = prepared(**BOTH)
    chosen = store.splits["train"][:3].tolist()
    prediction = parent.predict(parent.batch(store.read(chosen)), create_graph=True)
    read = targets.read(chosen, 0, parent)
    loss = read.loss(parent, prediction, prediction.forces.detach(), targets.settings)
    assert 0 <= float(loss) < 1e-4


def test_the_loss_by_hand(cut_sevennet, store):
    chosen = store.splits["train"][:2]
    batch = cut_sevennet.batch(store.read(chosen))
    prediction = cut_sevennet.predict(batch)
    settings = Distillation(atomic_energies=2.0, hessian_rows=1, hessian_weight=0.5)
    forces, energies = prediction.forces, prediction.atomic_energies
    zero = Targets(energies - 1.0, batch, forces - 0.3 * DISPLACEMENT)
    loss = zero.loss(cut_sevennet, prediction, forces, settings)
    delta = settings.weights.huber_delta
    assert float(loss) == pytest.approx(2 * (1 - delta / 2) + 0.5 * (0.3 - delta / 2), rel=1e-3)


def test_what_was_computed_is_not_computed_again(parent, store, prepared, monkeypatch):
    targets = prepared(**BOTH)
    stamp = targets._path("forces").stat().st_mtime_ns
    targets.prepare(parent, "cpu")
    assert targets._path("forces").stat().st_mtime_ns == stamp
    # Killed after two structures: the rest is computed, the same as before.
    before = np.load(targets._path("forces"))
    record = json.loads(targets._progress.read_text())
    targets._progress.write_text(json.dumps(record | {"done": 2}))
    computed = []
    compute = TeacherTargets._compute
    monkeypatch.setattr(
        TeacherTargets,
        "_compute",
        lambda self, p, block: (computed.extend(block), compute(self, p, block)),
    )
    targets.prepare(parent, "cpu")
    assert computed == store.splits["train"][2:].tolist()
    np.testing.assert_allclose(np.load(targets._path("forces")), before, atol=1e-5)
    # Another seed, other directions.
    other = TeacherTargets(targets.folder, store, targets.settings, seed=4)
    assert other._done(other._identity(parent)) == 0


def test_valid_batches_have_no_targets(parent, store, prepared):
    settings = Distillation(**BOTH, batch_size=2)
    data = TrainingData(parent, store, settings, 0, store, targets=prepared(**BOTH))
    assert all(batch.targets is None for batch in data.val_dataloader())
    assert data.dataset[Drawn([int(store.splits["train"][0])], 0)].targets is not None


def test_settings_that_do_nothing_are_refused():
    with pytest.raises(UserError, match="raise hessian_weight"):
        make_section(Distillation, "distill", {"hessian_rows": 1, "hessian_weight": 0})
    with pytest.raises(UserError, match="lower label_fraction"):
        make_section(Distillation, "distill", {"hessian_rows": 1, "label_fraction": 1})


def test_without_a_parent_there_are_no_targets(run, store):
    with pytest.raises(UserError, match="need the parent"):
        run(settings=Distillation(atomic_energies=1.0), teacher=store, label_fraction=0.0)


def test_without_weights_nothing_changes(run, settings, store, parent, same_weights, tmp_path):
    """To the last bit, whether the parent is there or not."""
    plain = Distillation(**settings.model_dump() | {"steps": 2})
    found = [
        run(
            settings=plain, teacher=store, label_fraction=0.0, work_dir=tmp_path / str(i), **options
        ).model
        for i, options in enumerate([{}, {"parent": parent}])
    ]
    assert same_weights(*found)
    assert not (tmp_path / "1" / "targets").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "target",
    [{"atomic_energies": 10.0}, {"hessian_rows": 1, "hessian_weight": 1.0}],
    ids=["atomic_energies", "hessian_rows"],
)
def test_training_draws_them_to_the_parents(
    run, parent, cut_sevennet, store, prepared, tmp_path, target
):
    """Beside forces of little weight: what falls further than without is due to the targets."""
    chosen = store.splits["train"].tolist()
    batch = cut_sevennet.batch(store.read(chosen))
    forces = parent.predict(parent.batch(store.read(chosen))).forces
    targets = prepared(**target)
    read = targets.read(chosen, 0, cut_sevennet)

    def loss(model):
        return float(read.loss(model, model.predict(batch), forces, targets.settings))

    found = []
    for number, extra in enumerate(({}, target)):
        settings = Distillation(
            steps=24,
            batch_size=6,
            validate_every=24,
            learning_rate=1e-3,
            ema=0,
            weights={"energy": 0, "stress": 0, "forces": 0.1},
            **extra,
        )
        result = run(
            model=cut_sevennet,
            settings=settings,
            teacher=store,
            label_fraction=0.0,
            parent=parent,
            work_dir=tmp_path / str(number),
        )
        found.append(loss(result.model))
    without, trained = found
    assert trained < 0.8 * min(loss(cut_sevennet), without)
