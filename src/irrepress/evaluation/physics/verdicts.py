"""Records of a validation: one verdict a line, with its figure.

Nothing here needs PyTorch: the report reads these records in an environment without it.
"""

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Literal

from irrepress.core.records import Record, RecordFile

VALIDATION = "validation.json"


class Result(StrEnum):
    """How a validation ended.

    Example:
        >>> str(Result.INCOMPLETE)
        'incomplete'
    """

    PASSED = "passed"
    """All that was judged is within the tolerances, and what is essential was judged."""
    FAILED = "failed"
    """Something is not within its tolerance."""
    INCOMPLETE = "incomplete"
    """Nothing speaks against the model, but something essential was not judged."""


class Verdict(Record):
    """One quantity of one structure, measured beside the parent.

    Attributes:
        structure: name of the structure.
        check: name of the check that measured it.
        quantity: what was measured.
        value: the figure; None if it has none.
        unit: its unit.
        tolerance: largest value that is allowed; None if there is no such number.
        within: whether the model is within the tolerance; None if it was not judged.
        remark: what belongs to the figure, or why it was not measured.
        essential: whether a model is not proven as long as this was not judged.

    Example:
        >>> str(Verdict(
        ...     structure="Si8", check="eos", quantity="bulk modulus", value=2.1, unit="%",
        ...     tolerance=5.0, within=True, remark="96.2 GPa, the parent 98.3",
        ... ))
        'Si8: bulk modulus 2.1 % (5 % is allowed; 96.2 GPa, the parent 98.3)'
    """

    structure: str
    check: str
    quantity: str
    value: float | None = None
    unit: str = ""
    tolerance: float | None = None
    within: bool | None = None
    remark: str = ""
    essential: bool = False

    @property
    def word(self) -> str:
        """The verdict in words: ``within``, ``NOT WITHIN``, ``not judged`` or ``not done``."""
        if self.within is None:
            return "not done" if self.value is None else "not judged"
        return "within" if self.within else "NOT WITHIN"

    @property
    def figure(self) -> str:
        """The value with its unit; empty if there is none."""
        return "" if self.value is None else f"{self.value:.3g} {self.unit}".strip()

    @property
    def allowed(self) -> str:
        """The tolerance with its unit; empty if there is none."""
        return "" if self.tolerance is None else f"{self.tolerance:.3g} {self.unit}".strip()

    def __str__(self) -> str:
        allowed = f"{self.allowed} is allowed" if self.tolerance is not None else ""
        inside = "; ".join(text for text in (allowed, self.remark) if text)
        told = " ".join(filter(None, (self.quantity, self.figure)))
        return f"{self.structure}: {told}" + (f" ({inside})" if inside else "")


class ValidatedStructure(Record):
    """A structure that models were measured on.

    Attributes:
        name: its name in verdicts.
        source: where it is from.
        formula: its composition.
        atoms: number of its atoms.
        periodic: number of its periodic directions.

    Example:
        >>> ValidatedStructure(
        ...     name="Si8", source="cell.cif", formula="Si8", atoms=8, periodic=3
        ... ).periodic
        3
    """

    name: str
    source: str
    formula: str
    atoms: int
    periodic: int


class Validated(RecordFile):
    """What was measured of a model beside its parent: the file ``validation.json``.

    Attributes:
        schema_version: version of the file.
        model: name or path of the model.
        parent: the same of its parent.
        sha256: of the model's file.
        code: the code that computed energies and forces, such as "sevenn 0.13.0".
        parent_code: the code that the parent ran.
        device: where it ran.
        threads: number of threads on the CPU.
        seed: seed for velocities and thermostats.
        settings: settings of the validation.
        seconds: time that the checks of the model took.
        structures: what was measured on.
        verdicts: one for each quantity.
        cut: what was cut for time, or broke with the parent, a sentence each.
        curves: curves for figures, by structure and name of the figure.

    Example:
        >>> verdict = Verdict(structure="Si8", check="eos", quantity="bulk modulus", within=False)
        >>> validated = Validated(
        ...     model="small.pt", parent="7net-0", sha256="", code="sevenn", device="cpu",
        ...     threads=1, seed=0, settings={}, seconds=1.0, structures=[], verdicts=[verdict],
        ...     cut=[], curves={},
        ... )
        >>> validated.passed, validated.summary()
        (False, 'failed: 0 of 1 quantities within tolerance, 1 NOT')
    """

    schema_version: Literal[1] = 1
    model: str
    parent: str
    sha256: str
    code: str
    parent_code: str = ""
    device: str
    threads: int
    seed: int
    settings: dict[str, Any]
    seconds: float
    structures: list[ValidatedStructure]
    verdicts: list[Verdict]
    cut: list[str]
    curves: dict[str, dict[str, Any]]

    def failures(self) -> list[Verdict]:
        """Return the verdicts that are not within their tolerances."""
        return [verdict for verdict in self.verdicts if verdict.within is False]

    def not_done(self) -> list[Verdict]:
        """Return what was not judged."""
        return [verdict for verdict in self.verdicts if verdict.within is None]

    @property
    def result(self) -> Result:
        """How it ended."""
        if self.failures():
            return Result.FAILED
        judged = len(self.verdicts) - len(self.not_done())
        if not judged or any(verdict.essential for verdict in self.not_done()):
            return Result.INCOMPLETE
        return Result.PASSED

    @property
    def passed(self) -> bool:
        """Whether all that was judged is within the tolerances, and what is essential was judged.

        Essential are errors on new dynamics, the energy in NVE, and stability.
        """
        return self.result is Result.PASSED

    def summary(self) -> str:
        """Return the result in one line."""
        words = Counter(verdict.word for verdict in self.verdicts)
        text = (
            f"{self.result}: {words['within']} of {len(self.verdicts)} quantities within tolerance"
        )
        if words["NOT WITHIN"]:
            text += f", {words['NOT WITHIN']} NOT"
        for word in ("not judged", "not done"):
            if words[word]:
                text += f", {words[word]} {word}"
        missing = [
            f"{verdict.quantity} ({verdict.structure})"
            for verdict in self.not_done()
            if verdict.essential
        ]
        if self.result is Result.INCOMPLETE and missing:
            text += f"; what is essential is missing: {', '.join(missing)}"
        return text

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the cells of `COLUMNS` for each verdict."""
        for each in self.verdicts:
            yield (
                each.structure,
                each.quantity,
                each.figure,
                each.allowed,
                each.word,
                each.remark,
            )

    def mark(self) -> dict[str, Any]:
        """Return what the card of the model says of it."""
        return {
            "result": str(self.result),
            "passed": self.passed,
            "summary": self.summary(),
            "against": self.parent,
            "failed": [str(verdict) for verdict in self.failures()],
            "not_done": [str(verdict) for verdict in self.not_done()],
        }


COLUMNS = ("structure", "quantity", "figure", "allowed", "verdict", "remark")
