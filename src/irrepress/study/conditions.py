"""Conditions of the dynamics by which a large model shows a small one a user's structures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from irrepress.core.errors import UserError
from irrepress.study.examination import Finding

# Temperature in K where none is given.
ROOM_TEMPERATURE = 300.0
# Runs that suffice for one structure; and at most, where there are many structures.
_RUNS, _MOST_RUNS = 12, 24
# Runs at each temperature, so that it has a part in training, validation and test.
_RUNS_EACH = 7
# Frames that are kept of each.
_FRAMES_EACH = 20
# The large model's dynamics are run hotter, too, by this factor: what is rare at the highest
# temperature is frequent there. Rounded to multiples of this many K.
_HOTTER, _ROUNDED = 1.25, 5
_MOST_KELVIN, _MOST_GPA = 10_000, 1000
# Structures with a close pair of each two elements, half of them two atoms alone; of all at least
# and at most.
_CLOSE_EACH, _FEWEST_CLOSE, _MOST_CLOSE = 8, 48, 240
# Above this temperature in K few solids stay solid.
_HOT = 3000


@dataclass(frozen=True)
class Conditions:
    """Temperatures and pressure at which a model is to be used, and whether atoms collide there.

    Attributes:
        temperatures: in K.
        pressure: in GPa, at which the cell may change; None: constant cells.
        by_default: whether the temperature was not asked for.
        close_pairs: whether atoms may come far closer than bonds are.

    Example:
        >>> conditions = Conditions.of([300, 900])
        >>> conditions.sampled, conditions.runs(structures=1), conditions.frames(structures=1)
        ((300, 900, 1125), 21, 420)
    """

    temperatures: Sequence[float]
    pressure: float | None = None
    by_default: bool = False
    close_pairs: bool = False

    @classmethod
    def of(
        cls,
        temperatures: Sequence[float] | None = None,
        pressure: float | None = None,
        close_pairs: bool = False,
    ) -> "Conditions":
        """Return the conditions that are asked for; room temperature where nothing is said.

        Raises:
            UserError: if there cannot be such a temperature or pressure.
        """
        for value in temperatures or ():
            if not 1 <= value <= _MOST_KELVIN:
                raise UserError(
                    f"--temperature {value:g}: give temperatures in K between 1 and "
                    f"{_MOST_KELVIN:,}, such as 300"
                )
            if list(temperatures or ()).count(value) > 1:
                raise UserError(f"--temperature {value:g} is given twice; give it once")
        if pressure is not None and not -100 <= pressure <= _MOST_GPA:
            raise UserError(
                f"--pressure {pressure:g}: give a pressure in GPa between -100 and {_MOST_GPA}; "
                "0.0001 is that of air"
            )
        asked = tuple(temperatures or (ROOM_TEMPERATURE,))
        return cls(asked, pressure, not temperatures, close_pairs)

    @property
    def sampled(self) -> tuple[float, ...]:
        """Temperatures in K of the large model's dynamics: one is hotter than the model's use."""
        highest = max(self.temperatures)
        hotter = min(_ROUNDED * math.ceil(_HOTTER * highest / _ROUNDED), _MOST_KELVIN)
        return (*self.temperatures, hotter) if hotter > highest else tuple(self.temperatures)

    def runs(self, structures: int) -> int:
        """Return the number of runs from so many structures."""
        return max(_RUNS, _RUNS_EACH * len(self.sampled), min(structures, _MOST_RUNS))

    def frames(self, structures: int) -> int:
        """Return the number of frames to keep of all runs."""
        return _FRAMES_EACH * self.runs(structures)

    def close(self, elements: int) -> int:
        """Return the number of structures with a close pair, of so many elements."""
        pairs = elements * (elements + 1) // 2
        return min(max(_FEWEST_CLOSE, _CLOSE_EACH * pairs), _MOST_CLOSE)

    def findings(self) -> list[Finding]:
        """Return what a user should know of them."""
        found = []
        if self.by_default:
            found.append(
                Finding(
                    f"{ROOM_TEMPERATURE:g} K, for no temperature was given",
                    "give all that the model is to be used at, such as --temperature 300 900: it "
                    "learns from dynamics at these",
                )
            )
        if max(self.temperatures) > _HOT:
            found.append(
                Finding(
                    f"{max(self.temperatures):g} K is hot: most solids melt, and the large model "
                    "may fail",
                    "the dynamics say so if they break",
                )
            )
        return found
