"""Base class for sections of the config, and types of their values."""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from irrepress.core.errors import UserError, nearest
from irrepress.core.files import expanded


def _expanded(path: str) -> str:
    try:
        return expanded(path)
    except UserError as error:
        raise ValueError(str(error)) from None


DEVICE_PATTERN = r"^(auto|cpu|cuda(:\d{1,3})?)$"


def check_device_name(name: str) -> None:
    """Check that a name is one of a device.

    Raises:
        UserError: if it is not.
    """
    if not re.search(DEVICE_PATTERN, name):
        raise UserError(f"device {name!r}: give auto, cpu, cuda or cuda:1")


def _device(name: str) -> str:
    try:
        check_device_name(name)
    except UserError as error:
        raise ValueError(str(error).partition(": ")[2]) from None
    return name


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is a boolean, not a number")
    return value


# Rejects true and false, which Python would read as 1 and 0. (It must come last, or the schema
# would lack bounds.)
_IS_NUMBER = BeforeValidator(_no_truth_value)
Integer = Annotated[int, _IS_NUMBER]
Number = Annotated[float, _IS_NUMBER]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=80)]
Text = Annotated[str, Field(min_length=1)]
# A path in which ~ and environment variables are replaced.
PathText = Annotated[Text, AfterValidator(_expanded)]
Fraction = Annotated[float, Field(gt=0, lt=1), _IS_NUMBER]
NumberType = Literal["float32", "float64"]
Device = Annotated[
    str, AfterValidator(_device), Field(json_schema_extra={"pattern": DEVICE_PATTERN})
]

# A seed that NumPy, PyTorch and Lightning all accept.
Seed = Annotated[int, Field(ge=0, lt=2**32), _IS_NUMBER]
# A count; the limit is more than any study needs and prevents overflows.
Count = Annotated[int, Field(gt=0, le=10**9), _IS_NUMBER]
# A number of channels to keep.
Channels = Annotated[int, Field(ge=0, le=10**6), _IS_NUMBER]
# Weight of one quantity relative to others; with larger ones, float32 would lose the others.
Weight = Annotated[float, Field(ge=0, le=1e6), _IS_NUMBER]
# Cutoff radius in Å.
Radius = Annotated[float, Field(gt=0, le=100), _IS_NUMBER]
# Message-passing layers: how many, or their indices.
LayerCount = Annotated[int, Field(ge=1, le=1000), _IS_NUMBER]
LayerIndex = Annotated[int, Field(ge=0, le=1000), _IS_NUMBER]
Layers = LayerCount | Annotated[list[LayerIndex], Field(min_length=1)]
# The same, or as many as suit a budget.
LayerChoice = Literal["auto"] | Layers
# Conditions of molecular dynamics, in K, GPa and fs.
Temperature = Annotated[float, Field(gt=0, le=10_000), _IS_NUMBER]
Pressure = Annotated[float, Field(ge=-100, le=1000), _IS_NUMBER]
TimeStep = Annotated[float, Field(gt=0, le=20), _IS_NUMBER]
# Sizes of structures in molecular dynamics, and what each run of them may differ by.
SupercellSize = Annotated[
    int,
    Field(gt=0, le=100_000, description="Periodic structures are repeated up to this size."),
    _IS_NUMBER,
]
RunStrain = Annotated[
    float,
    Field(
        ge=0,
        le=0.3,
        description="Maximum component of a run's random strain along periodic directions.",
    ),
    _IS_NUMBER,
]
ChosenTimeStep = Annotated[
    TimeStep | None, Field(description="In fs; null: 1 fs with hydrogen, otherwise 2 fs.")
]
# A force in eV/Å.
Force = Annotated[float, Field(gt=0, le=1e6), _IS_NUMBER]
# A time limit.
Minutes = Annotated[float, Field(gt=0, le=1e6), _IS_NUMBER]
# Highest order of irreps.
Order = Annotated[int, Field(ge=0, le=100), _IS_NUMBER]
# A learning rate relative to another.
RelativeRate = Annotated[float, Field(ge=0, le=1000), _IS_NUMBER]


def _each_once(items: list[Any]) -> list[Any]:
    for place, item in enumerate(items):
        if item in items[:place]:
            raise ValueError(f"{item!r} occurs twice; remove one")
    return items


# For lists that must not contain duplicates.
EACH_ONCE = AfterValidator(_each_once)


class Section(BaseModel):
    """Base class for sections of the config: unknown keys are rejected, and instances are frozen.

    Numbers must be finite.

    Example:
        >>> class Batches(Section):
        ...     batch_size: Count = 8
        >>> Batches(batch_size=4).batch_size
        4
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


AnySection = TypeVar("AnySection", bound=Section)


def make_section(kind: type[AnySection], call: str, arguments: dict[str, Any]) -> AnySection:
    """Return a section of a config that is made of the arguments of a call.

    Args:
        kind: the section.
        call: what messages begin with, such as ``finetune``.
        arguments: values by the names of the section's keys.

    Raises:
        UserError: if a name is unknown or a value invalid; the message names the first.
    """
    try:
        return kind.model_validate(arguments)
    except ValidationError as error:
        (mistake, *_) = error.errors()
    where = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        hint = nearest(where, kind.model_fields)
        raise UserError(f"{call}: no argument {where!r}; {hint}")
    message = mistake["msg"].removeprefix("Value error, ")
    value = mistake.get("input")
    got = "" if isinstance(value, dict) or not where else f" (it is {value!r})"
    raise UserError(f"{call}: {where}{': ' if where else ''}{message}{got}")
