"""The summary of a dataset as it is written to JSON and read by the report."""

from typing import Literal

from pydantic import Field

from irrepress.core.records import Record, RecordFile

PartName = Literal["train", "valid", "test", "none"]
# Number of directions in which a structure is periodic.
Periodicity = Literal["3", "2", "1", "0"]
# Names of structures by that number.
SYSTEMS: dict[Periodicity, str] = {"3": "crystals", "2": "slabs", "1": "wires", "0": "molecules"}


class Distribution(Record):
    """How values are spread.

    Attributes:
        count: number of values; at least one.
        minimum: least value.
        maximum: greatest value.
        quantiles: share of the values (``0.01`` to ``0.99``) -> the value they lie below.
        edges: limits of the bins, ``[bins + 1]``, ascending.
        counts: number of values in each bin, ``[bins]``; a value on an edge counts upwards.
        below: number of values below the first edge.
        above: number of values above the last edge.
    """

    count: int
    minimum: float
    maximum: float
    quantiles: dict[str, float]
    edges: list[float]
    counts: list[int]
    below: int
    above: int


class PartCount(Record):
    """Structures and atoms of a part; ``none`` are those that no part holds."""

    part: PartName
    structures: int
    atoms: int


class ElementCount(Record):
    """How often an element occurs.

    Attributes:
        number: atomic number.
        structures: structures that hold it.
        train_structures: those of them in the train part.
        atoms: atoms of it.
        reference_energy: its contribution to a total energy in eV; None if that is unknown.
    """

    number: int
    structures: int
    train_structures: int
    atoms: int
    reference_energy: float | None


class Suspect(Record):
    """A structure that looks wrong in one way.

    Attributes:
        index: its place in the store.
        part: the part it lies in.
        group: the group that it shares with its siblings; may be empty.
        value: the value that is suspicious, in the unit of its kind.
        reason: the same in words.
    """

    index: int
    part: PartName
    group: str
    value: float
    reason: str


class SuspectList(Record):
    """Structures that look wrong in the same way.

    Attributes:
        kind: key of `suspects.KINDS`.
        count: how many there are.
        listed: the worst of them, the worst one first.
    """

    kind: str
    count: int
    listed: list[Suspect]


class Origin(Record):
    """Where a dataset comes from, as its store records it."""

    source: str
    licence: str
    citation: str
    level_of_theory: str
    labels: str
    checksum: str


class NoteCount(Record):
    """What reading a dataset noticed or did, as `notes.Note`."""

    text: str
    count: int
    first: str


class DatasetSummary(RecordFile):
    """What a dataset holds: the file ``{dataset}.summary.json``.

    Attributes:
        schema_version: version of the file.
        structures: number of structures in all.
        atoms: number of atoms in all.
        origin: where they come from.
        parts: train, valid and test, and what lies in none of them if anything does.
        elements: by atomic number.
        compositions: number of distinct reduced compositions (NaCl and Na2Cl2 are one).
        periodicity: number of periodic directions, key of `SYSTEMS` -> number of structures.
        labelled: label (energy, forces, stress) -> number of structures that have it.
        sizes: atoms per structure.
        energies: energy per atom less the elements' reference energies in eV/atom; None
            without labels. Quantiles are exact.
        forces: lengths of the forces on atoms in eV/Å, in logarithmic bins; None without labels.
            Quantiles are right within 3 %.
        pressures: minus a third of the trace of the stress in GPa, positive under compression;
            None without labels. Quantiles are exact.
        suspects: kinds of which there are any.
        suspicious: number of structures that look wrong in at least one way.
        notes: what reading the dataset noticed and did, by kind.
    """

    schema_version: Literal[1] = 1
    structures: int
    atoms: int
    origin: Origin
    parts: list[PartCount]
    elements: list[ElementCount]
    compositions: int
    periodicity: dict[Periodicity, int]
    labelled: dict[str, int]
    sizes: Distribution
    energies: Distribution | None
    forces: Distribution | None
    pressures: Distribution | None
    suspects: list[SuspectList]
    suspicious: int
    notes: list[NoteCount] = Field(default_factory=list)
