"""The stages of a study's models, and their names."""

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from irrepress.core.section import NumberType

# Stages of a plan, in order; any of them can be quantized, exported and fine-tuned.
MadeBase = Literal["pruned", "compensated", "recovered", "distilled", "refined"]
# Includes the parent, which no plan was applied to.
Base = MadeBase | Literal["original"]
Bits = Literal[4, 8]

_NAME = re.compile(
    rf"(?P<base>original|{'|'.join(get_args(MadeBase))})"
    rf"(-int(?P<bits>4|8)|-(?P<dtype>{'|'.join(get_args(NumberType))}))?"
)


@dataclass(frozen=True)
class Stage:
    """A stage of a model: the last step, and whether it was then quantized or exported.

    Attributes:
        base: the last step that changed the weights; ``original`` for the parent.
        bits: bits of path and radial weights if quantized, otherwise None.
        dtype: dtype of the parameters if exported, otherwise None.

    Example:
        >>> Stage("recovered", bits=8).name
        'recovered-int8'
        >>> Stage.parse("pruned-float32")
        Stage(base='pruned', bits=None, dtype='float32')
    """

    base: Base
    bits: Bits | None = None
    dtype: NumberType | None = None

    @classmethod
    def parse(cls, name: str) -> "Stage":
        """Return the stage with a given name.

        Raises:
            ValueError: if no stage has this name.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"no stage is called {name!r}")
        bits = None if found["bits"] is None else cast(Bits, int(found["bits"]))
        return cls(cast(Base, found["base"]), bits, cast(NumberType | None, found["dtype"]))

    @property
    def name(self) -> str:
        """The name, also of folders: ``recovered``, ``recovered-int8``."""
        if self.bits is not None:
            return f"{self.base}-int{self.bits}"
        return self.base if self.dtype is None else f"{self.base}-{self.dtype}"

    @property
    def source(self) -> "Stage":
        """The stage that was quantized or exported; otherwise the stage itself."""
        return Stage(self.base)

    @property
    def is_converted(self) -> bool:
        """Whether the stage was quantized or exported from another one."""
        return self != self.source

    @property
    def is_trained(self) -> bool:
        """Whether the weights were trained, even if quantized or exported since."""
        return self.base in ("recovered", "distilled", "refined")


ORIGINAL = Stage("original")
PRUNED, COMPENSATED = Stage("pruned"), Stage("compensated")
RECOVERED, DISTILLED, REFINED = Stage("recovered"), Stage("distilled"), Stage("refined")
