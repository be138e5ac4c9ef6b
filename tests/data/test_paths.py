"""What paths of the config stand for."""

import os

import pytest

from irrepress.core.errors import UserError
from irrepress.data.config import Files
from irrepress.data.paths import contents, locate


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory to work in, and a function that makes files in it."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("1\n\nH 0 0 0\n")

    return make


def found(*paths, **kwargs):
    return [str(path) for path in locate(dataset(*paths, **kwargs)).all()]


def dataset(*paths, **kwargs):
    return Files(source="files", paths=list(paths), **kwargs)


def remarks(*paths, **kwargs):
    return {where: text for text, where in locate(dataset(*paths, **kwargs)).remarks}


def test_home_and_environment(place, tmp_path, monkeypatch):
    place("a.xyz", "b/c.xyz")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCRATCH", str(tmp_path / "b"))
    monkeypatch.delenv("UNSET", raising=False)
    assert found("~/a.xyz", "$SCRATCH/c.xyz") == [str(tmp_path / n) for n in ("a.xyz", "b/c.xyz")]
    assert found("${SCRATCH}/*.xyz") == [str(tmp_path / "b/c.xyz")]
    for path in ("$UNSET/a.xyz", "${UNSET}/a.xyz"):
        with pytest.raises(UserError, match=r"environment variable UNSET in '\$.*set it"):
            locate(dataset(path))
    place("$UNSET.xyz", "~.xyz")
    assert found("$UNSET.xyz", "~.xyz") == ["$UNSET.xyz", "~.xyz"]


def test_patterns_are_sorted_as_people_count(place):
    place(*(f"run{n}/frames.xyz" for n in (10, 2, 1)), "run2/deep/er.xyz", "run1/notes.txt")
    assert found("run*/*.xyz") == [f"run{n}/frames.xyz" for n in (1, 2, 10)]
    assert found("run2/**/*.xyz") == ["run2/deep/er.xyz", "run2/frames.xyz"]
    assert found("run[1-2]/frames.xyz") == ["run1/frames.xyz", "run2/frames.xyz"]


def test_a_pattern_that_fits_nothing_is_named(place, tmp_path):
    place("a.xyz")
    with pytest.raises(UserError) as caught:
        locate(dataset("a.xyz", "none/*.xyz", valid_paths=["valid-?.xyz"], isolated_atoms="at.xyz"))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(
        f"paths: no file matches the pattern 'none/*.xyz' (relative paths begin at {tmp_path})"
    )
    assert lines[1].startswith("valid_paths: no file matches the pattern 'valid-?.xyz'")
    assert lines[2].startswith("isolated_atoms: there is no file 'at.xyz'")


@pytest.mark.parametrize("name", ["a*.xyz", "a[1].xyz", "{a}.xyz", "zwei Wörter, ß.xyz", "a?.xyz"])
def test_odd_names_that_are_there_are_meant_as_they_stand(place, name):
    place(name, "a1.xyz", "ab.xyz")
    assert found(name) == [name]


def test_a_folder_stands_for_the_data_in_it(place):
    place(*(f"omat/train/data.{n:04d}.aselmdb" for n in (0, 1, 10)), "omat/train/metadata.npz")
    place("omat/train/data.0000.aselmdb-lock", "omat/README.md", "omat/.hidden.aselmdb")
    place("omat/train/plot.png")
    assert found("omat") == [f"omat/train/data.{n:04d}.aselmdb" for n in (0, 1, 10)]
    assert list(remarks("omat")) == ["omat/train/plot.png"]
    assert "file in a folder not read" in remarks("omat")["omat/train/plot.png"]


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["a.extxyz", "b.xyz.gz", "c.xyz.txt", "d.XYZ"], [0, 1, 2, 3]),
        (["a.traj", "b.traj.gz"], [0, 1]),
        (["a.db", "b.aselmdb", "b.db-journal"], [0, 1]),
        (["train_10.h5", "train_2.h5"], [1, 0]),
        (["OUTCAR", "POSCAR", "INCAR", "KPOINTS", "XDATCAR", "OSZICAR"], [0]),
        (["r1/OUTCAR.gz", "r2/OUTCAR", "r2/vasprun.xml", "r2/slurm-1.out"], [0, 2]),
        (["a.zip", "b.tar.gz"], [0, 1]),
        (["a.xyz", "a.zip", "b.json"], [0]),
        (["mptrj.json"], [0]),
    ],
)
def test_what_is_data_in_a_folder(place, names, read):
    place(*(f"f/{name}" for name in names))
    assert found("f") == [f"f/{names[index]}" for index in read]


def test_the_same_run_of_vasp_is_not_read_twice(place):
    place("run/OUTCAR", "run/vasprun.xml")
    assert list(remarks("run")) == ["run/OUTCAR"]
    assert found("run/OUTCAR") == ["run/OUTCAR"]


def test_folders_of_single_structures_are_read_where_there_is_nothing_else(place):
    place("f/a.cif", "f/POSCAR", "f/POSCAR.2", "f/b.vasp", "f/c.cif.gz", "f/readme.md", "g/POSCAR")
    assert found("f") == ["f/POSCAR", "f/POSCAR.2", "f/a.cif", "f/b.vasp", "f/c.cif.gz"]
    place("f/d.xyz")
    assert found("f") == ["f/d.xyz"]


def test_a_format_says_which_files_of_a_folder_are_meant(place):
    place("f/a.xyz", "f/b.db", "f/run.out", "f/run.pwo")
    assert found("f", format="extxyz") == ["f/a.xyz"]
    assert found("f", format="db") == ["f/b.db"]
    assert found("f", format="espresso-out") == ["f/run.out", "f/run.pwo"]
    with pytest.raises(UserError, match=r"no files of the format traj are recognised by name"):
        locate(dataset("f", format="traj"))


def test_folders_that_say_too_little_or_too_much(place, tmp_path):
    place("mixed/a.xyz", "mixed/b.db", "songs/a.mp3")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        UserError, match=r"several kinds, such as a.xyz and b.db; select .*'mixed/\*"
    ):
        locate(dataset("mixed"))
    with pytest.raises(
        UserError, match=r"in songs, which contains a.mp3; select .* 'songs/\*.mp3'"
    ):
        locate(dataset("songs"))
    with pytest.raises(UserError, match="empty is empty"):
        locate(dataset("empty"))
    place("good/a.xyz")
    assert found("[gs]o*") == ["good/a.xyz"]
    assert list(remarks("[gs]o*").values()) == ["folder without readable files"]


def test_systems_of_deepmd_stay_one_source(place):
    place("dp/a/type.raw", "dp/a/coord.raw", "dp/b/type.raw", "dp/a/.hidden")
    assert found("dp") == ["dp"]
    files = contents(locate(dataset("dp")).all()[0])
    assert [str(file) for file in files] == ["dp/a/coord.raw", "dp/a/type.raw", "dp/b/type.raw"]


def test_folders_that_are_links_are_followed_but_not_for_ever(place, tmp_path):
    place("real/a.xyz")
    (tmp_path / "f").mkdir()
    os.symlink(tmp_path / "real", tmp_path / "f/linked")
    os.symlink(tmp_path / "f", tmp_path / "f/again")
    assert found("f") == ["f/linked/a.xyz"]


def test_a_file_belongs_to_one_part(place):
    place("d/train.xyz", "d/test.xyz", "d/atoms.xyz")
    located = locate(dataset("d", test_paths=["d/test.xyz"], isolated_atoms="d/atoms.xyz"))
    assert [str(path) for path in located.paths["paths"]] == ["d/train.xyz"]
    assert {where: text for text, where in located.remarks} == {
        "d/test.xyz": "file left out of paths, as it is given under test_paths",
        "d/atoms.xyz": "file left out of paths, as it is given under isolated_atoms",
    }
    with pytest.raises(UserError, match=r"^paths: d/test.xyz is also under test_paths"):
        locate(dataset("d/test.xyz", test_paths=["d/*.xyz"]))
    with pytest.raises(UserError, match=r"^valid_paths: d/test.xyz is also under test_paths"):
        locate(dataset("d/train.xyz", valid_paths=["d/te*"], test_paths=["d/te*"]))
    with pytest.raises(UserError, match="all files are also under test_paths"):
        locate(dataset("d/te*.xyz", test_paths=["d/test.xyz"]))


def test_a_file_that_stands_there_twice_is_read_once(place):
    place("a.xyz")
    assert found("a.xyz", "*.xyz") == ["a.xyz"]
    assert remarks("a.xyz", "*.xyz") == {"a.xyz": "file that occurs under paths twice, read once"}


@pytest.mark.parametrize("format", ["auto", "extxyz", "vasp-out", "espresso-out", "xyz", "db"])
def test_formats_by_name(format):
    assert dataset("a", format=format).format == format


def test_a_misspelt_format_is_told_the_nearest():
    with pytest.raises(ValueError, match="no format 'vasp_out'; did you mean 'vasp-out'"):
        dataset("a", format="vasp_out")
    with pytest.raises(ValueError, match="no format 'extxzy'; did you mean 'extxyz'"):
        dataset("a", format="extxzy")
    with pytest.raises(ValueError, match=r"Known: auto, extxyz, .* 'ase info --formats'"):
        dataset("a", format="3.14")
