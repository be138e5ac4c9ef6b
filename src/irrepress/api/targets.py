"""What `Potential.plan` takes beside its target, and what it says of a target out of reach."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from irrepress.core.errors import UserError, nearest
from irrepress.core.section import make_section
from irrepress.evaluation.config import Evaluation
from irrepress.pruning.budget import OutOfReach
from irrepress.pruning.config import Scoring, Sweep
from irrepress.study.plan_target import Target
from irrepress.study.recipes import Recipe, plan_name

# Fields of sections of the config that `Potential.plan` takes, by section.
_SETTINGS: dict[type[Scoring] | type[Sweep] | type[Evaluation], tuple[str, ...]] = {
    Scoring: ("structures", "batch_size", "probes", "weights"),
    Sweep: ("normalization", "multiple", "floor", "step", "timed_shapes", "deployable"),
    Evaluation: ("timing_atoms", "timing_repeats"),
}


def out_of_reach(target: Target, recipe: Recipe, error: OutOfReach, sweep: Sweep) -> UserError:
    """Return the error for a budget that cannot be met, in the words of the call.

    Args:
        target: what was asked for.
        recipe: how the plan was made.
        error: what the plan ended in.
        sweep: its settings.
    """
    if target.asked is None:
        return error
    key, value = target.asked
    if key == "speedup":
        mends = [f"ask for speedup={_rounded(1 / error.least)} or less"]
    else:
        mends = [f"ask for {key}={_rounded(error.least, up=True)} or more"]
    if recipe.axes == "channels" or recipe.allocation == "uniform":
        mends.append("let orders go, too (axes='both', allocation='greedy')")
    mends.append(f"lower multiple ({sweep.multiple}) or floor ({sweep.floor})")
    if recipe.cutoff is None and key in ("speedup", "flops"):
        mends.append("shorten the cutoff (cutoff=...)")
    if recipe.layers is None and not recipe.in_rounds:
        mends.append("drop layers (layers=...)")
    if key == "speedup":
        mends.append("time more atoms (timing_atoms=...)")
    return UserError(f"plan: {key}={value:g} cannot be reached; {', or '.join(mends)}")


def name_of(target: Target, recipe: Recipe) -> str:
    """Return what a plan towards a target is called.

    >>> target = Target.of({"speedup": 5})
    >>> name_of(target, target.recipe("fisher", "both", "greedy"))
    'fisher-0.20'
    """
    if target.shape is None:
        return plan_name(recipe, f"{recipe.budget:.2f}")
    irreps = target.shape.irreps
    return plan_name(recipe, irreps if isinstance(irreps, str) else "explicit")


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
