"""Records of what was measured with a model, before anything is compared."""

from typing import Any, Literal

import numpy as np
from ase import Atoms

from irrepress.core.records import Record, RecordFile
from irrepress.evaluation.physics.verdicts import ValidatedStructure


class Outcome(Record):
    """What one check has measured of one structure.

    Attributes:
        values: plain data; None if it was not done.
        seconds: time that it took.
        not_done: why it was not done; None otherwise.
        failed: what went wrong with the model; None otherwise.

    Example:
        >>> Outcome(values={"bulk_modulus": 98.3}, seconds=1.2).not_done is None
        True
    """

    values: dict[str, Any] | None = None
    seconds: float = 0.0
    not_done: str | None = None
    failed: str | None = None

    @property
    def reason(self) -> str:
        """Why there are no values; empty if there are."""
        return self.not_done or self.failed or ""


class Sample(Record):
    """A structure that is measured.

    Attributes:
        name: name of the structure in verdicts.
        source: where it is from.
        numbers: atomic numbers.
        positions: in Å.
        cell: lattice vectors as rows in Å.
        pbc: periodicity.

    Example:
        >>> from ase.build import bulk
        >>> Sample.of(bulk("Cu"), "Cu", "made").described().periodic
        3
    """

    name: str
    source: str
    numbers: list[int]
    positions: list[list[float]]
    cell: list[list[float]]
    pbc: list[bool]

    @classmethod
    def of(cls, atoms: Atoms, name: str, source: str) -> "Sample":
        """Return atoms as a sample."""
        return cls(
            name=name,
            source=source,
            numbers=atoms.numbers.tolist(),
            positions=atoms.positions.tolist(),
            cell=np.array(atoms.cell).tolist(),
            pbc=atoms.pbc.tolist(),
        )

    def to_atoms(self) -> Atoms:
        """Return the sample as atoms."""
        return Atoms(self.numbers, self.positions, cell=self.cell, pbc=self.pbc)

    def described(self) -> ValidatedStructure:
        """Return what the record of a validation says of it."""
        atoms = self.to_atoms()
        return ValidatedStructure(
            name=self.name,
            source=self.source,
            formula=atoms.get_chemical_formula(),
            atoms=len(atoms),
            periodic=int(atoms.pbc.sum()),
        )


class Measurements(RecordFile):
    """All that was measured with one model, such as the parent's reference values.

    Attributes:
        schema_version: version of the file.
        model: name of the model.
        sha256: of its file.
        code: the code that computed energies and forces.
        settings: settings of the validation.
        seed: seed for velocities and thermostats.
        samples: the structures.
        outcomes: by structure and check.

    Example:
        >>> Measurements(
        ...     model="7net-0", sha256="", settings={}, seed=0, samples=[], outcomes={}
        ... ).values("Cu")
        {}
    """

    schema_version: Literal[1] = 1
    model: str
    sha256: str
    code: str = ""
    settings: dict[str, Any]
    seed: int
    samples: list[Sample]
    outcomes: dict[str, dict[str, Outcome]]

    def values(self, structure: str) -> dict[str, dict[str, Any]]:
        """Return what was measured of a structure, by check."""
        found = self.outcomes.get(structure, {})
        return {name: each.values for name, each in found.items() if each.values is not None}

    def seconds(self) -> float:
        """Return the time that all checks took."""
        return sum(each.seconds for found in self.outcomes.values() for each in found.values())
