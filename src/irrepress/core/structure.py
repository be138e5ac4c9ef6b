"""Atomic structures with labels, as used throughout the library."""

from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator


@dataclass(frozen=True)
class Structure:
    """An atomic structure with labels.

    Attributes:
        numbers: atomic numbers, ``[atoms]`` integers.
        positions: Cartesian positions in Å, ``[atoms, 3]``.
        cell: lattice vectors as rows in Å, ``[3, 3]``; zero rows where not periodic.
        pbc: periodicity along each lattice vector, ``[3]`` booleans.
        energy: total energy in eV; NaN if unlabelled.
        forces: forces in eV/Å, ``[atoms, 3]``; NaN if unlabelled.
        stress: stress in eV/Å^3, ``[6]`` in Voigt order xx, yy, zz, yz, xz, xy with ASE's sign
            (positive under tension); NaN if unlabelled.
        group: name shared by related structures (of one parent crystal or trajectory), which splits
            keep together.

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
        """Return a structure with the geometry of ASE atoms; all labels are NaN."""
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
        """Return the structure with all labels set to NaN."""
        return replace(
            self,
            energy=float("nan"),
            forces=np.full((len(self), 3), np.nan),
            stress=np.full(6, np.nan),
        )

    def to_atoms(self) -> Atoms:
        """Return ASE atoms, with labels in a SinglePointCalculator."""
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
