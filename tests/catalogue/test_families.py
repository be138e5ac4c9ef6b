import pytest

from irrepress.catalogue.families import family_of_keyword
from irrepress.core.errors import UserError


@pytest.mark.parametrize(
    ("keyword", "family"),
    [
        ("7net-0", "sevennet"),
        ("SevenNet-l3i5", "sevennet"),
        ("MACE-MP-0-small", "mace"),
        ("escn-md-small", "escn"),
    ],
)
def test_keywords_name_their_family_in_any_spelling(keyword, family):
    assert family_of_keyword(keyword) == family


def test_an_unknown_keyword_is_told_the_nearest():
    with pytest.raises(UserError, match=r"7net-l3i6: neither a file .*did you mean '7net-l3i5'"):
        family_of_keyword("7net-l3i6")
