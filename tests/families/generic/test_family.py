"""Families as descriptions: what may not be forgotten."""

import pytest

from irrepress.families.generic.family import BuiltFromSettings, DescribedFamily

NAMES = sorted(DescribedFamily.__abstractmethods__ | BuiltFromSettings.__abstractmethods__)


@pytest.mark.parametrize("forgotten", NAMES)
def test_a_family_that_forgets_a_name_cannot_be_made(sevennet, forgotten):
    complete = type(sevennet)
    named = (vars(each).get(forgotten) for each in complete.__mro__)
    inherited = next(each for each in named if getattr(each, "__isabstractmethod__", False))
    with pytest.raises(TypeError, match=f"abstract method '?{forgotten}"):
        type("Incomplete", (complete,), {forgotten: inherited})()
