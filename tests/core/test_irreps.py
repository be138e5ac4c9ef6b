import pytest

from irrepress.core.errors import UserError
from irrepress.core.irreps import dimension, order, parse_irreps, write_irreps


def test_irreps_are_read_with_their_channels():
    assert parse_irreps("64x0e + 32x1o+4x10e") == {"0e": 64, "1o": 32, "10e": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("16*0e", "is not like 64x0e"),
        ("16x0e+4x0e", "0e occurs twice"),
        ("", "is not like"),
        ("0e", "is not like"),
        ("64x0", "is not like"),
        ("6.5x0e", "is not like"),
        ("64x0e+", "'' in '64x0e[+]' is not like"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_irreps(text)


def test_texts_survive_reading_and_writing():
    assert write_irreps(parse_irreps("64x0e+32x1o")) == "64x0e+32x1o"
    assert write_irreps({"0e": 8, "10o": 0}) == "8x0e"


@pytest.mark.parametrize(
    ("irrep", "l", "components"), [("0e", 0, 1), ("1o", 1, 3), ("10e", 10, 21)]
)
def test_an_irrep_has_an_order_and_a_dimension(irrep, l, components):  # noqa: E741
    assert (order(irrep), dimension(irrep)) == (l, components)
