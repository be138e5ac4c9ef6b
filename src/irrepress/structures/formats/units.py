"""Units and sign conventions of sources: every factor stands here, and nowhere else."""

import numpy as np
from ase.units import Bohr, GPa, Hartree, kcal, kJ, mol, nm

from irrepress.config import Units

# Factors to eV, Å and eV/Å^3, from ASE's (CODATA 2014) constants.
ENERGY = {"eV": 1.0, "meV": 1e-3, "Hartree": Hartree, "kcal/mol": kcal / mol, "kJ/mol": kJ / mol}
LENGTH = {"Å": 1.0, "Bohr": Bohr, "nm": nm}
STRESS = {"eV/Å^3": 1.0, "GPa": GPa, "kbar": 0.1 * GPa}
# ASE: positive under tension. VASP prints the opposite, positive under compression.
_SIGN = {"ase": 1.0, "vasp": -1.0}


class Factors:
    """What to multiply the numbers of a source by.

    Attributes:
        energy: to eV.
        length: to Å.
        forces: to eV/Å; a source's forces are in its energy per its length.
    """

    def __init__(self, units: Units):
        self.energy = ENERGY[units.energy]
        self.length = LENGTH[units.length]
        self.forces = self.energy / self.length
        self._stress = units.stress
        self._sign = _SIGN[units.stress_sign]

    def stress(self, cell: np.ndarray) -> float:
        """Return the factor to a stress in eV/Å^3 with ASE's sign.

        A virial W gives the stress -W/V. Without a volume V (a molecule) there is no stress,
        and the factor is NaN.

        Args:
            cell: lattice vectors of the structure as rows, ``[3, 3]`` in Å.
        """
        if self._stress != "virial":
            return self._sign * STRESS[self._stress]
        volume = abs(float(np.linalg.det(cell)))
        return -self._sign * self.energy / volume if volume > 0 else float("nan")
