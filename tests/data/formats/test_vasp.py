"""Outputs of VASP: which steps, which energy, and what is lost of a file that is cut off."""

import gzip
import re

import numpy as np
import pytest
from format_samples import assert_frame, salt
from vasp_samples import SMEARING, outcar, vasprun

from irrepress.core.errors import UserError
from irrepress.data.config import Files, LabelKeys, Units
from irrepress.data.formats.registry import guess_format, make_reader
from irrepress.data.reading import read_files

IMAGES = [salt(index) for index in range(4)]
WRITERS = {"OUTCAR": outcar, "vasprun.xml": vasprun}
FREE = LabelKeys(energy="free_energy")


def reading(path, **config):
    return read_files(Files(source="files", paths=[str(path)], **config))


def texts(read):
    return {note.text: note.count for note in read.notes}


def lost(read):
    return sum(count for text, count in texts(read).items() if "ionic step left out" in text)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("compressed", [False, True])
def test_numbers(tmp_path, name, compressed):
    content = WRITERS[name](IMAGES).encode()
    path = tmp_path / (f"{name}.gz" if compressed else name)
    path.write_bytes(gzip.compress(content) if compressed else content)
    read = reading(path, keys=FREE)
    for structure, atoms in zip(read, IMAGES, strict=True):
        assert_frame(structure, atoms, 2e-6)
    assert not lost(read) and not any("without the end" in text for text in texts(read))


@pytest.mark.parametrize("name", WRITERS)
def test_the_other_energy_is_taken_by_its_key(tmp_path, name):
    (tmp_path / name).write_text(WRITERS[name](IMAGES))
    energies = [s.energy for s in reading(tmp_path / name, keys=LabelKeys(energy="energy"))]
    expected = [atoms.calc.results["energy"] + SMEARING for atoms in IMAGES]
    np.testing.assert_allclose(energies, expected, atol=1e-6)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("whole", [1, 2, 3])
def test_steps_that_a_file_ends_within_are_counted(tmp_path, name, whole):
    parts = re.split(r"(TOTAL-FORCE|name=.forces)", WRITERS[name](IMAGES))
    (tmp_path / name).write_text("".join(parts[: 2 * whole + 2]) + parts[2 * whole + 2][:60])
    read = reading(tmp_path / name, keys=FREE)
    assert len(list(read)) == whole
    assert lost(read) == 1
    assert any("without the end that VASP writes" in text for text in texts(read))


def test_a_run_that_was_stopped_between_steps(tmp_path):
    (tmp_path / "OUTCAR").write_text(outcar(IMAGES, ended=False))
    read = reading(tmp_path / "OUTCAR", keys=FREE)
    assert len(list(read)) == 4 and not lost(read)
    assert any("without the end that VASP writes" in text for text in texts(read))


@pytest.mark.parametrize("name", ["run1.out", "relax.log", "output"])
def test_an_outcar_is_known_by_its_first_line(tmp_path, name):
    (tmp_path / name).write_text(outcar(IMAGES))
    assert guess_format(tmp_path / name) == "vasp-out"
    assert len(list(reading(tmp_path / name, keys=FREE))) == 4


def test_units_are_not_converted_twice(tmp_path):
    (tmp_path / "OUTCAR").write_text(outcar(IMAGES))
    for units in (Units(stress="kbar", stress_sign="vasp"), Units(energy="meV")):
        with pytest.raises(UserError, match=r"OUTCAR: units says .* vasp-out .* remove units"):
            list(reading(tmp_path / "OUTCAR", units=units))


def test_a_trajectory_of_positions_has_no_labels(tmp_path):
    (tmp_path / "XDATCAR").write_text(
        "salt\n1.0\n4 0 0\n0 4 0\n0 0 4\nNa Cl\n1 1\nDirect configuration= 1\n0 0 0\n.5 .5 .5\n"
    )
    with pytest.raises(UserError, match=r"XDATCAR: frame 0: no energy .* no labels at all"):
        list(reading(tmp_path / "XDATCAR"))


def test_a_format_that_a_file_does_not_hold(tmp_path):
    (tmp_path / "a.out").write_text(outcar(IMAGES))
    for format in ("espresso-out", "gaussian-out", "cif", "vasp-xml"):
        with pytest.raises(UserError, match=rf"a.out: .*{format}") as caught:
            list(make_reader(format, [tmp_path / "a.out"]).records())
        assert "\n" not in str(caught.value)
