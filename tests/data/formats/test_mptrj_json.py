"""MPtrj_2022.9_full.json, in the layout of figshare 23713842 (its description, and CHGNet's
``chgnet/data/dataset.py``, which multiplies the stress by -0.1 to get GPa)."""

import gzip
import json
import re
import tracemalloc

import numpy as np
import pytest
from format_samples import (
    assert_records,
    mptrj_frame,
    real_frames,
    salt,
    write_mptrj_json,
)

from irrepress.core.errors import UserError
from irrepress.data.config import LabelKeys, Units
from irrepress.data.formats import base
from irrepress.data.formats.mptrj_json import MptrjJsonReader
from irrepress.data.formats.registry import make_reader


def records(path, *args):
    return list(MptrjJsonReader([path], *args).records())


def test_numbers_groups_and_order(tmp_path):
    one, two = [salt(i) for i in range(3)], [salt(9)]
    path = write_mptrj_json(tmp_path / "a.json", {"mp-22862": one, "mp-1": two})
    read = records(path)
    assert_records(read, one + two, 1e-12)
    assert [r.structure.group for r in read] == ["mp-22862"] * 3 + ["mp-1"]
    assert read[2].where == f"{path}: mp-22862: mp-22862-0-2"


def test_stress_is_in_kilobar_with_the_sign_of_vasp(tmp_path):
    """Diagonal and one shear component, by hand: 1 kbar is 6.2415e-4 eV/Å^3."""
    frame = mptrj_frame(salt(), "mp-1")
    frame["stress"] = [[10.0, 1.0, 0.0], [1.0, -20.0, 0.0], [0.0, 0.0, 30.0]]
    (tmp_path / "a.json").write_text(json.dumps({"mp-1": {"mp-1-0-0": frame}}))
    (record,) = records(tmp_path / "a.json")
    expected = -6.241509126e-4 * np.array([10, -20, 30, 0, 0, 1])
    np.testing.assert_allclose(record.structure.stress, expected, rtol=1e-8)


def test_energy_is_that_of_vasp_unless_the_corrected_one_is_asked_for(tmp_path):
    path = write_mptrj_json(tmp_path / "a.json", {"mp-1": [salt()]})
    energy = salt().calc.results["energy"]
    (record,) = records(path)
    assert record.structure.energy == energy
    (record,) = records(path, LabelKeys(energy="corrected_total_energy"))
    assert record.structure.energy == pytest.approx(energy - 0.687)
    assert record.structure.group == "mp-1"


def test_compressed(tmp_path):
    plain = write_mptrj_json(tmp_path / "a.json", {"mp-1": [salt()]})
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert_records(records(tmp_path / "b.json.gz"), [salt()])


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "CHUNK_FRAMES", 40)
    one = json.dumps({f"f{i}": mptrj_frame(salt(i, repeat=2), "mp-1") for i in range(5)})
    count = 240
    (tmp_path / "a.json").write_text(
        "{" + ", ".join(f'"mp-{i}": {one}' for i in range(count)) + "}"
    )
    assert (tmp_path / "a.json").stat().st_size > 4.8e6
    tracemalloc.start()
    sizes = [len(chunk) for chunk in MptrjJsonReader([tmp_path / "a.json"]).chunks()]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(sizes) == 5 * count and max(sizes) == 40
    assert peak < 3e6


def test_real_frames(shared_data, tmp_path):
    images = real_frames(shared_data, "foundation/mptrj-random")
    materials = {atoms.info["mptrj_traj_id"]: [] for atoms in images}
    for atoms in images:
        materials[atoms.info["mptrj_traj_id"]].append(atoms)
    path = write_mptrj_json(tmp_path / "a.json", materials)
    assert_records(records(path), [a for group in materials.values() for a in group], 1e-10)


# --- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"force": [[0, 0, 0], [None, 0, 0]]}, "cannot be read|forces holds nan"),
        ({"force": [[0, 0, 0]]}, r"forces has the shape \[1, 3\], expected \[2, 3\]"),
        ({"uncorrected_total_energy": None, "force": None}, "no energy under the key 'energy'"),
        ({"structure": None}, "cannot be read"),
        ({"structure": {"lattice": {"matrix": [[1]]}, "sites": []}}, "cannot be read"),
    ],
)
def test_bad_frames_are_named_and_the_others_are_read(tmp_path, change, message):
    frames = [mptrj_frame(salt(i), "mp-1") for i in range(3)]
    frames[1] |= change
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"mp-1": {f"mp-1-0-{i}": f for i, f in enumerate(frames)}}))
    first, error, last = records(path)
    assert_records([first, last], [salt(0), salt(2)])
    with pytest.raises(UserError, match=rf"a\.json: mp-1: mp-1-0-1:? .*({message})"):
        raise error


@pytest.mark.parametrize(
    "species",
    [
        [{"element": "Na", "occu": 0.5}],
        [{"element": "Na", "occu": 0.5}, {"element": "K", "occu": 0.5}],
        [{"element": "Qq", "occu": 1}],
    ],
)
def test_sites_that_are_no_single_atom(tmp_path, species):
    frame = mptrj_frame(salt(), "mp-1")
    frame["structure"]["sites"][0]["species"] = species
    (tmp_path / "a.json").write_text(json.dumps({"mp-1": {"a": frame}}))
    (error,) = records(tmp_path / "a.json")
    assert isinstance(error, UserError) and "mp-1: a cannot be read" in str(error)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("keep", [0.4, 0.9])
def test_files_that_are_cut_off(tmp_path, suffix, keep):
    plain = write_mptrj_json(tmp_path / "a.json", {f"mp-{i}": [salt(i)] for i in range(400)})
    whole = gzip.compress(plain.read_bytes()) if suffix else plain.read_bytes()
    path = tmp_path / f"cut.json{suffix}"
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(UserError, match=rf"{path}: .*after mp-\d+.*download it again|cut off"):
        records(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html></html>", "expected JSON, but this is a web page"),
        (b"[1, 2]", "does not begin as JSON of CHGNet does"),
        (b'{"mp-1": 3}', "mp-1: expected its frames by name, found 3"),
        (b'{"mp-1": {"a": 3}}', "mp-1: a cannot be read"),
        (b"{}", "there are no structures"),
        (b'{"mp-1": {', "not JSON after its beginning"),
    ],
)
def test_other_files(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=message):
        for record in records(tmp_path / "a.json"):
            raise record


# --- what people have of CHGNet's ---------------------------------------------------------


def run_of_vasp(images, *names):
    """Return what ``chgnet.utils.parse_vasp_dir`` saves: a list of all frames under each name."""
    frames = [mptrj_frame(atoms, "") for atoms in images]
    return {name: [frame[name] for frame in frames] for name in names}


NAMES = ("structure", "uncorrected_total_energy", "energy_per_atom", "force", "magmom", "stress")


@pytest.mark.parametrize("left_out", [(), ("uncorrected_total_energy",), ("magmom",)])
def test_lists_of_a_run_of_vasp(tmp_path, left_out):
    images = [salt(index) for index in range(4)]
    content = run_of_vasp(images, *(name for name in NAMES if name not in left_out))
    path = tmp_path / "chgnet_dataset.json"
    path.write_text(json.dumps(content))
    reader = make_reader("auto", [path])
    assert isinstance(reader, MptrjJsonReader)
    read = list(reader.records())
    assert_records(read, images, 1e-9)
    assert read[2].where == f"{path}: frame 2"
    told = [remark.text for remark in reader.remarks]
    expected = "energy taken from energy_per_atom times the number of atoms"
    assert told == ([expected] if "uncorrected_total_energy" in left_out else [])


def test_own_files_with_the_energy_per_atom(tmp_path):
    frame = mptrj_frame(salt(), "mine")
    for key in ("uncorrected_total_energy", "corrected_total_energy"):
        del frame[key]
    (tmp_path / "a.json").write_text(json.dumps({"my-salt": {"step 1": frame}}))
    reader = make_reader("auto", [tmp_path / "a.json"])
    assert_records(reader.records(), [salt()], 1e-9)
    assert len(reader.remarks) == 1


def test_the_energy_per_atom_can_be_asked_for(tmp_path):
    path = write_mptrj_json(tmp_path / "a.json", {"mp-1": [salt()]})
    (record,) = records(path, LabelKeys(energy="energy_per_atom"))
    assert record.structure.energy == pytest.approx(salt().calc.results["energy"])


def test_sites_without_cartesian_positions(tmp_path):
    frame = mptrj_frame(salt(), "mp-1")
    for site in frame["structure"]["sites"]:
        del site["xyz"]
    (tmp_path / "a.json").write_text(json.dumps({"mp-1": {"a": frame}}))
    assert_records(records(tmp_path / "a.json"), [salt()], 1e-9)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"structure": [], "force": []}, "but none of structure"),
        ({"structures": [{}], "energies": [1.0]}, "lists of structures, energies, but none"),
        (run_of_vasp([salt()], *NAMES) | {"force": [[], []]}, "1 values of structure, but 2 of fo"),
        ({"mp-1": {"a": {"force": []}}}, "mp-1: a cannot be read .there is no 'structure'"),
    ],
)
def test_other_layouts_are_named_with_what_is_expected(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    try:
        (error,) = records(path)
    except UserError as raised:
        error = raised
    assert str(error).startswith(str(path)) and "\n" not in str(error)
    assert re.search(message, str(error)) and re.search("write the (structures|file)", str(error))


def test_units_that_contradict_the_format(tmp_path):
    path = write_mptrj_json(tmp_path / "a.json", {"mp-1": [salt()]})
    with pytest.raises(UserError, match=r"units.energy says 'meV', but mptrj-json always .* 'eV'"):
        make_reader("auto", [path], None, Units(energy="meV"))
    units = Units(stress="kbar", stress_sign="vasp")
    assert_records(make_reader("auto", [path], None, units).records(), [salt()], 1e-9)


def test_a_total_energy_of_its_own_is_read(tmp_path):
    frame = mptrj_frame(salt(), "mp-1")
    energy = frame.pop("uncorrected_total_energy")
    frame = {key: value for key, value in frame.items() if "energy" not in key}
    (tmp_path / "a.json").write_text(json.dumps({"mine": {"0": {**frame, "energy": energy}}}))
    (record,) = records(tmp_path / "a.json")
    assert record.structure.energy == pytest.approx(energy)


def test_damage_is_told_in_one_line(tmp_path):
    text = json.dumps({"mp-1": {"mp-1-0-0": mptrj_frame(salt(), "mp-1")}})
    (tmp_path / "a.json").write_text(text[:-100])
    with pytest.raises(UserError, match="not JSON after its beginning") as caught:
        records(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["list", "flat", "plural"])
def test_json_of_pymatgen_s_structures_in_other_layouts_names_what_is_expected(tmp_path, layout):
    frame = mptrj_frame(salt(), "mp-1")
    plural = {"structures": [frame["structure"]], "energies": [-1.0]}
    content = {"list": [frame], "flat": {"f0": frame}, "plural": plural}[layout]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="JSON of CHGNet") as caught:
        for found in make_reader("auto", [tmp_path / "a.json"]).records():
            raise found
    assert "extxyz" in str(caught.value)
