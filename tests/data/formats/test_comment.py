"""The comment line of extended XYZ: what ASE reads right is read the same, the rest or told."""

import numpy as np
import pytest
from ase.io.extxyz import key_val_str_to_dict
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.data.formats.comment import FORTRAN, _pairs, parse_comment, parse_pbc, with_exponents

CELL = 'Lattice="5 0 0 0.5 6 0 0 0 7"'


@pytest.mark.parametrize(
    "line",
    [
        "water, from a book",
        "energy=-1.5 step=3 name=abc flag T=F",
        f'{CELL} Properties=species:S:1:pos:R:3 energy=-1.5 pbc="T T F"',
        "energy = -1.5 time=  0.5",
        "name=\"two words\" path='a b' list={1 2 3} other=[1.0, 2.0, 3.5]",
        'stress="1 2 3 2 4 5 3 5 6" virial="1 2 3 2 4 5 3 5 6" dft_stress="1 2 3 2 4 5 3 5 6"',
        r'quoted="a \"b\" c" escaped=a\ b',
        'json="_JSON {\\"a\\": [1, 2]}" numbers="_JSON [[1, 2], [3, 4]]"',
        "equation=a=b=c empty= next=1",
        "uid=007 id=007 big=123456789012345678901234567890 e=1e-3 nan=nan",
        'mask="T F T" yes=True no=false',
        '"a key"=1',
    ],
)
def test_what_ase_reads_is_read_the_same(line):
    theirs = key_val_str_to_dict(line)
    ours = parse_comment(line, notes := [])
    assert ours.keys() == theirs.keys() and not notes
    for key, value in theirs.items():
        np.testing.assert_array_equal(ours[key], value)
        if not isinstance(value, list | np.ndarray):
            assert isinstance(ours[key], str) == isinstance(value, str)


@settings(deadline=None)
@given(st.text(st.sampled_from("ab1.-= \"'{}[]\\\t"), max_size=40))
def test_any_line_is_read(line):
    for key, value in _pairs(line):
        assert isinstance(key, str) and isinstance(value, str)


def test_an_apostrophe_opens_nothing():
    assert parse_comment("", []) == {}
    assert parse_comment("Bob's energy=-1", []) == {"Bob's": True, "energy": -1}


@pytest.mark.parametrize(
    "text", ["{" * 200_000, "[" * 200_000 + r"\]", "'\"" * 100_000, "= " * 200_000]
)
def test_hostile_lines_take_no_longer_than_others(text):
    """Were the rest of the line looked at for every mark, this would take minutes."""
    assert len(list(_pairs(f"energy=1 {text}"))) >= 1


@pytest.mark.parametrize("key", ["lattice", "LATTICE", "Lattice"])
def test_keys_of_the_format_in_any_case(key):
    line = f"{CELL.replace('Lattice', key)} PBC=F properties=species:S:1:pos:R:3 Energy=-1"
    info = parse_comment(line, [])
    assert info["Lattice"].T.tolist() == [[5, 0, 0], [0.5, 6, 0], [0, 0, 7]]
    assert info["pbc"] == [False] * 3
    assert info["Properties"] == "species:S:1:pos:R:3"
    assert info["Energy"] == -1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T T F", "110"),
        ("t t f", "110"),
        ("TTF", "110"),
        ("ttf", "110"),
        ("1 1 0", "110"),
        ("110", "110"),
        ("true true false", "110"),
        ("True, True, False", "110"),
        ("[true, true, false]", "110"),
        ("_JSON [true, true, false]", "110"),
        ("(T,T,F)", "110"),
        (".TRUE. .TRUE. .FALSE.", "110"),
        ("T", "111"),
        ("false", "000"),
        ("0", "000"),
    ],
)
def test_spellings_of_periodicity(text, expected):
    assert parse_pbc(text) == [letter == "1" for letter in expected]


@pytest.mark.parametrize(
    "text", ["", "p p f", "xy", "true false", "T T", "T T T T", "2 1 1", "FTX"]
)
def test_what_is_no_periodicity_is_refused(text):
    with pytest.raises(ValueError, match="not three booleans"):
        parse_pbc(text)


def test_what_contradicts_itself_is_refused():
    assert parse_comment("energy=1 energy=1", [])["energy"] == 1
    for line in (
        "energy=1 energy=2",
        f"{CELL} {CELL.replace('Lattice', 'lattice').replace('7', '8')}",
    ):
        with pytest.raises(ValueError, match="occurs twice"):
            parse_comment(line, [])


@pytest.mark.parametrize("value", ["5 6 7", "5 0 0 0 6 0 0 0", "a cell", '"5 0 0'])
def test_a_lattice_of_other_than_nine_numbers_is_refused(value):
    with pytest.raises(ValueError, match="not nine numbers"):
        parse_comment(f'Lattice="{value}"', [])


@pytest.mark.parametrize(
    "key", ["cell", "Box", "unit_cell", "lattice_vectors", "cell_vec", "dft_cell", "latticevec"]
)
def test_a_cell_under_another_name_is_refused(key):
    for value in ("5 0 0 0 6 0 0 0 7", "5 6 7", "5 6 7 90 90 90"):
        with pytest.raises(ValueError, match=r"there is no Lattice, but .* looks like the cell"):
            parse_comment(f'{key}="{value}" energy=1', [])
    assert key in parse_comment(f'{CELL} {key}="5 6 7"', [])
    assert key in parse_comment(f"{key}=3", [])


def test_exponents_of_fortran():
    info = parse_comment('energy=-1.5D+02 Lattice="5.0d0 0 0 0 6 0 0 0 7" id=2D3', notes := [])
    assert info["energy"] == -150 and info["Lattice"][0, 0] == 5 and info["id"] == "2D3"
    assert notes == [FORTRAN]
    assert with_exponents("C 1.0D-3 .5d0 -2.D2 C2D1") == ("C 1.0e-3 .5e0 -2.e2 C2D1", True)
    assert with_exponents("C 1.0E-3") == ("C 1.0E-3", False)


def test_names_with_underscores_are_no_numbers():
    assert parse_comment("group=12_34", [])["group"] == "12_34"


def test_a_stress_of_six_numbers_is_read():
    assert parse_comment('stress="1 2 3 4 5 6"', [])["stress"].tolist() == [1, 2, 3, 4, 5, 6]


def test_lengths_of_a_cell_are_no_lattice():
    with pytest.raises(ValueError, match="there is no Lattice, but a, b and c"):
        parse_comment("a=5.6 b=5.6 c=5.6 energy=1", [])


@pytest.mark.parametrize("key", ["periodic", "Boundary", "boundary_conditions", "periodicity"])
def test_periodicity_under_another_name_is_refused(key):
    for value in ("T T F", "p p f", "F"):
        with pytest.raises(ValueError, match=rf"there is no pbc, but '{key}' .* looks like it"):
            parse_comment(f'{CELL} {key}="{value}"', [])
    # What is assumed anyway, and what is something else.
    for line in (f'{CELL} {key}="T T T"', f"{key}=F energy=1", f"{CELL} {key}=grain"):
        assert key in parse_comment(line, [])
    assert parse_comment(f'{CELL} {key}="T T F" pbc="T T F"', [])["pbc"] == [True, True, False]
