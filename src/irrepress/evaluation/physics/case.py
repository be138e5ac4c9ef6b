"""A structure that is measured with a model, and the clock that it is measured by."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from irrepress.evaluation.physics.config import ValidationSettings

# What a check has measured: plain data, as it is written to files.
Values = dict[str, Any]


class NotDone(Exception):
    """A check could not be done; its text says why.

    Example:
        >>> raise NotDone("the structure was not relaxed")
        Traceback (most recent call last):
        irrepress.evaluation.physics.case.NotDone: the structure was not relaxed
    """


class OutOfTime(NotDone):
    """A check took longer than its share of the time limit.

    Example:
        >>> Clock(-1).check()  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        irrepress.evaluation.physics.case.OutOfTime: its share of the time limit, -1 s, ...
    """


class NotFinite(Exception):
    """A model predicted what is no number.

    Example:
        >>> raise NotFinite("the predicted energy is not finite")
        Traceback (most recent call last):
        irrepress.evaluation.physics.case.NotFinite: the predicted energy is not finite
    """


class Clock:
    """A time limit.

    Example:
        >>> clock = Clock(60)
        >>> clock.spent < 1, clock.left > 59
        (True, True)
    """

    def __init__(self, seconds: float):
        """Start a clock of so many seconds."""
        self.seconds = seconds
        self._begin = time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._begin

    @property
    def left(self) -> float:
        """Seconds that are left; negative once it has run out."""
        return self.seconds - self.spent

    def check(self) -> None:
        """Raise `OutOfTime` once it has run out."""
        if self.left < 0:
            raise OutOfTime(f"its share of the time limit, {self.seconds:.0f} s, did not suffice")


class TimedCalculator(Calculator):
    """A calculator that raises once a clock has run out, or at values that are not finite.

    So any library can be given a time limit.

    Attributes:
        clock: the clock; replaced for each check.
        calls: how often it computed.

    Example:
        >>> from ase.build import bulk
        >>> from ase.calculators.emt import EMT
        >>> atoms = bulk("Cu")
        >>> atoms.calc = TimedCalculator(EMT(), Clock(60))
        >>> energy = atoms.get_potential_energy()
        >>> atoms.calc.calls
        1
    """

    def __init__(self, calculator: Calculator, clock: Clock):
        """Wrap a calculator."""
        super().__init__()
        self.implemented_properties = list(calculator.implemented_properties)
        self.clock = clock
        self.calls = 0
        self._inner = calculator

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute as the wrapped calculator does.

        Raises:
            OutOfTime: the clock has run out.
            NotFinite: a result is no number.
        """
        self.clock.check()
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        self._inner.calculate(self.atoms, list(properties), list(all_changes))
        self.results = dict(self._inner.results)
        for name in ("energy", "forces", "stress"):
            value = self.results.get(name)
            if value is not None and not np.isfinite(value).all():
                verb = "are" if name == "forces" else "is"
                raise NotFinite(f"the predicted {name} {verb} not finite")


@dataclass(frozen=True)
class Case:
    """A structure that one check measures with one model.

    Attributes:
        atoms: the structure as it was given, without a calculator.
        calculator: the model, as its users run it.
        cutoff: cutoff radius of the parent in Å.
        settings: settings of the validation.
        seed: seed for velocities and thermostats.
        own: what earlier checks have measured with this model, by check.
        parent: what was measured with the parent, by check; None while the parent is measured.
        clock: time limit of the check.

    Example:
        >>> from ase.build import bulk
        >>> from ase.calculators.emt import EMT
        >>> clock = Clock(60)
        >>> calculator = TimedCalculator(EMT(), clock)
        >>> case = Case(bulk("Cu"), calculator, 5.0, ValidationSettings(), 0, {}, None, clock)
        >>> bool(case.copy().get_potential_energy() < 0)
        True
    """

    atoms: Atoms
    calculator: TimedCalculator
    cutoff: float
    settings: ValidationSettings
    seed: int
    own: Mapping[str, Values]
    parent: Mapping[str, Values] | None
    clock: Clock

    def copy(self, atoms: Atoms | None = None) -> Atoms:
        """Return a copy of atoms, by default of the structure, with the calculator."""
        copied = (self.atoms if atoms is None else atoms).copy()
        copied.calc = self.calculator
        return copied

    def relaxed(self) -> Atoms:
        """Return the structure as the model relaxes it, with the calculator.

        Raises:
            NotDone: it was not relaxed.
        """
        if "relaxed" not in self.own:
            raise NotDone("the structure was not relaxed")
        found = self.own["relaxed"]
        atoms = self.copy()
        atoms.set_cell(found["cell"])
        atoms.set_positions(found["positions"])
        return atoms


@dataclass(frozen=True)
class Found:
    """A quantity that was compared with the parent; see `irrepress.evaluation.physics.verdicts`.

    Attributes:
        essential: whether a model is not proven without it; None: as its check.
        alone: whether it says something of a model whatever its parent does.

    Example:
        >>> Found("bulk modulus", 2.1, "%", 5.0).within
        True
    """

    quantity: str
    value: float | None
    unit: str = ""
    tolerance: float | None = None
    remark: str = ""
    judged: bool | None = None
    essential: bool | None = None
    alone: bool = False

    @property
    def within(self) -> bool | None:
        """Whether the value is within the tolerance, unless it was judged otherwise."""
        if self.judged is not None or self.value is None or self.tolerance is None:
            return self.judged
        return bool(abs(self.value) <= self.tolerance)


def has_stress(atoms: Atoms) -> bool:
    """Return whether a structure has a volume, and with it a stress."""
    return bool(atoms.pbc.all())
