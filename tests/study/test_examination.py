"""What is found in files before a study of them begins."""

import ase.io
import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from samples import copper_frames

from irrepress.core.errors import UserError
from irrepress.data.config import Files
from irrepress.study import examination
from irrepress.study.examination import check_labelled, examine, unknown_elements


def files(path, **options) -> Files:
    return Files(source="files", paths=[str(path)], **options)


def written(tmp_path, frames):
    path = tmp_path / "frames.extxyz"
    ase.io.write(path, frames)
    return path


def texts(found) -> list[str]:
    return list(map(str, found.findings))


def under_other_keys(frames, energy="REF_energy", forces="REF_forces"):
    """Return frames whose labels stand under other keys than ASE's."""
    for frame in frames:
        frame.info[energy] = frame.get_potential_energy()
        frame.arrays[forces] = frame.get_forces()
        frame.calc = None
    return frames


def test_what_files_hold_is_told(tmp_path):
    found = examine(files(written(tmp_path, copper_frames(8))))
    assert found.elements == [29]
    assert found.largest == len(copper_frames(1)[0])
    told = texts(found)
    assert any(line.startswith("structures: 8 with ") for line in told)
    assert "elements: 1: Cu" in told
    assert any(line.startswith("8 frames are few; ") for line in told)
    check_labelled(found)


@pytest.mark.parametrize(
    ("atoms", "kind"),
    [
        (fcc111("Cu", (1, 1, 4), vacuum=6.0, periodic=True), "along c): a slab in a box"),
        (molecule("CH3OH", vacuum=6.0, pbc=True), "along a, b, c): a molecule in a box"),
        (molecule("CH3OH", vacuum=6.0), None),
        (fcc111("Cu", (1, 1, 4), vacuum=6.0), None),
    ],
)
def test_periodicity_across_empty_space_is_told_with_its_mend(tmp_path, atoms, kind):
    found = examine(files(written(tmp_path, atoms)))
    told = [text for text in texts(found) if "empty space" in text]
    assert len(told) == (kind is not None)
    if kind:
        assert kind in told[0] and "leave periodicity along" in told[0]


def test_labels_under_one_other_key_are_taken_and_told(tmp_path):
    path = written(tmp_path, under_other_keys(copper_frames(4)))
    found = examine(files(path))
    assert (found.files.keys.energy, found.files.keys.forces) == ("REF_energy", "REF_forces")
    line = "energy taken from the key 'REF_energy', for there is no 'energy'; set keys.energy if"
    assert any(text.startswith(line) for text in texts(found))


def test_a_key_that_the_user_gives_is_not_guessed_at(tmp_path):
    frames = under_other_keys(copper_frames(4))
    for frame in frames:
        frame.info["dft_energy"] = frame.info["REF_energy"] + 1.0
    path = written(tmp_path, frames)
    keys = {"energy": "dft_energy"}
    assert examine(files(path, keys=keys)).files.keys.energy == "dft_energy"
    with pytest.raises(UserError, match=r"set keys\.energy to the right one of REF_energy"):
        examine(files(path))  # two could be it


def test_units_that_look_wrong_and_copies_are_told_with_their_mend(tmp_path):
    frames = copper_frames(6)
    for frame in frames:
        frame.calc.results["stress"] = np.full(6, 2.0)
    found = texts(examine(files(written(tmp_path, [*frames, frames[0]]))))
    assert any("set units.stress if so" in line for line in found)
    assert any(line.startswith("duplicate: 1, ") and "remove the copies" in line for line in found)


def test_no_more_frames_are_read_than_tell_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(examination, "MOST_FRAMES", 5)
    found = examine(files(written(tmp_path, copper_frames(8))))
    assert found.summary.structures == 5
    assert "no more than 5 frames of every file were looked at" in texts(found)
    assert found.files.limit is None


@pytest.mark.parametrize("content", ["", "no structures\n"])
def test_a_file_of_another_kind_ends_in_one_message(tmp_path, content):
    path = tmp_path / "frames.extxyz"
    path.write_text(content)
    with pytest.raises(UserError, match=r"frames\.extxyz"):
        examine(files(path))


def test_structures_without_labels_are_known_as_such(tmp_path):
    path = tmp_path / "copper.cif"
    ase.io.write(path, bulk("Cu"))
    found = examine(files(path))
    assert found.files.labels is False and not found.has_labels
    assert (found.elements, found.largest, found.largest_supercell) == ([29], 1, 64)
    told = texts(found)
    assert any(line.startswith("no labels are read: ") for line in told)
    line = "1 atom is repeated to supercells of 64 for dynamics, where atoms of a small cell"
    assert any(text.startswith(line) for text in told)
    assert not any("empty space" in text for text in told)
    assert not any("are few" in line for line in told)


def test_labels_that_are_not_to_be_read_are_told(tmp_path):
    found = examine(files(written(tmp_path, copper_frames(3)), labels=False))
    assert not found.has_labels
    assert any(line.startswith("own labels not read") for line in texts(found))


def test_a_large_cell_is_told_with_its_mend(tmp_path):
    found = examine(files(written(tmp_path, [bulk("Cu").repeat(7)])))
    assert found.largest_supercell == 343
    assert any("a smaller cell of the same material" in line for line in texts(found))


def test_too_few_labelled_frames_to_divide_end_in_one_message(tmp_path):
    with pytest.raises(UserError, match="split"):
        examine(files(written(tmp_path, copper_frames(1))))


def test_forces_without_energies_are_no_labels_to_train_on(tmp_path):
    frames = copper_frames(3)
    for frame in frames:
        frame.calc.results.pop("energy")
    path = written(tmp_path, frames)
    with pytest.raises(UserError, match="no frame has an energy"):
        check_labelled(examine(files(path)))


def test_elements_that_a_model_lacks_are_named():
    assert unknown_elements([1, 8, 29], (1, 29)) == ["O"]
