"""The layout of stores: one HDF5 file per dataset.

Layout, version 2. Atoms of all structures lie one after another:

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

Labels that are absent are NaN. Everything is float64, so that a store gives back bit for bit
what went in; forces in float32 would halve a third of the file but make finite-difference
checks against stored labels meaningless. Chunks are shuffled, compressed by gzip level 1 and
carry a checksum, so that damage to the file is found when it is read. They are small, a few
structures each, because a structure that is read at random costs the decompression of whole
chunks: larger ones save 2 % of the file and halve the speed. Siblings that follow each other
share a row of ``groups``, since HDF5 compresses no texts of varying length.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from irrepress.data.notes import Note

FORMAT = "irrepress-structures"
SCHEMA_VERSION = 2

PER_ATOM: dict[str, tuple[tuple[int, ...], str, str]] = {
    "positions": ((3,), "f8", "Å"),
    "numbers": ((), "u1", ""),
    "forces": ((3,), "f8", "eV/Å"),
}
PER_STRUCTURE: dict[str, tuple[tuple[int, ...], str, str]] = {
    "cell": ((3, 3), "f8", "Å"),
    # Not as HDF5 booleans: these are converted one by one, ten times slower than they are read.
    "pbc": ((3,), "u1", ""),
    "energy": ((), "f8", "eV"),
    "stress": ((6,), "f8", "eV/Å^3"),
}
# Rows of a chunk: what one random access decompresses.
ATOMS_PER_CHUNK = 256
STRUCTURES_PER_CHUNK = 128
# Atoms that the writer holds before it appends, and that the reader reads at once when it scans.
ATOMS_PER_BUFFER = 8192


@dataclass(frozen=True)
class StoreInfo:
    """The origin of a dataset and of its labels.

    Attributes:
        source: files, address or generator that the structures come from.
        licence: licence of the data.
        citation: how to cite the data.
        level_of_theory: the level of theory, such as ``PBE``; for labels by a model, that of its
            training data.
        labels: the method or model that made the labels: ``PBE``, ``SevenNet-l3i5 (7net-l3i5)``.
        checksum: SHA-256 of the source; empty if there is no file.
        reference_energies: atomic number -> energy of the element in eV. If empty, they are
            fitted to the train part when a store is written.
        notes: what reading the source noticed and did, counted by kind.
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
    """Divide structures into neighbours of about one buffer of atoms."""
    start = atoms = 0
    for index, count in enumerate(num_atoms.tolist()):
        atoms += count
        if atoms >= ATOMS_PER_BUFFER:
            yield slice(start, index + 1)
            start, atoms = index + 1, 0
    if start < len(num_atoms):
        yield slice(start, len(num_atoms))
