"""The stages that models of a study go through, and their names."""

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from irrepress.core.section import NumberType

# Stages that a plan makes, in order; any of them can be quantized, exported and fine-tuned.
MadeBase = Literal["pruned", "compensated", "recovered", "distilled"]
# The parent, which no plan has made.
Base = MadeBase | Literal["original"]
Bits = Literal[4, 8]

_NAME = re.compile(
    rf"(?P<base>original|{'|'.join(get_args(MadeBase))})"
    rf"(-int(?P<bits>4|8)|-(?P<dtype>{'|'.join(get_args(NumberType))}))?"
)


@dataclass(frozen=True)
class Stage:
    """A stage of a model: what was done last, and whether it was quantized or exported then.

    >>> Stage("recovered", bits=8).name
    'recovered-int8'
    >>> Stage.parse("pruned-float32")
    Stage(base='pruned', bits=None, dtype='float32')

    Attributes:
        base: what was done to its weights last; ``original`` for the parent.
        bits: bits of its path and radial weights, if it is quantized.
        dtype: type of its numbers, if it is exported in another one than the study's.
    """

    base: Base
    bits: Bits | None = None
    dtype: NumberType | None = None

    @classmethod
    def parse(cls, name: str) -> "Stage":
        """Return the stage of a name.

        Raises:
            ValueError: no stage has this name.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"no stage is called {name!r}")
        bits = None if found["bits"] is None else cast(Bits, int(found["bits"]))
        return cls(cast(Base, found["base"]), bits, cast(NumberType | None, found["dtype"]))

    @property
    def name(self) -> str:
        """The name, which folders have as well: ``recovered``, ``recovered-int8``."""
        if self.bits is not None:
            return f"{self.base}-int{self.bits}"
        return self.base if self.dtype is None else f"{self.base}-{self.dtype}"

    @property
    def source(self) -> "Stage":
        """The stage that was quantized or exported; others are their own."""
        return Stage(self.base)

    @property
    def is_converted(self) -> bool:
        """Whether the weights of another stage were quantized or exported."""
        return self != self.source

    @property
    def is_trained(self) -> bool:
        """Whether a training made its weights, be they quantized or exported since."""
        return self.base in ("recovered", "distilled")


ORIGINAL = Stage("original")
PRUNED, COMPENSATED = Stage("pruned"), Stage("compensated")
RECOVERED, DISTILLED = Stage("recovered"), Stage("distilled")
