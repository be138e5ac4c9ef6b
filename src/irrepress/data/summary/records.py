"""Records of the summary of a dataset, stored as JSON and read by the report."""

from typing import Literal

from pydantic import Field

from irrepress.core.records import Record, RecordFile

PartName = Literal["train", "valid", "test", "none"]
# Number of directions in which a structure is periodic.
Periodicity = Literal["3", "2", "1", "0"]
# Names of structures by that number.
SYSTEMS: dict[Periodicity, str] = {"3": "crystals", "2": "slabs", "1": "wires", "0": "molecules"}


class Distribution(Record):
    """A distribution of values.

    Attributes:
        count: number of values; at least one.
        minimum: smallest value.
        maximum: largest value.
        quantiles: fraction of the values (``0.01`` to ``0.99``) -> quantile.
        edges: limits of the bins, ``[bins + 1]``, ascending.
        counts: number of values in each bin, ``[bins]``; a value on an edge counts upwards.
        below: number of values below the first edge.
        above: number of values above the last edge.

    Example:
        >>> from irrepress.data.summary.distributions import distribution_of
        >>> distribution = distribution_of([1.0, 2.0, 4.0])
        >>> distribution.count, distribution.quantiles["0.5"]
        (3, 2.0)
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
    """Structures and atoms of a split; ``none`` are those in no split.

    Example:
        >>> PartCount(part="train", structures=2, atoms=16).atoms
        16
    """

    part: PartName
    structures: int
    atoms: int


class ElementCount(Record):
    """Occurrences of an element.

    Attributes:
        number: atomic number.
        structures: number of structures that contain it.
        train_structures: number of those in the train split.
        atoms: number of its atoms.
        reference_energy: its contribution to total energies in eV; None if unknown.

    Example:
        >>> silicon = ElementCount(
        ...     number=14, structures=4, train_structures=2, atoms=8, reference_energy=-5.4
        ... )
        >>> silicon.structures - silicon.train_structures
        2
    """

    number: int
    structures: int
    train_structures: int
    atoms: int
    reference_energy: float | None


class Suspect(Record):
    """A suspicious structure.

    Attributes:
        index: its place in the store.
        part: the part it lies in.
        group: the group that it shares with its siblings; may be empty.
        value: the value that is suspicious, in the unit of its kind.
        reason: the same in words.

    Example:
        >>> reason = "80 eV/Å on atom 0"
        >>> suspect = Suspect(index=7, part="train", group="", value=80.0, reason=reason)
        >>> suspect.value
        80.0
    """

    index: int
    part: PartName
    group: str
    value: float
    reason: str


class SuspectList(Record):
    """Suspicious structures of one kind.

    Attributes:
        kind: key of `suspects.KINDS`.
        count: how many there are.
        listed: the worst of them, the worst one first.

    Example:
        >>> reason = "80 eV/Å on atom 0"
        >>> suspect = Suspect(index=7, part="train", group="", value=80.0, reason=reason)
        >>> SuspectList(kind="force", count=1, listed=[suspect]).listed[0].index
        7
    """

    kind: str
    count: int
    listed: list[Suspect]


class Origin(Record):
    """Origin of a dataset, from its store.

    Example:
        >>> origin = Origin(
        ...     source="si.xyz", licence="MIT", citation="", level_of_theory="PBE", labels="PBE",
        ...     checksum="",
        ... )
        >>> origin.labels
        'PBE'
    """

    source: str
    licence: str
    citation: str
    level_of_theory: str
    labels: str
    checksum: str


class NoteCount(Record):
    """A note from reading a dataset; see `notes.Note`.

    Example:
        >>> NoteCount(text="D taken as hydrogen", count=2, first="a.xyz: frame 0").count
        2
    """

    text: str
    count: int
    first: str


class DatasetSummary(RecordFile):
    """The summary of a dataset: the file ``{dataset}.summary.json``.

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

    Example:
        >>> from irrepress.data.summary.scan import summarize
        >>> summary = summarize(store)
        >>> summary.atoms, [element.number for element in summary.elements]
        (8, [14])
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
