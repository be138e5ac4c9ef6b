"""Stages have the names that their folders have."""

import pytest

from irrepress.study.stages import COMPENSATED, ORIGINAL, PRUNED, RECOVERED, REFINED, Stage

NAMES = {
    "original": ORIGINAL,
    "pruned": PRUNED,
    "compensated": COMPENSATED,
    "recovered-int8": Stage("recovered", bits=8),
    "pruned-int4": Stage("pruned", bits=4),
    "refined": REFINED,
    "refined-int8": Stage("refined", bits=8),
    "distilled-float64": Stage("distilled", dtype="float64"),
}


@pytest.mark.parametrize(("name", "stage"), NAMES.items())
def test_a_name_stands_for_one_stage(name, stage):
    assert Stage.parse(name) == stage
    assert stage.name == name


@pytest.mark.parametrize("name", ["", "prune", "recovered-int2", "recovered-float16", "pruned-"])
def test_what_is_no_name_of_a_stage_is_refused(name):
    with pytest.raises(ValueError, match="no stage"):
        Stage.parse(name)


def test_converted_stages_have_the_weights_of_their_source():
    stage = Stage("recovered", bits=8)
    assert stage.source == RECOVERED
    assert stage.is_converted and not RECOVERED.is_converted
    assert stage.is_trained and not Stage("pruned", dtype="float32").is_trained
