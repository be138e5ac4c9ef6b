"""What a deployment is and how it was checked: ``deployment.json``. Nothing here needs torch."""

from typing import Literal

from pydantic import Field

from irrepress.core.records import Record, RecordFile

DEPLOYMENT, TIMES = "deployment.json", "times.csv"
UNITS = {"energy": "eV/atom", "forces": "eV/Å", "stress": "eV/Å^3"}


class Time(Record):
    """How long one call takes: energy, forces and stress, or a step of dynamics in LAMMPS.

    Attributes:
        atoms: number of atoms.
        model: ``deployed``, or ``parent`` in the same runtime.
        seconds: median of the calls' times.
        spread: interquartile range divided by the median.
        calls: number of calls.
        memory_mb: largest resident memory of the process so far, in MB.

    Example:
        >>> Time(atoms=8, model="deployed", seconds=0.01, spread=0.0, calls=3, memory_mb=1.0).atoms
        8
    """

    atoms: int
    model: Literal["deployed", "parent"]
    seconds: float
    spread: float
    calls: int
    memory_mb: float


class Deployment(RecordFile):
    """A deployment: what it holds, how it was checked, and how fast it is.

    Attributes:
        schema_version: version of the file.
        target: name of the target.
        runtime: the runtime in words.
        family: family of the model.
        model: name of the model's file.
        source: what the model is called, and the SHA-256 of its native file.
        sha256: SHA-256 of the native file.
        modal: level of theory of a multi-modal model.
        elements: symbols of the elements that it knows.
        cutoff: its cutoff in Å.
        tested: packages of the runtime with the versions that it was tested with.
        units: units of tolerances and differences.
        tolerance: largest difference from the golden values that the check allows.
        golden: formulas of the golden structures.
        checked: how it was checked where it was made, in words.
        differences: largest differences found then.
        device: where it was timed.
        threads: threads then.
        machine: the processor.
        times: times against the number of atoms.
        stopped: why no larger structures were timed; None if all were.
        notes: what else is to be known.

    Example:
        >>> Deployment(
        ...     target="native", runtime="sevenn", family="sevennet", model="model.pt",
        ...     source="m", sha256="", elements=["Si"], cutoff=5.0, tested={}, tolerance={},
        ...     golden=[], checked="no",
        ... ).speedups()
        {}
    """

    schema_version: Literal[1] = 1
    target: str
    runtime: str
    family: str
    model: str
    source: str
    sha256: str
    modal: str | None = None
    elements: list[str]
    cutoff: float
    tested: dict[str, str]
    units: dict[str, str] = Field(default_factory=lambda: dict(UNITS))
    tolerance: dict[str, float]
    golden: list[str]
    checked: str
    differences: dict[str, float] = Field(default_factory=dict)
    device: str = "cpu"
    threads: int | None = None
    machine: str = ""
    times: list[Time] = Field(default_factory=list)
    stopped: str | None = None
    notes: list[str] = Field(default_factory=list)

    def time(self, atoms: int, model: str) -> Time | None:
        """Return the time of a model at a number of atoms; None if it was not measured."""
        return next((t for t in self.times if (t.atoms, t.model) == (atoms, model)), None)

    def sizes(self) -> list[int]:
        """Return the numbers of atoms that were timed."""
        return sorted({time.atoms for time in self.times})

    def speedups(self) -> dict[int, float]:
        """Return number of atoms -> time of the parent relative to that of the deployed model."""
        found = {}
        for atoms in self.sizes():
            own, parent = self.time(atoms, "deployed"), self.time(atoms, "parent")
            if own is not None and parent is not None:
                found[atoms] = parent.seconds / own.seconds
        return found

    def rows(self) -> list[dict[str, object]]:
        """Return the times as rows of ``times.csv``."""
        code = ", ".join(f"{name} {number}" for name, number in self.tested.items())
        shared = {
            "runtime": self.runtime,
            "versions": code,
            "device": self.device,
            "threads": self.threads,
            "machine": self.machine,
        }
        return [{**time.model_dump(), **shared} for time in self.times]
