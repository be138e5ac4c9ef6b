import pytest

from irrepress.evaluation.checks import CheckedStructure, Checks, Deviations

GOOD = {
    "rotation": 1e-13,
    "inversion": None,
    "translation": 1e-13,
    "permutation": 0.0,
    "finite_difference": 1e-7,
}
STRUCTURE = CheckedStructure(
    source="structure 0", changes="", formula="Si2", atoms=2, edges=30, largest_force=1.0
)


def checks(reflections=False, own=None, faster=None) -> Checks:
    return Checks(
        structure=STRUCTURE,
        reflections=reflections,
        own=Deviations(code="theirs", **GOOD | (own or {})),
        faster=Deviations(code="ours", **GOOD | (faster or {})),
    )


def test_an_intact_model_passes():
    assert checks().failures() == []


@pytest.mark.parametrize("name", ["rotation", "translation", "permutation", "finite_difference"])
@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 0.1])
def test_a_check_without_a_value_has_not_passed(name, value):
    (failure,) = checks(own={name: value}).failures()
    assert failure.startswith(f"{name} (theirs)")
    (failure,) = checks(faster={name: value}).failures()
    assert failure.startswith(f"{name} (ours)")


def test_inversion_counts_where_it_is_claimed():
    assert len(checks(reflections=True).failures()) == 2
    good = {"inversion": 1e-12}
    assert checks(reflections=True, own=good, faster=good).failures() == []
