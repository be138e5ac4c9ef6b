"""No value of a config passes that a stage would stumble over."""

import copy
import json
import math
from typing import get_args

import pytest
from minimal_config import MINIMAL
from pydantic import BaseModel, ValidationError

from irrepress.core.errors import UserError
from irrepress.core.section import Section
from irrepress.study.config import Config
from irrepress.study.reading import parse_config, schema
from irrepress.training.config import Distillation, Training


def sections(kind=Config, seen=None):
    """Yield every section that a config is made of."""
    seen = set() if seen is None else seen
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if kind not in seen:
            seen.add(kind)
            yield kind
            for field in kind.model_fields.values():
                yield from sections(field.annotation, seen)
    for argument in get_args(kind):
        yield from sections(argument, seen)


def numbers():
    """Every field of a number: section, name, and the type with its bounds."""
    for section in sections():
        for name, field in section.model_fields.items():
            plain = {int, float} & {field.annotation, *get_args(field.annotation)}
            if plain:
                yield pytest.param(section, name, id=f"{section.__name__}.{name}")


def refuses(section, name, value):
    """Whether a value is refused, whatever else a section needs."""
    try:
        section.model_validate({name: value})
    except ValidationError as error:
        return any(mistake["loc"][:1] == (name,) for mistake in error.errors())
    return False


@pytest.mark.parametrize(("section", "name"), numbers())
def test_every_number_is_bounded_and_finite_and_no_truth_value(section, name):
    for value in (math.nan, math.inf, -math.inf, 1e300, 10**30, -1, "nan", "inf", True, False):
        assert refuses(section, name, value), value


def test_there_are_numbers_to_bound():
    assert {Config, Training, Distillation} < set(sections())
    assert all(issubclass(section, Section) for section in sections())
    assert len(list(numbers())) > 40


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("seed", -1, "seed: Input should be greater than or equal to 0"),
        ("seed", 2**32, "seed: Input should be less than 4294967296"),
        ("recovery", {"learning_rate": 1e300}, "recovery.learning_rate: .* less than"),
        ("recovery", {"learning_rate": 1e-300}, "recovery.learning_rate: .* greater than"),
        ("recovery", {"checkpoint_minutes": math.inf}, "checkpoint_minutes: .* finite"),
        ("recovery", {"steps": 1e30}, "recovery.steps: "),
        ("recovery", {"batch_size": 10**12}, "recovery.batch_size: .* less than"),
        ("recovery", {"relative_rates": {"radial": math.nan}}, "relative_rates.radial: .* finite"),
        ("recovery", {"learning_rate": 0.1, "weight_decay": 50}, "removes all weights in one"),
        (
            "recovery",
            {"weights": {"energy": 0, "forces": 0, "stress": 0}},
            "recovery.weights: .* all have the weight 0",
        ),
        ("downloads", {"timeout": -1}, "downloads.timeout: .* greater than 0"),
        ("downloads", {"directory": ""}, "downloads.directory: it is empty"),
        ("device", "cuda:99999999999", "device: "),
        ("sweep", {"explicit": {"a": {"irreps": "64x0"}}}, "explicit.a.irreps: '64x0' .* 64x0e"),
        ("sweep", {"explicit": {"a": {"irreps": []}}}, "explicit.a.irreps: the list is empty"),
        ("sweep", {"explicit": {"a": {"irreps": ["small"]}}}, "'small' in 'small' is not like"),
        ("sweep", {"explicit": {"a": {"irreps": {}}}}, "explicit.a.irreps: "),
    ],
)
def test_a_value_that_would_fail_later_is_one_line(section, changes, message):
    content = copy.deepcopy(MINIMAL) | {section: changes}
    if section == "recovery":
        content[section] = {"dataset": "own"} | changes
    with pytest.raises(UserError, match=message) as caught:
        parse_config(content)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cutoff": "5e0"}, "untrained: cutoff: YAML reads 5e0 as a string; write 5.0"),
        ({"cutoff": math.inf}, "untrained: cutoff: it should be a finite number"),
        ({"hidden": [1.0, math.nan]}, "untrained: hidden: it should be a finite number"),
    ],
)
def test_settings_of_untrained_models_are_numbers(settings, message):
    content = copy.deepcopy(MINIMAL)
    training = {"dataset": "own"}
    content["models"] = {"a": {"family": "escn", "untrained": settings, "training": training}}
    with pytest.raises(UserError, match=message):
        parse_config(content)


def test_seeds_reach_as_far_as_numpy_and_torch_take_them():
    assert parse_config(MINIMAL | {"seed": 2**32 - 1}).seed == 2**32 - 1


def test_editors_know_the_bounds():
    count = schema()["properties"]["seed"]
    assert (count["minimum"], count["exclusiveMaximum"]) == (0, 2**32)
    assert '"gt"' not in json.dumps(schema()) and '"le"' not in json.dumps(schema())
