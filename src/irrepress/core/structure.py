"""One labelled atomic structure, as the library passes it around."""

from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator


@dataclass(frozen=True)
class Structure:
    """Atoms with labels in eV, Å, eV/Å and eV/Å^3.

    Attributes:
        numbers: atomic numbers, ``[atoms]`` integers.
        positions: Cartesian positions in Å, ``[atoms, 3]``.
        cell: lattice vectors as rows in Å, ``[3, 3]``; zero rows where not periodic.
        pbc: periodicity along each lattice vector, ``[3]`` booleans.
        energy: total energy in eV; NaN if there is no label.
        forces: forces in eV/Å, ``[atoms, 3]``; NaN if there is no label.
        stress: stress in eV/Å^3, ``[6]`` in Voigt order xx, yy, zz, yz, xz, xy with ASE's
            sign (positive under tension); NaN if there is no label.
        group: what siblings share (a parent crystal, a trajectory): splits keep it together.

    Example:
        >>> from ase.build import bulk
        >>> silicon = Structure.unlabelled(bulk("Si"))
        >>> len(silicon), silicon.energy
        (2, nan)
        >>> replace(silicon, energy=-10.8).to_atoms().get_potential_energy()
        -10.8
    """

    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    energy: float
    forces: np.ndarray
    stress: np.ndarray
    group: str = ""

    def __len__(self) -> int:
        return len(self.numbers)

    @classmethod
    def unlabelled(cls, atoms: Atoms, group: str = "") -> "Structure":
        """Take geometry from ASE atoms; all labels are NaN."""
        return cls(
            numbers=atoms.get_atomic_numbers(),
            positions=atoms.get_positions(),
            cell=np.array(atoms.cell),
            pbc=atoms.get_pbc(),
            energy=float("nan"),
            forces=np.full((len(atoms), 3), np.nan),
            stress=np.full(6, np.nan),
            group=group,
        )

    def without_labels(self) -> "Structure":
        """Return the same atoms; all labels are NaN."""
        return replace(
            self,
            energy=float("nan"),
            forces=np.full((len(self), 3), np.nan),
            stress=np.full(6, np.nan),
        )

    def to_atoms(self) -> Atoms:
        """Return ASE atoms; labels that are present go into a SinglePointCalculator."""
        atoms = Atoms(self.numbers, positions=self.positions, cell=self.cell, pbc=self.pbc)
        labels: dict[str, float | np.ndarray] = {
            "energy": self.energy,
            "forces": self.forces,
            "stress": self.stress,
        }
        present = {key: value for key, value in labels.items() if np.all(np.isfinite(value))}
        if present:
            atoms.calc = SinglePointCalculator(atoms, **present)
        return atoms
