"""A model labels each structure once, in order, whatever is there already."""

from dataclasses import replace

import numpy as np
import pytest

from irrepress.core.structure import Structure
from irrepress.data.label_shards import LabelOrigin, LabelShards
from irrepress.evaluation.labeller import Labeller
from irrepress.evaluation.predictions import label

ORIGIN = LabelOrigin(64 * "0", None, "float32")


@pytest.fixture
def labeller(tmp_path, small_sevennet):
    def make() -> Labeller:
        return Labeller(small_sevennet, "small", LabelShards(tmp_path / "labels", ORIGIN))

    return make


def rattled(structures, count: int) -> list[Structure]:
    rng = np.random.default_rng(0)
    chosen = [structures[i % len(structures)] for i in range(count)]
    return [replace(s, positions=s.positions + rng.normal(0, 0.05, (len(s), 3))) for s in chosen]


def assert_same(one: Structure, other: Structure) -> None:
    np.testing.assert_array_equal(one.positions, other.positions)
    assert one.group == other.group
    assert one.energy == pytest.approx(other.energy, abs=1e-4)
    np.testing.assert_allclose(one.forces, other.forces, atol=1e-4)
    np.testing.assert_allclose(one.stress, other.stress, atol=1e-5)


def test_only_what_is_new_is_labelled(labeller, small_sevennet, structures, caplog):
    caplog.set_level("INFO")
    frames = rattled(structures, 10)
    plain = list(label(small_sevennet, frames))
    first = labeller()
    for one, other in zip(first.label(frames[:6]), plain[:6], strict=True):
        assert_same(one, other)
    assert (first.taken, first.made) == (0, 6)

    again = labeller()
    found = list(again.label([*frames, frames[9]]))
    assert (again.taken, again.made) == (7, 4)  # the last one occurs twice
    for one, other in zip(found, [*plain, plain[9]], strict=True):
        assert_same(one, other)
    assert f"labels of small: 4 made; 7 were there, in {again.shards.folder}" in caplog.text
    unkept = list(Labeller(small_sevennet, "small").label(frames))
    for one, other in zip(unkept, plain, strict=True):
        assert_same(one, other)


def test_a_job_that_is_stopped_keeps_its_labels(labeller, structures, monkeypatch):
    monkeypatch.setattr("irrepress.evaluation.labeller._WINDOW", 4)
    frames = rattled(structures, 8)

    def stopped():
        yield from frames[:6]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(labeller().label(stopped()))
    second = labeller()
    list(second.label(frames))
    assert (second.taken, second.made) == (4, 4)


def test_a_shard_is_written_in_time(labeller, structures, monkeypatch):
    """A job that is killed outright loses the labels since its last shard."""
    monkeypatch.setattr("irrepress.evaluation.labeller._PER_SHARD", 3)
    stream = labeller().label(rattled(structures, 8))
    next(stream)
    assert len(labeller().shards) == 6
