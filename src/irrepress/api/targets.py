"""What a plan is asked for: a speed-up, a fraction of a cost, or a shape."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from irrepress.core.errors import UserError, nearest
from irrepress.core.section import make_section
from irrepress.core.target import Explicit
from irrepress.evaluation.config import Evaluation
from irrepress.pruning.budget import OutOfReach
from irrepress.pruning.config import Scoring, Sweep, Unit
from irrepress.study.recipes import Recipe, plan_name

# Fields of sections of the config that `Potential.plan` takes, by section.
_SETTINGS: dict[type[Scoring] | type[Sweep] | type[Evaluation], tuple[str, ...]] = {
    Scoring: ("structures", "batch_size", "probes", "weights"),
    Sweep: ("normalization", "multiple", "floor", "step", "timed_shapes"),
    Evaluation: ("timing_atoms", "timing_repeats"),
}


@dataclass(frozen=True)
class Target:
    """What a plan is asked for.

    Attributes:
        recipe: how it is made.
        unit: what its budget is counted in.
        asked: the argument that names it, and its value; None for a shape.
        name: what the plan is called.

    Example:
        >>> target = Target.of({"speedup": 5}, {}, criterion="fisher", axes="both")
        >>> target.unit, target.recipe.budget, target.name
        ('time', 0.2, 'fisher-0.20')
    """

    recipe: Recipe
    unit: Unit
    asked: tuple[str, float] | None
    name: str

    @classmethod
    def of(
        cls,
        fractions: Mapping[str, float | None],
        shape: Mapping[str, Any],
        *,
        cutoff: float | None = None,
        allocation: str = "greedy",
        **options: Any,
    ) -> "Target":
        """Return the one target that arguments name.

        Args:
            fractions: speedup, flops, parameters and blocks; None: not asked for.
            shape: irreps, filter_lmax and widths; None or empty: not asked for.
            cutoff: a shorter cutoff in Å.
            allocation: how a budget is spread.
            **options: criterion and axes.

        Raises:
            UserError: none or several are named, or one that there cannot be.
        """
        asked = {key: value for key, value in fractions.items() if value is not None}
        named = {key: value for key, value in shape.items() if value}
        if len(asked) + bool(named) > 1:
            raise UserError(
                f"plan: {', '.join([*asked, *named])} name several targets; give one of "
                f"{', '.join(fractions)}, or a shape ({', '.join(shape)})"
            )
        if asked:
            (key, value), *_ = asked.items()
            recipe = make_section(
                Recipe,
                "plan",
                {"budget": _budget(key, value), "allocation": allocation, "cutoff": cutoff}
                | options,
            )
            unit: Unit = "time" if key == "speedup" else key  # type: ignore[assignment]
            return cls(recipe, unit, (key, value), plan_name(recipe, f"{recipe.budget:.2f}"))
        if not named and cutoff is None:
            raise UserError(
                f"plan: nothing is asked for; give one of {', '.join(fractions)}, such as "
                f"speedup=5, or a shape ({', '.join(shape)}, cutoff), such as "
                "irreps='64x0e+32x1e'"
            )
        explicit = make_section(Explicit, "plan", {**named, "cutoff": cutoff})
        recipe = make_section(
            Recipe, "plan", {"explicit": explicit, "cutoff": explicit.cutoff} | options
        )
        shown = explicit.irreps if isinstance(explicit.irreps, str) else "explicit"
        return cls(recipe, "flops", None, plan_name(recipe, shown))

    def out_of_reach(self, error: OutOfReach, sweep: Sweep) -> UserError:
        """Return the error for a budget that cannot be met, in the words of the call."""
        if self.asked is None:
            return error
        key, value = self.asked
        recipe = self.recipe
        if key == "speedup":
            mends = [f"ask for speedup={_rounded(1 / error.least)} or less"]
        else:
            mends = [f"ask for {key}={_rounded(error.least, up=True)} or more"]
        if recipe.axes == "channels" or recipe.allocation == "uniform":
            mends.append("let orders go, too (axes='both', allocation='greedy')")
        mends.append(f"lower multiple ({sweep.multiple}) or floor ({sweep.floor})")
        if recipe.cutoff is None and key in ("speedup", "flops"):
            mends.append("shorten the cutoff (cutoff=...)")
        if key == "speedup":
            mends.append("time more atoms (timing_atoms=...)")
        return UserError(f"plan: {key}={value:g} cannot be reached; {', or '.join(mends)}")


def settings_of(arguments: Mapping[str, Any]) -> tuple[Scoring, Sweep, Evaluation]:
    """Return the sections of a config that further arguments of `Potential.plan` belong to.

    Raises:
        UserError: an unknown argument, or a value that it cannot have.
    """
    known = [name for names in _SETTINGS.values() for name in names]
    for name in arguments:
        if name not in known:
            raise UserError(f"plan: no argument {name!r}; {nearest(name, known)}")

    def own(names: Sequence[str]) -> dict[str, Any]:
        return {name: arguments[name] for name in names if name in arguments}

    return (
        make_section(Scoring, "plan", {"dataset": "frames", **own(_SETTINGS[Scoring])}),
        make_section(Sweep, "plan", own(_SETTINGS[Sweep])),
        make_section(Evaluation, "plan", {"dataset": "frames", **own(_SETTINGS[Evaluation])}),
    )


def _rounded(value: float, *, up: bool = False) -> str:
    """Return a number with three digits, rounded towards what can be reached.

    >>> _rounded(12.3456), _rounded(0.08123, up=True)
    ('12.3', '0.0813')
    """
    scale = 10 ** (2 - math.floor(math.log10(value)))
    return f"{(math.ceil if up else math.floor)(value * scale) / scale:g}"


def _budget(key: str, value: float) -> float:
    """Return the fraction that may stay."""
    if key == "speedup":
        if not value > 1:
            raise UserError(f"plan: speedup={value:g}: it must be more than 1, such as 5")
        return 1 / value
    if not 0 < value < 1:
        raise UserError(
            f"plan: {key}={value:g}: it is the fraction that stays, between 0 and 1, such as 0.5"
        )
    return value
