"""Atoms by the names that files give them."""

import pytest

from irrepress.data.formats.species import CAPITALS, ISOTOPES, NAMES, atomic_numbers


@pytest.mark.parametrize(
    ("names", "expected", "notes"),
    [
        (["H", "Si", "Og"], [1, 14, 118], []),
        (["h", "si", "na"], [1, 14, 11], []),
        (["SI", "CO", "H"], [14, 27, 1], [CAPITALS]),
        (["D", "T", "O", "d"], [1, 1, 8, 1], [ISOTOPES]),
        (["Si1", "C_2", "Fe3+", "O-ads", "Na*", "c_a"], [14, 6, 26, 8, 11, 6], [NAMES]),
        (["D1", "O1"], [1, 8], [ISOTOPES, NAMES]),
        (["X"], [0], []),  # which checks of structures refuse
    ],
)
def test_names(names, expected, notes):
    numbers, told = atomic_numbers(names)
    assert numbers.tolist() == expected and told == notes


@pytest.mark.parametrize("name", ["Qq", "water", "Hx", "", "1H", "Si-"[2:]])
def test_what_is_no_element_is_refused(name):
    with pytest.raises(ValueError, match="is not an element; use the symbols"):
        atomic_numbers(["H", name])


def test_numbers_may_be_types_and_are_refused_with_the_mend():
    with pytest.raises(ValueError, match=r"named by numbers \(14\), .* Properties=Z:I:1:pos:R:3"):
        atomic_numbers(["14"])
