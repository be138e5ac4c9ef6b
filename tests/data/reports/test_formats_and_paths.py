"""Which files are read, and as what: each report gives exact labels, or one message."""

import pytest

from irrepress.core.errors import UserError
from irrepress.data.config import Files
from irrepress.data.reading import read_files

ALL = ("energy", "forces", "stress")
FREE = {"energy": "free_energy"}
# VASP prints positions and forces with seven digits: not the readers' round-off.
DIGITS = {"energy": 2e-6, "forces": 2e-5, "stress": 1e-6}


def is_exact_to_its_digits(outcome):
    return all(outcome.errors[name] < limit for name, limit in DIGITS.items())


def refused(path, **config):
    with pytest.raises(UserError) as caught:
        list(read_files(Files(source="files", paths=[str(path)], **config)))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("OUTCAR", {}),
        ("job1", {}),
        ("job*/OUTCAR", {}),
        ("run1.out", {}),
        ("run1.out", {"format": "vasp-out"}),
        ("run1.out", {"format": "vasp-out", "bad_frames": "skip"}),
    ],
)
def test_vasp_outputs(reports, errors_of, name, config):
    read = errors_of(reports / "vasp-outputs" / name, keys=FREE, **config)
    assert len(read.structures) == 8 and is_exact_to_its_digits(read)
    assert not read.noted("left out") and not read.noted("without the end")


def test_which_energy_of_vasp_is_taken_is_told(reports, errors_of):
    read = errors_of(reports / "vasp-outputs" / "OUTCAR")
    assert read.errors["energy"] == pytest.approx(0.05, rel=1e-3)
    assert read.noted("though 'free_energy', which forces belong to") == 8
    assert read.noted("set keys.energy: free_energy") == 8


def test_an_outcar_that_is_cut_off(reports, errors_of):
    read = errors_of(reports / "vasp-outputs" / "OUTCAR_cut", keys=FREE)
    assert len(read.structures) == 6 and is_exact_to_its_digits(read)
    assert read.noted("ionic step left out: the file ends within it") == 1
    assert read.noted("without the end that VASP writes") == 1


def test_a_folder_of_vasp_outputs_says_what_it_leaves_out(reports, errors_of):
    read = errors_of(reports / "vasp-outputs", keys=FREE)
    assert len(read.structures) == 8 + 6 + 8
    assert read.noted("file in a folder not read") == 1


def test_database_of_schnetpack(reports, errors_of):
    for path in (reports / "schnetpack-db" / "data.db", reports / "schnetpack-db"):
        read = errors_of(path)
        assert read.is_exact("energy", "forces")
        assert read.noted("energy in kcal/mol, forces in kcal/mol/Ang") == 1
    assert "but the database defines its own" in refused(path, units={"energy": "meV"})


@pytest.mark.parametrize("name", ["", "omat/train", "omat/**/*.aselmdb"])
def test_folder_of_shards(reports, errors_of, name):
    read = errors_of(reports / "folder-of-shards" / name)
    assert len(read.structures) == 8 and read.is_exact(*ALL)


def test_pickled_lmdb(reports):
    path = reports / "pickled-lmdb" / "data.0000.lmdb"
    assert refused(path.parent) == refused(path)
    assert "an LMDB file of pickles" in refused(path) and "LmdbDataset" in refused(path)


@pytest.mark.parametrize("config", [{}, {"format": "deepmd"}])
def test_raw_systems_of_deepmd(reports, errors_of, config):
    for name in ("raw", "raw/Si8"):
        read = errors_of(reports / "deepmd-raw" / name, **config)
        assert len(read.structures) == 8 and read.is_exact(*ALL)


@pytest.mark.parametrize("name", ["train.xyz.txt", "bom.extxyz", ""])
@pytest.mark.parametrize("config", [{}, {"format": "extxyz"}])
def test_names_and_encodings(reports, errors_of, name, config):
    read = errors_of(reports / "names-and-encodings" / name, **config)
    assert len(read.structures) == (8 if name else 16) and read.is_exact(*ALL)
