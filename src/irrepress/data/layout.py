"""The layout of stores: one HDF5 file per dataset.

Version 2 of the layout. The atoms of all structures are concatenated:

==================================  =====================  =======  =======
dataset                             shape                  type     unit
==================================  =====================  =======  =======
``positions``                       ``[atoms, 3]``         float64  Å
``numbers``                         ``[atoms]``            uint8
``forces``                          ``[atoms, 3]``         float64  eV/Å
``cell`` (rows are vectors)         ``[structures, 3, 3]`` float64  Å
``pbc`` (0 or 1)                    ``[structures, 3]``    uint8
``energy``                          ``[structures]``       float64  eV
``stress`` (Voigt, ASE's sign)      ``[structures, 6]``    float64  eV/Å^3
``group`` (row of ``groups``)       ``[structures]``       uint32
``groups`` (what siblings share)    ``[runs]``             text
``ptr`` (first atom of each)        ``[structures + 1]``   int64
``splits/{train,valid,test}``       ``[members]``          int64
==================================  =====================  =======  =======

Missing labels are NaN. Everything is float64, so that a store returns exactly what was written;
forces in float32 would halve a third of the file but make finite-difference checks against stored
labels meaningless. Chunks are shuffled, compressed with gzip level 1 and checksummed, so that
damage is found on reading. They are small, with a few structures each, because random access
decompresses entire chunks: larger ones save 2 % of the file size and halve the speed. Consecutive
structures of one group share a row of ``groups``, because HDF5 does not compress variable-length
strings.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from irrepress.data.notes import Note

FORMAT = "irrepress-structures"
SCHEMA_VERSION = 2

# What stores of structures only call their labels.
UNLABELLED = "none"

PER_ATOM: dict[str, tuple[tuple[int, ...], str, str]] = {
    "positions": ((3,), "f8", "Å"),
    "numbers": ((), "u1", ""),
    "forces": ((3,), "f8", "eV/Å"),
}
PER_STRUCTURE: dict[str, tuple[tuple[int, ...], str, str]] = {
    "cell": ((3, 3), "f8", "Å"),
    # Not HDF5 booleans, whose conversion one by one is ten times slower than reading.
    "pbc": ((3,), "u1", ""),
    "energy": ((), "f8", "eV"),
    "stress": ((6,), "f8", "eV/Å^3"),
}
# Rows per chunk, which random access decompresses.
ATOMS_PER_CHUNK = 256
STRUCTURES_PER_CHUNK = 128
# Number of atoms that the writer buffers, and that the reader reads at once when scanning.
ATOMS_PER_BUFFER = 8192


@dataclass(frozen=True)
class StoreInfo:
    """The origin of a dataset and of its labels.

    Attributes:
        source: files, address or generator of the structures.
        licence: licence of the data.
        citation: how to cite the data.
        level_of_theory: the level of theory, such as ``PBE``; for labels by a model, that of its
            training data.
        labels: method or model of the labels: ``PBE``, ``SevenNet-l3i5 (7net-l3i5)``.
        checksum: SHA-256 of the source; empty if there is no file.
        reference_energies: atomic number -> energy of the element in eV. If empty, they are fitted
            to the train split when a store is written.
        notes: notes from reading the source, counted by kind.

    Example:
        >>> info = StoreInfo("ASE", "MIT", "", level_of_theory="PBE", labels="PBE", checksum="")
        >>> info.reference_energies
        {}
    """

    source: str
    licence: str
    citation: str
    level_of_theory: str
    labels: str
    checksum: str
    reference_energies: dict[int, float] = field(default_factory=dict)
    notes: Iterable[Note] = ()


def blocks(num_atoms: np.ndarray) -> Iterator[slice]:
    """Yield slices of consecutive structures with about one buffer of atoms each."""
    start = atoms = 0
    for index, count in enumerate(num_atoms.tolist()):
        atoms += count
        if atoms >= ATOMS_PER_BUFFER:
            yield slice(start, index + 1)
            start, atoms = index + 1, 0
    if start < len(num_atoms):
        yield slice(start, len(num_atoms))
