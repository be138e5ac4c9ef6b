"""Labels by models are kept by content, found again, and never mixed up."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule

from irrepress.core.structure import Structure
from irrepress.data.label_shards import LabelOrigin, LabelShards, structure_key

ORIGIN = LabelOrigin(64 * "0", None, "float32")


def labelled(atoms, energy: float) -> Structure:
    structure = Structure.unlabelled(atoms)
    stress = np.arange(6.0) if structure.pbc.all() else structure.stress
    forces = np.full((len(atoms), 3), energy)
    return replace(structure, energy=energy, forces=forces, stress=stress)


@pytest.fixture
def frames() -> list[Structure]:
    atoms = [bulk("Si"), molecule("H2O"), bulk("NaCl", "rocksalt", a=5.64, cubic=True)]
    return [labelled(each, -float(i)) for i, each in enumerate(atoms)]


def keep(shards: LabelShards, frames: list[Structure]) -> None:
    keys = list(map(structure_key, frames))
    shards.write(keys, list(map(shards.labels_of, frames)))


def test_labels_come_back_as_they_were(tmp_path, frames):
    keep(LabelShards(tmp_path, ORIGIN), frames[:2])
    keep(LabelShards(tmp_path, ORIGIN), frames[2:])
    shards = LabelShards(tmp_path, ORIGIN)
    keys = [structure_key(frames[i]) for i in (2, 0, 1, 0)]
    found = shards.find([*keys, (1, 2)])
    assert sorted(found) == [0, 1, 2, 3] and len(shards) == 3
    for position, i in enumerate((2, 0, 1, 0)):
        for name in ("energy", "forces", "stress"):
            np.testing.assert_array_equal(found[position][name], getattr(frames[i], name))


def test_another_geometry_or_model_has_other_labels(tmp_path, frames):
    structure = frames[0]
    moved = replace(structure, positions=structure.positions + 1e-12)
    strained = replace(structure, cell=structure.cell * (1 + 1e-15))
    others = [moved, strained, replace(structure, pbc=~structure.pbc)]
    others += [replace(structure, numbers=structure.numbers + 1)]
    keys = {structure_key(each) for each in (structure, *others)}
    assert len(keys) == 5
    same = replace(structure, energy=7.0, group="g", positions=structure.positions * -1 * -1)
    assert structure_key(same) in keys
    keep(LabelShards(tmp_path, ORIGIN), frames)
    for change in ({"modal": "PBE"}, {"dtype": "float64"}, {"checkpoint_sha256": 64 * "1"}):
        assert len(LabelShards(tmp_path, replace(ORIGIN, **change))) == 0


def test_shards_of_other_jobs_are_seen_and_damaged_ones_left_out(tmp_path, frames, caplog):
    shards = LabelShards(tmp_path, ORIGIN)
    assert not shards.find([structure_key(frames[0])])
    keep(LabelShards(tmp_path, ORIGIN), frames[:1])
    shards.refresh()
    assert shards.find([structure_key(frames[0])])
    (path,) = shards.folder.glob("*.npz")
    path.write_bytes(path.read_bytes()[:300])
    assert not shards.find([structure_key(frames[0])])
    assert not len(LabelShards(tmp_path, ORIGIN))
    assert caplog.text.count(f"{path}: not read") == 2


def test_a_shard_without_a_wanted_column_is_not_used(tmp_path, frames):
    keep(LabelShards(tmp_path, ORIGIN), frames)
    wanted = ("energy", "forces", "stress", "energies")
    assert not len(LabelShards(tmp_path, ORIGIN, columns=wanted))
