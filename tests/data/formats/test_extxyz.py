"""Extended XYZ: frames are cut as ASE reads them, and each mistake has one clear message."""

import bz2
import gzip
import io
import lzma

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import read_xyz
from format_samples import (
    assert_frame,
    assert_records,
    extxyz_bytes,
    hydrogens,
    labelled,
    real_frames,
    salt,
    water,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats import base, compression, extxyz, texts
from irrepress.data.formats.extxyz import ExtxyzReader, frames_of

COMPRESSED = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def write(path, images):
    content = extxyz_bytes(images)
    path.write_bytes(COMPRESSED.get(path.suffix, bytes)(content))
    return path


def records(path, *args):
    return list(ExtxyzReader([path], *args).records())


def atoms_of(path):
    """What ASE makes of each frame as it was cut."""
    chunks = ExtxyzReader([path]).chunks()
    return [next(read_xyz(io.StringIO(f.text.decode()), 0)) for chunk in chunks for f in chunk]


# --- cutting ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.extxyz", "a.xyz", "a.extxyz.gz", "a.extxyz.xz", "a.xyz.bz2"])
def test_plain_and_compressed(tmp_path, name):
    images = [salt(i) for i in range(5)]
    assert_records(records(write(tmp_path / name, images)), images)


def test_compression_is_seen_in_the_file_not_in_its_name(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_bytes(gzip.compress(extxyz_bytes([salt()])))
    assert_records(records(path), [salt()])


def test_our_frames_are_those_that_ase_reads(tmp_path):
    images = [salt(i) for i in range(3)] + [molecule("H2O")]
    images[1].info.update(name="two words", temperature=300)
    images[2].arrays["tags"] = np.array([4, 5])
    path = write(tmp_path / "a.extxyz", images)
    for ours, theirs in zip(atoms_of(path), ase.io.read(path, ":"), strict=True):
        assert ours == theirs
        assert ours.info == theirs.info
        assert ours.arrays.keys() == theirs.arrays.keys()
        if theirs.calc:
            assert ours.calc.results.keys() == theirs.calc.results.keys()


def test_cells_on_vec_lines(tmp_path):
    path = tmp_path / "vec.xyz"
    block = "2\nold style\nH 0 0 0\nH 0 0 0.74\nVEC1 5 0 0\nVEC2 0 6 0\nVEC3 0 0 7\n"
    path.write_text(block * 3)
    frames = atoms_of(path)
    assert [atoms.cell.lengths().tolist() for atoms in frames] == [[5, 6, 7]] * 3


def test_blank_lines_between_frames_and_an_end_without_a_newline(tmp_path):
    one = extxyz_bytes([water()])
    (tmp_path / "a.xyz").write_bytes(b"\n" + one + b"\n \n" + one + one.rstrip(b"\n"))
    assert_records(records(tmp_path / "a.xyz"), [water()] * 3)


def test_windows_line_ends(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_bytes(extxyz_bytes([salt(), water()]).replace(b"\n", b"\r\n"))
    assert_records(records(path), [salt(), water()])


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_cutting_loses_and_changes_nothing(sizes):
    """Whatever the frames, their texts one after another are the file."""
    text = b"".join(
        b"%d\ncomment %d\n" % (size, index) + b"H 0.0 0.0 0.0\n" * size
        for index, size in enumerate(sizes)
    )
    frames = [frame for _, frame in frames_of(io.BytesIO(text), "a", ("a",))]
    assert b"".join(frame.text for frame in frames) == text
    assert [frame.place for frame in frames] == list(range(len(sizes)))
    assert [frame.text.count(b"H") for frame in frames] == sizes


def test_chunks_are_bounded_by_frames_and_by_bytes(tmp_path, monkeypatch):
    path = write(tmp_path / "a.xyz", [water(i) for i in range(600)])
    assert [len(chunk) for chunk in ExtxyzReader([path]).chunks()] == [256, 256, 88]
    monkeypatch.setattr(base, "CHUNK_BYTES", 2000)
    small, large = [water(i) for i in range(8)], hydrogens(60)
    path = write(tmp_path / "b.xyz", [*small, large, *small])
    chunks = list(ExtxyzReader([path]).chunks())
    for chunk in chunks:
        assert len(chunk) == 1 or sum(len(frame.text) for frame in chunk) <= 2000
    assert len(chunks) > 2  # and yet several frames each
    assert any(len(chunk) > 1 for chunk in chunks)
    assert sum(map(len, chunks)) == 17


def test_several_files_and_their_parts(tmp_path):
    a = write(tmp_path / "train_a.xyz", [salt(0), salt(1)])
    b = write(tmp_path / "test[1].xyz", [salt(2)])
    parts = {"train_*.xyz": "train", str(b): "test"}
    read = list(ExtxyzReader([a, b], None, None, {"parts": parts}).records())
    assert_records(read, [salt(0), salt(1), salt(2)])
    assert [record.part for record in read] == ["train", "train", "test"]
    assert [record.where for record in read] == [f"{a}: frame 0", f"{a}: frame 1", f"{b}: frame 0"]
    assert [record.part for record in records(a)] == [None, None]


def test_an_unknown_option_is_a_mistake_of_ours(tmp_path):
    with pytest.raises(ValueError, match="ExtxyzReader has no option molecule"):
        ExtxyzReader([write(tmp_path / "a.xyz", [salt()])], None, None, {"molecule": "ethanol"})


# --- labels in files ----------------------------------------------------------------------


def test_keys_units_and_virial(tmp_path):
    """Names and units as the field's files have them, among them GPUMD's virial."""
    atoms, expected = salt(stress=None), salt()
    results = expected.calc.results
    atoms.calc = None
    atoms.info["REF_energy"] = results["energy"] * 1000
    atoms.info["virial"] = -expected.get_stress(voigt=False) * atoms.get_volume() * 1000
    atoms.arrays["REF_forces"] = results["forces"] * 1000
    keys = LabelKeys(energy="REF_energy", forces="REF_forces", stress="virial")
    units = Units(energy="meV", stress="virial")
    assert_records(records(write(tmp_path / "a.xyz", [atoms]), keys, units), [expected], 1e-6)


def test_labels_of_a_calculator_beside_predictions(tmp_path):
    """SPICE as MACE-OFF23 used it has MACE's predictions beside the labels."""
    (tmp_path / "a.xyz").write_text(
        "2\nProperties=species:S:1:pos:R:3:forces:R:3:MACE_forces:R:3 "
        'smiles="[H:1][H:2]" total_charge=0 energy=-31.5 config_type="DES370K Dimers" '
        'MACE_energy=-31.25 pbc="F F F"\n'
        "H 0 0 0 0 0 0.25 0 0 0.5\nH 0 0 0.8 0 0 -0.25 0 0 -0.5\n"
    )
    (record,) = records(tmp_path / "a.xyz", LabelKeys(group="smiles"))
    assert record.structure.energy == -31.5
    assert record.structure.forces.tolist() == [[0, 0, 0.25], [0, 0, -0.25]]
    assert record.structure.group == "[H:1][H:2]"
    assert not record.isolated_atom and record.part is None


def test_isolated_atoms_are_marked(tmp_path):
    atom = labelled(Atoms("Na"), forces=None, stress=None)
    atom.info["config_type"] = "IsolatedAtom"
    first, second = records(write(tmp_path / "a.xyz", [atom, salt()]))
    assert first.isolated_atom and not second.isolated_atom
    assert first.structure.energy == pytest.approx(atom.calc.results["energy"])


@pytest.mark.parametrize(
    ("name", "count", "stress"),
    [
        ("foundation/mptrj-random", 700, True),
        ("foundation/mptrj-high-stress", 982, True),
        ("foundation/alexandria-random", 700, True),
        ("crystals/gst-valid", 150, True),
        ("crystals/si-test", 25, False),
        ("rmd17/isolated-atoms", 4, False),
    ],
)
def test_published_frames(shared_data, name, count, stress):
    path = shared_data / f"{name}.extxyz.xz"
    read = records(path)
    assert len(read) == count
    assert all(np.isfinite(r.structure.stress).all() == stress for r in read)
    assert_records(read[:20], real_frames(shared_data, name))


# --- bad frames ---------------------------------------------------------------------------


def close_pair():
    atoms = salt()
    atoms.positions[1] = atoms.positions[0] + [0, 0, 0.1] - 2 * atoms.cell[0] + atoms.cell[2]
    return labelled(atoms)


def with_cell(cell):
    atoms = salt()
    atoms.set_cell(cell)
    return labelled(atoms)


def with_dummy():
    atoms = salt()
    atoms.numbers[1] = 0
    return labelled(atoms)


BAD = {
    "large force": (
        salt(forces=np.array([[0, 0, 0], [0, 3000, 4000.0]])),
        r"a force of 5000 eV/Å on atom 1 is absurd \(limit 1000\); give forces in eV/Å",
    ),
    "large energy": (salt(energy=-1e10), r"-5e\+09 eV/atom is absurd"),
    "large stress": (salt(stress=np.full(6, 160.2)), r"160\.2 eV/Å\^3 is absurd .*1 GPa"),
    "no volume": (with_cell(np.zeros((3, 3))), r"only 0 Å thin; .*pbc=\"F F F\""),
    "flat cell": (with_cell([[3, 0, 0], [0, 3, 0], [3, 3, 1e-3]]), "is only 0.001 Å thin"),
    "close pair": (close_pair(), r"atoms 0 and 1 are 0\.1 Å apart, less than 0\.3 Å"),
    "dummy": (with_dummy(), "atom 1 is a dummy atom"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_frame_is_named_and_the_others_are_read(tmp_path, name):
    bad, message = BAD[name]
    path = write(tmp_path / "bad.xyz", [salt(), salt(1), bad, salt(2)])
    read = records(path)
    assert_records(read[:2] + read[3:], [salt(), salt(1), salt(2)])
    assert isinstance(read[2], UserError)
    with pytest.raises(UserError, match=r"bad\.xyz: frame 2: .*" + message):
        raise read[2]


GOOD = (
    '2\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1\n'
    "Na 0.5 0 0 0 0 0\nCl 3.0 0 0 0 0 0\n"
)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("Na 0.5 0 0", "Na nan 0 0", r"frame 1: the position of atom 0 is \[nan, 0.0, 0.0\] Å"),
        ('Lattice="5', 'Lattice="inf', r"frame 1: the cell \[\[inf, 0.0, 0.0\].* is not finite"),
        ("energy=-1", "energy=nan", "frame 1: energy holds nan"),
        ("energy=-1", "energie=-1", "frame 1: no energy .* of energie"),
        ("3.0 0 0 0 0 0", "3.0 0 0 0 inf 0", "frame 1: forces holds inf"),
        ("Na 0.5 0 0", "Qq 0.5 0 0", "frame 1 cannot be read"),
        ("Na 0.5 0 0", "Na zero 0 0", "frame 1 cannot be read"),
        ("Na 0.5 0 0 0 0 0", "Na 0.5 0 0", "frame 1 cannot be read"),
    ],
)
def test_frames_that_ase_does_not_write(tmp_path, right, wrong, message):
    """Written by hand: ASE writes no labels for some of them."""
    (tmp_path / "a.extxyz").write_text(GOOD + GOOD.replace(right, wrong) + GOOD)
    first, second, third = records(tmp_path / "a.extxyz")
    assert first.structure.energy == third.structure.energy == -1
    with pytest.raises(UserError, match=rf"a\.extxyz: {message}"):
        raise second


def test_text_that_is_no_utf8_spoils_one_frame(tmp_path):
    good = GOOD.encode()
    (tmp_path / "a.xyz").write_bytes(good + good.replace(b"energy", b'note="\xff" energy') + good)
    first, second, third = records(tmp_path / "a.xyz")
    assert isinstance(second, UserError) and "frame 1 cannot be read (Unicode" in str(second)
    assert first.structure.energy == third.structure.energy


def test_a_large_structure_is_checked_for_close_pairs_too(tmp_path):
    atoms = bulk("Cu", cubic=True).repeat(5)
    atoms.positions[400] = atoms.positions[30] + 0.1
    path = write(tmp_path / "a.xyz", [labelled(atoms)])
    (error,) = records(path)
    with pytest.raises(UserError, match=r"atoms (30 and 400|400 and 30) are 0\.173 Å apart"):
        raise error


def test_slabs_and_wires_may_leave_vectors_out(tmp_path):
    for pbc, cell in [((1, 1, 0), [3, 3, 0]), ((0, 0, 1), [0, 0, 3]), ((0, 0, 0), [0, 0, 0])]:
        atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.0]], pbc=pbc, cell=cell)
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((2, 3)))
        (record,) = records(write(tmp_path / "a.xyz", [atoms]))
        assert_frame(record.structure, atoms)


# --- bad files ----------------------------------------------------------------------------


def failing(path):
    """Return the good frames before the error, and its message."""
    read = []
    with pytest.raises(UserError) as caught:
        for record in ExtxyzReader([path]).records():
            assert not isinstance(record, UserError)
            read.append(record)
    return read, str(caught.value)


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".bz2"])
def test_half_a_file(tmp_path, suffix):
    whole = write(tmp_path / f"a.xyz{suffix}", [salt(i, repeat=4) for i in range(20)])
    path = tmp_path / f"cut.xyz{suffix}"
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) // 2 - 100])
    _, message = failing(path)
    assert message.startswith(f"{path}: ")
    assert "cut off" in message and "download it again" in message


def test_the_frames_before_the_damage_are_read_first(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_bytes(extxyz_bytes([water(i) for i in range(300)]) + b"garbage\n")
    read, message = failing(path)
    assert len(read) == 256  # the chunk that was whole
    assert "frame 300: expected a number of atoms, found 'garbage'; the frame before" in message


ONE = b"1\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1\nH 0 0 0 0 0 0\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xyz", b"\n\n\n", "there are no structures in this file"),
        ("a.xyz", b"hello\n", "frame 0: expected a number of atoms, found 'hello'"),
        ("a.xyz", b"-1\n\n", "frame 0: expected a number of atoms, found '-1'"),
        ("a.xyz", b"99999999999\n\nH 0 0 0\n", "expected a number of atoms, found '99999999999'"),
        ("a.xyz", b"\xff\xfe\x00", "frame 0: expected a number of atoms"),
        ("a.xyz", b"3\n\nH 0 0 0\n", "frame 0: the file ends within its 3 atoms; it is cut off"),
        ("a.xyz", ONE + b"H 0 0 0 0 0 0\n", "frame 1: expected a number of atoms"),
        ("a.xyz.xz", b"not compressed", "cut off or damaged .*does not begin as xz files do"),
        ("a.xyz.gz", b"not compressed", "cut off or damaged .*does not begin as gzip files do"),
        ("a.xyz.bz2", b"not compressed", "cut off or damaged .*does not begin as bzip2 files"),
        ("a.xyz.gz", b"\x1f\x8b\x08\x00junkjunkjunk", "cut off or damaged"),
        ("a.xyz.bz2", b"BZh91AY&SYjunk", "cut off or damaged"),
    ],
)
def test_garbage(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        records(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize("name", ["a.xyz.gz", "a.xyz"])
def test_a_line_without_end_does_not_fill_the_memory(tmp_path, monkeypatch, name):
    """A line of some GB compresses to some MB."""
    monkeypatch.setattr(texts, "MOST_LINE", 1 << 16)
    pack = gzip.compress if name.endswith(".gz") else bytes
    (tmp_path / name).write_bytes(pack(b"0" * (1 << 20)))
    with pytest.raises(UserError, match=r"a\.xyz.*: a line is longer than .* MiB"):
        records(tmp_path / name)
    (tmp_path / name).write_bytes(pack(b"1\n" + b"0" * (1 << 20)))
    with pytest.raises(UserError, match=r"a\.xyz.*: a line is longer than .* MiB"):
        records(tmp_path / name)


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_what_expands_beyond_measure_is_refused(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(compression, "LEAST_BOUND", 1 << 16)
    monkeypatch.setattr(compression, "_BUFFER", 4096)
    frame = b"1\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1\nH 0 0 0 0 0 0\n"
    path = tmp_path / f"a.xyz{suffix}"
    path.write_bytes(COMPRESSED[suffix](frame * 20_000))
    with pytest.raises(UserError, match=r"expands to more than 200 times its size"):
        list(ExtxyzReader([path]).chunks())
    path.write_bytes(COMPRESSED[suffix](extxyz_bytes([salt(i) for i in range(300)])))
    assert len(records(path)) == 300


def test_a_frame_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(extxyz, "_MOST_BYTES", 1000)
    (tmp_path / "a.xyz").write_bytes(b"1000\n" + b"H 0 0 0 0 0 0\n" * 1001)
    with pytest.raises(UserError, match=r"frame 0: it has more than .* MiB; check its number"):
        records(tmp_path / "a.xyz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"  <!DOCTYPE html><html>sign in</html>", "a web page; the server sent a web page"),
        (b"SQLite format 3\x00 and so on", "an SQLite database; set format: ase-db"),
        (b"PK\x03\x04", "a zip archive; set format: extxyz-archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file; set format: mace-hdf5"),
    ],
)
def test_other_files_under_the_name_of_xyz(tmp_path, content, message):
    (tmp_path / "a.xyz").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.xyz: expected extended XYZ, but this is {message}"):
        ExtxyzReader([tmp_path / "a.xyz"])


def test_files_that_are_not_there_are_named_before_anything_is_read(tmp_path):
    good = write(tmp_path / "good.xyz", [salt()])
    for name, message in [
        ("nowhere.xyz", r"nowhere\.xyz: cannot be read \(No such file"),
        ("", "is a directory"),
        ("empty.xyz", "the file is empty"),
    ]:
        (tmp_path / "empty.xyz").touch()
        with pytest.raises(UserError, match=message):
            ExtxyzReader([good, tmp_path / name])
