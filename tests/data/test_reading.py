"""The structures of a dataset come as its source gives them, from any number of processes."""

import shutil

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from samples import assert_same

from irrepress.core.errors import UserError
from irrepress.data.checks import check_elements
from irrepress.data.config import Files, Published
from irrepress.data.reading import read_files, read_published


def frame(index=0, **changes):
    """Rattled salt with energy, forces and stress; ``changes`` replace results."""
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.rattle(0.05, seed=index)
    rng = np.random.default_rng(index)
    results = {
        "energy": -6.5 + rng.normal() / 10,
        "forces": rng.normal(size=(2, 3)),
        "stress": rng.normal(size=6) / 100,
    }
    results.update(changes)
    results = {key: value for key, value in results.items() if value is not None}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def files(*paths, **changes):
    return Files(source="files", paths=[str(path) for path in paths], **changes)


def write(path, images, **kwargs):
    ase.io.write(path, images, **kwargs)
    return path


def assert_frame(structure, atoms, tolerance=1e-7):
    assert structure.numbers.tolist() == atoms.numbers.tolist()
    np.testing.assert_allclose(structure.positions, atoms.positions, atol=tolerance)
    np.testing.assert_allclose(structure.cell, atoms.cell.array, atol=tolerance)
    assert structure.pbc.tolist() == atoms.pbc.tolist()
    results = atoms.calc.results
    np.testing.assert_allclose(structure.energy, results["energy"], atol=tolerance)
    np.testing.assert_allclose(structure.forces, results["forces"], atol=tolerance)
    np.testing.assert_allclose(structure.stress, results["stress"], atol=tolerance)


# --- formats ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.extxyz", "a.traj", "a.db"])
def test_formats(tmp_path, name):
    images = [frame(i) for i in range(5)]
    images[3].info["group"] = "sodium chloride"
    path = tmp_path / name
    if name == "a.db":
        with connect(path) as database:
            for atoms in images:
                database.write(atoms)
    else:
        write(path, images)
    structures = list(read_files(files(path)))
    assert len(structures) == 5
    for structure, atoms in zip(structures, images, strict=True):
        assert_frame(structure, atoms)
    if name != "a.db":  # which keeps no info
        assert [s.group for s in structures] == ["", "", "", "sodium chloride", ""]


def test_limit_holds_per_file(tmp_path):
    one = write(tmp_path / "1.extxyz", [frame(i) for i in range(5)])
    two = write(tmp_path / "2.extxyz", [frame(i) for i in range(2)])
    assert len(list(read_files(files(one, two, limit=3)))) == 5


def test_any_number_of_processes_gives_the_same(tmp_path):
    paths = [
        write(tmp_path / f"{name}.extxyz", [frame(i) for i in range(start, start + 700)])
        for name, start in (("a", 0), ("b", 700))
    ]
    alone = list(read_files(files(*paths)))
    together = list(read_files(files(*paths), workers=3))
    assert len(alone) == len(together) == 1400
    for one, other in zip(alone, together, strict=True):
        assert_same(one, other)


def test_official_files_tell_the_parts(tmp_path):
    one, two, three = (
        write(tmp_path / f"{n}.extxyz", [frame(i) for i in range(n)]) for n in (1, 2, 3)
    )
    reading = read_files(files(three, valid_paths=[str(one)], test_paths=[str(two)]))
    assert len(list(reading)) == 6
    parts = {part: list(indices) for part, indices in reading.official.indices.items()}
    assert parts == {"train": [], "valid": [3], "test": [4, 5]}


# --- isolated atoms -----------------------------------------------------------------------


def single_atom(symbol, energy, **info):
    atoms = Atoms(symbol, info=info)
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    return atoms


def test_isolated_atoms_among_the_frames_are_references(tmp_path):
    images = [
        frame(0),
        single_atom("Na", -1.5, config_type="IsolatedAtom"),
        frame(1),
        single_atom("Cl", -2.5, config_type="IsolatedAtom"),
    ]
    reading = read_files(files(write(tmp_path / "a.extxyz", images)))
    assert len(list(reading)) == 2
    assert reading.reference_energies == {11: -1.5, 17: -2.5}
    (note,) = reading.notes
    assert note.count == 2 and "only for its reference energy" in note.text


def test_isolated_atoms_in_a_file_of_their_own(tmp_path):
    data = write(tmp_path / "a.extxyz", frame())
    atoms = [single_atom("Na", -1.5), single_atom("Cl", -2.5)]
    for image in atoms:
        image.calc.results["forces"] = np.zeros((1, 3))
    path = write(tmp_path / "atoms.extxyz", atoms)
    reading = read_files(files(data, isolated_atoms=str(path)))
    assert reading.reference_energies == {11: -1.5, 17: -2.5}
    with pytest.raises(UserError, match=r"frame 0: 2 atoms in a file of isolated atoms"):
        read_files(files(data, isolated_atoms=str(data)))


# --- bad files ----------------------------------------------------------------------------


def test_missing_files_are_named_before_anything_is_read(tmp_path):
    good = write(tmp_path / "good.extxyz", frame())
    with pytest.raises(UserError, match=r"^paths: there is no file '.*nowhere\.extxyz'"):
        read_files(files(good, tmp_path / "nowhere.extxyz"))
    with pytest.raises(UserError, match=r"^test_paths: there is no file '.*nowhere\.xz'"):
        read_files(files(good, test_paths=[str(tmp_path / "nowhere.xz")]))
    (tmp_path / "empty.extxyz").touch()
    with pytest.raises(UserError, match=r"empty\.extxyz: the file is empty"):
        read_files(files(tmp_path / "empty.extxyz"))


def bad_frames(tmp_path):
    """A file of six frames: without forces, with NaN, with atoms on top of each other."""
    images = [frame(i) for i in range(6)]
    images[1] = frame(1, forces=np.full((2, 3), np.inf))
    images[2].calc.results["energy"] = float("nan")
    images[4].positions[1] = images[4].positions[0]
    return write(tmp_path / "a.extxyz", images)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_frame_stops_the_reading(tmp_path, workers):
    reading = iter(read_files(files(bad_frames(tmp_path)), workers))
    next(reading)
    message = r"a\.extxyz: frame 1: forces holds inf; correct .*\(or set bad_frames: skip\)"
    with pytest.raises(UserError, match=message):
        next(reading)


def test_bad_frames_can_be_left_out_and_are_told(tmp_path, caplog):
    path = bad_frames(tmp_path)
    other = shutil.copy(path, tmp_path / "b.extxyz")
    reading = read_files(files(path, bad_frames="skip", valid_paths=[str(other)]))
    structures = list(reading)
    for structure, index in zip(structures, [0, 3, 5] * 2, strict=True):
        assert_frame(structure, frame(index))
    assert reading.skipped == 6
    assert list(reading.official.indices["valid"]) == [3, 4, 5]
    messages = [record.getMessage() for record in caplog.records]
    for file in (path, other):
        assert sum(message.startswith(f"left out: {file}: frame ") for message in messages) == 3
    (note,) = reading.notes
    assert (note.text, note.count) == ("bad frame left out", 6)
    assert note.first.startswith(f"{path}: frame 1: forces holds inf")


def test_only_the_first_bad_frames_are_told_one_by_one(tmp_path, caplog):
    path = write(tmp_path / "a.extxyz", [frame(i, energy=np.nan) for i in range(50)])
    reading = read_files(files(path, bad_frames="skip"))
    assert not list(reading)
    assert len(caplog.records) == 20
    assert [note.count for note in reading.notes] == [50]


def test_half_a_file(tmp_path):
    whole = write(tmp_path / "whole.extxyz", [frame(i) for i in range(600)]).read_text()
    path = tmp_path / "half.extxyz"
    path.write_text(whole[: len(whole) // 2])
    for workers in (1, 2):
        read = iter(read_files(files(path, bad_frames="skip"), workers))
        with pytest.raises(UserError, match=r"half\.extxyz: .*cut off"):
            list(read)


# --- published datasets -------------------------------------------------------------------


def test_published_files_give_parts_and_reference_energies(tmp_path):
    directory = tmp_path / "3bpa"
    directory.mkdir()
    write(directory / "train_300K.xyz", [frame(i) for i in range(3)], format="extxyz")
    write(directory / "test_300K.xyz", [frame(i) for i in range(2)], format="extxyz")
    atoms = [single_atom("Na", -1.5), single_atom("Cl", -2.5)]
    write(directory / "iso_atoms.xyz", atoms, format="extxyz")
    reading = read_published(Published(source="published", name="3bpa"), tmp_path)
    assert reading.reference_energies == {11: -1.5, 17: -2.5}
    assert len(list(reading)) == 5
    parts = {part: list(indices) for part, indices in reading.official.indices.items()}
    assert parts == {"train": [0, 1, 2], "valid": [], "test": [3, 4]}


def test_a_published_file_that_was_deleted_is_named(tmp_path):
    with pytest.raises(
        UserError, match=r"rmd17/rmd17\.tar\.bz2: the downloaded file is missing; .*delete .*\.json"
    ):
        read_published(Published(source="published", name="rmd17-ethanol"), tmp_path)


# --- what does not go together ------------------------------------------------------------


def with_info(index, **info):
    atoms = frame(index)
    atoms.info.update(info)
    return atoms


@pytest.mark.parametrize("key", ["head", "functional", "level_of_theory"])
@pytest.mark.parametrize("workers", [1, 2])
def test_levels_of_theory_are_not_mixed(tmp_path, key, workers):
    images = [with_info(0, **{key: "pbe"}), with_info(1, **{key: "scan"}), frame(2)]
    path = write(tmp_path / "a.extxyz", images)
    message = rf"a\.extxyz: frame 1: its {key} is scan, but that of .* frame 0 is pbe; .*select"
    with pytest.raises(UserError, match=message):
        list(read_files(files(path), workers))
    chosen = read_files(files(path, select={key: "scan"}), workers)
    (structure,) = chosen
    assert_frame(structure, images[1])
    assert {note.text: note.count for note in chosen.notes} == {
        f"left out: its {key} is pbe": 1,
        f"left out: it has no {key}": 1,
    }
    assert len(list(read_files(files(path, select={key: ["pbe", "scan"]}), workers))) == 2


def test_frames_that_do_not_tell_their_level_beside_others_are_noted(tmp_path):
    images = [frame(0), with_info(1, head="pbe"), frame(2)]
    reading = read_files(files(write(tmp_path / "a.extxyz", images)))
    assert len(list(reading)) == 3
    (note,) = reading.notes
    assert (note.text, note.count) == ("no head, though other frames have one (pbe)", 2)
    assert note.first.endswith("frame 0")


def test_a_selection_that_leaves_nothing_is_an_error(tmp_path):
    path = write(tmp_path / "a.extxyz", [with_info(i, head="pbe") for i in range(3)])
    message = r"no frame is left \(left out: its head is pbe, 3 times\); change select"
    with pytest.raises(UserError, match=message):
        list(read_files(files(path, select={"head": "scan"})))


def test_the_limit_is_of_frames_that_are_chosen(tmp_path):
    images = [with_info(i, head="pbe" if i % 2 else "scan") for i in range(8)]
    path = write(tmp_path / "a.extxyz", images)
    read = list(read_files(files(path, select={"head": "pbe"}, limit=3)))
    for structure, image in zip(read, images[1:6:2], strict=True):
        assert_frame(structure, image)


def test_isolated_atoms_of_one_element_must_agree(tmp_path):
    alike = [single_atom("Na", energy, config_type="IsolatedAtom") for energy in (-1.5, -1.5004)]
    reading = read_files(files(write(tmp_path / "a.extxyz", [frame(), *alike])))
    list(reading)
    assert reading.reference_energies == {11: -1.5}
    assert "isolated atom left out, as an earlier one has the same energy" in [
        n.text for n in reading.notes
    ]
    other = single_atom("Na", -0.8, config_type="IsolatedAtom")
    path = write(tmp_path / "b.extxyz", [frame(), alike[0], other])
    message = r"frame 2: the isolated atom Na has -0\.8 eV, but .* frame 1 has -1\.5 eV; remove one"
    with pytest.raises(UserError, match=message):
        list(read_files(files(path)))
    apart = write(tmp_path / "atoms.extxyz", [alike[0], single_atom("Cl", -2.5)])
    given = read_files(files(path, isolated_atoms=str(apart)))
    list(given)
    assert given.reference_energies == {11: -1.5, 17: -2.5}
    assert [
        n.count for n in given.notes if "the file of isolated atoms takes precedence" in n.text
    ] == [2]
    twice = write(tmp_path / "twice.extxyz", [alike[0], other])
    with pytest.raises(UserError, match=r"twice\.extxyz: frame 1: the isolated atom Na has -0\.8"):
        read_files(files(path, isolated_atoms=str(twice)))


def test_an_isolated_atom_whose_energy_has_no_weight_is_no_reference(tmp_path):
    write(tmp_path / "a.extxyz", [frame()])
    text = (
        "1\nProperties=species:S:1:pos:R:3:forces:R:3 energy=0 config_type=IsolatedAtom "
        'config_energy_weight=0 pbc="F F F"\nNa 0 0 0 0 0 0\n'
    )
    (tmp_path / "a.extxyz").open("a").write(text)
    reading = read_files(files(tmp_path / "a.extxyz"))
    assert len(list(reading)) == 1 and not reading.reference_energies
    assert any("has no usable energy" in note.text for note in reading.notes)


def test_a_stress_in_larger_units_is_told(tmp_path):
    line = 'Properties=species:S:1:pos:R:3 Lattice="4 0 0 0 4 0 0 0 4" energy=-1 '
    for pressure, told in ((20, 1), (0.02, 0)):
        (tmp_path / "a.xyz").write_text(f'1\n{line}stress="{pressure} 0 0 0 0 0 0 0 0"\nNa 0 0 0\n')
        reading = read_files(files(tmp_path / "a.xyz"))
        assert len(list(reading)) == 1
        assert sum("set units.stress if so" in note.text for note in reading.notes) == told


def test_a_key_that_no_frame_has_is_an_error_and_one_that_some_lack_is_noted(tmp_path):
    images = [with_info(0, dft_energy=-6.0), frame(1), with_info(2, dft_energy=-6.5)]
    path = write(tmp_path / "a.extxyz", images)
    reading = read_files(files(path, keys={"energy": "dft_energy"}))
    assert [structure.energy for structure in reading] == [
        -6.0,
        pytest.approx(np.nan, nan_ok=True),
        -6.5,
    ]
    (note,) = reading.notes
    assert note.count == 1 and note.text.startswith("no energy under the key 'dft_energy', but")
    message = r"frame 0: no energy under the key 'dtf_energy', .* dft_energy, .*; set keys\.energy"
    with pytest.raises(UserError, match=message):
        list(read_files(files(path, keys={"energy": "dtf_energy"})))


# --- units and elements -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "unit"), [(1, None), (23.0605, "kcal/mol"), (1 / 27.2114, "Hartree"), (96.485, "kJ")]
)
def test_energies_in_other_units_are_warned_of(shared_data, tmp_path, factor, unit):
    path = shared_data / "rmd17" / "ethanol-train.extxyz.xz"
    atoms = next(iter(read_files(files(path)))).to_atoms()
    atoms.calc.results["energy"] *= factor
    reading = read_files(files(write(tmp_path / "a.traj", [atoms] * 3)))
    list(reading)
    notes = list(reading.notes)
    if unit is None:
        assert not notes
    else:
        assert len(notes) == 1 and notes[0].count == 1  # once a file
        assert f"looks like {unit}" in notes[0].text


def test_elements_that_a_model_does_not_know():
    check_elements([1, 8], range(1, 90), "water and 7net-0")
    message = "salt.h5 and model m: the model does not know Po, Pu; .* It knows H, O"
    with pytest.raises(UserError, match=message):
        check_elements([1, 94, 84], [8, 1], "salt.h5 and model m")


# --- real frames ------------------------------------------


@pytest.mark.parametrize(
    ("name", "count", "stress"),
    [
        ("foundation/mptrj-random", 700, True),
        ("foundation/mptrj-high-stress", 982, True),
        ("crystals/gst-valid", 150, True),
        ("crystals/si-test", 25, False),
        ("rmd17/isolated-atoms", 4, False),
    ],
)
def test_published_sets_pass_without_a_warning(shared_data, caplog, name, count, stress):
    structures = list(read_files(files(shared_data / f"{name}.extxyz.xz")))
    assert len(structures) == count
    assert all(np.isfinite(s.stress).all() == stress for s in structures)
    assert not caplog.records
