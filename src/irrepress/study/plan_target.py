"""What a plan is asked for: a speed-up, the fraction of a cost that stays, or a shape."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from irrepress.catalogue.families import drops_layers
from irrepress.core.errors import UserError, nearest
from irrepress.core.section import LayerChoice, make_section
from irrepress.core.target import Explicit
from irrepress.pruning.config import Allocation, Axes, Criterion, Runtime, Sweep, Unit
from irrepress.pruning.layers import LEAST_LEFT
from irrepress.study.recipes import Recipe

# What units of budgets are called where they are asked for; the others have one name.
_UNITS: dict[str, Unit] = {"speedup": "time"}
_MOST_SPEEDUP = 1000
# The name of a shape in a config that is written.
SHAPE = "shape"


@dataclass(frozen=True)
class Target:
    """What a plan is asked for: a budget or a shape.

    Attributes:
        asked: the name that a budget is asked for by, and its value; None for a shape.
        shape: the shape; None for a budget.
        cutoff: a shorter cutoff in Å; None: the parent's.
        layers: how many message-passing layers to keep, or which; ``auto``: as many as suit the
            budget; None: all.
        runtime: what the time of a speed-up is measured in.

    Example:
        >>> target = Target.of({"speedup": 5})
        >>> target.unit, target.budget, target.sweep().budgets
        ('time', 0.2, [0.2])
        >>> Target.of(irreps="64x0e+32x1e").shape.irreps
        '64x0e+32x1e'
    """

    asked: tuple[str, float] | None = None
    shape: Explicit | None = None
    cutoff: float | None = None
    layers: LayerChoice | None = None
    runtime: Runtime = "native"

    @classmethod
    def of(
        cls,
        fractions: Mapping[str, float | None] | None = None,
        *,
        cutoff: float | None = None,
        layers: Literal["auto"] | int | Sequence[int] | None = None,
        runtime: Runtime = "native",
        said: Literal["options", "arguments"] = "options",
        **shape: Any,
    ) -> "Target":
        """Return the one target that is asked for.

        Args:
            fractions: speedup, and fractions of costs (flops, parameters, blocks) by their units;
                None: not asked for.
            cutoff: a shorter cutoff in Å, beside a budget or as a shape of its own.
            layers: how many message-passing layers to keep, or which; likewise. ``auto``: as many
                as suit a budget.
            runtime: what the time of a speed-up is measured in.
            said: whether messages speak of options of a command or of arguments of `plan`.
            **shape: fields of `Explicit`; None or empty: not asked for.

        Raises:
            UserError: none or several are asked for, or one that there cannot be.
        """
        word = _option if said == "options" else _argument
        fractions = {"speedup": None} if fractions is None else fractions
        asked = {key: value for key, value in fractions.items() if value is not None}
        named = {key: value for key, value in shape.items() if value not in (None, "", [], {})}
        known = f"{', '.join(map(word, fractions))}, or a shape ({', '.join(map(word, shape))})"
        kept: LayerChoice | None = layers if isinstance(layers, int | str | None) else list(layers)
        start = "" if said == "options" else "plan: "
        if len(asked) + bool(named) > 1:
            told = ", ".join(map(word, [*asked, *named]))
            raise UserError(f"{start}{told} name several targets; give one of {known}")
        if runtime not in get_args(Runtime):
            given = word("runtime", runtime)
            raise UserError(f"{start}{given}: {nearest(runtime, get_args(Runtime))}")
        if runtime != "native" and "speedup" not in asked:
            raise UserError(
                f"{start}{word('runtime', runtime)} is what a speed-up is measured in; ask for "
                f"one, such as {word('speedup', 3)}, or leave it out"
            )
        if asked:
            ((key, value),) = asked.items()
            _check_budget(key, value, start + word(key, value))
            return cls((key, value), cutoff=cutoff, layers=kept, runtime=runtime)
        if not named and cutoff is None and kept is None:
            example = f"{word('speedup', 5)} or {word('irreps', '64x0e+32x1e')}"
            raise UserError(f"{start}nothing is asked for; give one of {known}, such as {example}")
        if kept == "auto":
            told = word("layers", "auto")
            raise UserError(f"{start}{told}: layers suit a budget, not a shape; give their number")
        call = "plan" if said == "arguments" else ", ".join(word(*each) for each in named.items())
        explicit = make_section(Explicit, call, {**named, "cutoff": cutoff, "layers": kept})
        return cls(None, explicit, cutoff, kept)

    @property
    def unit(self) -> Unit:
        """What the budget is counted in; that of a shape, which has none, is of no account."""
        if self.asked is None:
            return "flops"
        return _UNITS.get(self.asked[0], self.asked[0])  # type: ignore[arg-type]

    @property
    def budget(self) -> float | None:
        """The fraction that may stay; None for a shape."""
        if self.asked is None:
            return None
        key, value = self.asked
        # Rounded down: a budget of 0.6667 allows a little less than 1.5 times as fast.
        return math.floor(1e4 / value) / 1e4 if key == "speedup" else value

    @property
    def speedup(self) -> float | None:
        """How many times as fast the model is to be; None if that is not what is asked for."""
        return self.asked[1] if self.asked and self.asked[0] == "speedup" else None

    @property
    def is_fast(self) -> bool:
        """Whether so large a speed-up is asked for that layers should go, too.

        >>> Target.of({"speedup": 25}).is_fast, Target.of({"speedup": 5}).is_fast
        (True, False)
        """
        return self.budget is not None and self.budget < LEAST_LEFT

    def with_depth(self, family: str) -> "Target":
        """Return the target with as many layers as suit it, if nothing is said of them.

        Small speed-ups keep all layers, and so do families that cannot drop any.

        >>> Target.of({"speedup": 25}).with_depth("sevennet").layers
        'auto'
        """
        if self.is_fast and self.layers is None and drops_layers(family):
            return replace(self, layers="auto")
        return self

    def sweep(self) -> Sweep:
        """Return the section of a config that asks for the target alone."""
        if self.budget is None:
            assert self.shape is not None  # as targets are made
            return Sweep(criteria=["fisher"], budgets=[], explicit={SHAPE: self.shape})
        return Sweep(
            criteria=["fisher"],
            budgets=[self.budget],
            unit=self.unit,
            runtime=self.runtime,
            axes=["both"],
            cutoffs=[self.cutoff],
            layers=[self.layers],
        )

    def recipe(self, criterion: Criterion, axes: Axes, allocation: Allocation) -> Recipe:
        """Return how a plan towards the target is made."""
        options: dict[str, Any] = {
            "criterion": criterion,
            "axes": axes,
            "cutoff": self.cutoff,
            "layers": self.layers,
        }
        if self.budget is None:
            return make_section(Recipe, "plan", {"explicit": self.shape, **options})
        return make_section(
            Recipe, "plan", {"budget": self.budget, "allocation": allocation, **options}
        )


def _check_budget(key: str, value: float, told: str) -> None:
    if key == "speedup":
        if not 1 < value <= _MOST_SPEEDUP:
            raise UserError(
                f"{told}: it must be more than 1 and at most {_MOST_SPEEDUP}, such as 5"
            )
    elif not 0 < value < 1:
        raise UserError(f"{told}: it is the fraction that stays, between 0 and 1, such as 0.5")


def _option(name: str, value: Any = None) -> str:
    """Return an option of a command as it is typed.

    >>> _option("filter_lmax", 1)
    '--filter-lmax 1'
    """
    option = f"--{name.replace('_', '-')}"
    return option if value is None else f"{option} {_number(value)}"


def _argument(name: str, value: Any = None) -> str:
    """Return an argument of a call as it is written.

    >>> _argument("speedup", 5.0), _argument("irreps", "8x0e")
    ('speedup=5', "irreps='8x0e'")
    """
    if value is None:
        return name
    return f"{name}={value!r}" if isinstance(value, str) else f"{name}={_number(value)}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
