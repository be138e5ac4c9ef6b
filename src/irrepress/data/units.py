"""Units and sign conventions of sources; all conversion factors are defined here."""

import numpy as np
from ase.units import Bohr, GPa, Hartree, Pascal, Rydberg, bar, kcal, kJ, mol, nm

from irrepress.data.config import Units

# Factors to eV, Å and eV/Å^3, from ASE's (CODATA 2014) constants.
ENERGY = {
    "eV": 1.0,
    "meV": 1e-3,
    "Hartree": Hartree,
    "Ry": Rydberg,
    "kcal/mol": kcal / mol,
    "kJ/mol": kJ / mol,
}
LENGTH = {"Å": 1.0, "Bohr": Bohr, "nm": nm}
FORCES = {
    f"{energy}/{length}": ENERGY[energy] / LENGTH[length] for energy in ENERGY for length in LENGTH
}
STRESS = {
    "eV/Å^3": 1.0,
    "GPa": GPa,
    "MPa": 1e6 * Pascal,
    "kbar": 1e3 * bar,
    "bar": bar,
    "Mbar": 1e6 * bar,
    "atm": 101325 * Pascal,
    "Hartree/Bohr^3": Hartree / Bohr**3,
    "Ry/Bohr^3": Rydberg / Bohr**3,
    "kcal/mol/Å^3": kcal / mol,
}
# ASE's order of the six components of a stress.
VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")
# ASE: positive under tension. VASP prints the opposite, positive under compression.
_SIGN = {"ase": 1.0, "vasp": -1.0}


class Factors:
    """Factors from the units of a source to eV, Å and derived units.

    Attributes:
        energy: factor to eV.
        length: factor to Å.
        forces: factor to eV/Å; by default, the unit of forces is energy per length.
        stress: factor to eV/Å^3 with ASE's sign; NaN if the source holds virials.

    Example:
        >>> factors = Factors(Units(energy="Hartree", forces="Hartree/Bohr"))
        >>> round(factors.energy, 4), round(factors.forces, 4)
        (27.2114, 51.4221)
    """

    def __init__(self, units: Units):
        self.energy = ENERGY[units.energy]
        self.length = LENGTH[units.length]
        self.forces = FORCES[units.forces or f"{units.energy}/{units.length}"]
        if units.forces_sign == "gradient":
            self.forces = -self.forces
        self._sign = _SIGN[units.stress_sign]
        self.stress = self._sign * STRESS.get(units.stress, float("nan"))

    def virial(self, cell: np.ndarray) -> float:
        """Return the factor from a virial to a stress in eV/Å^3 with ASE's sign.

        The stress is -W/V for a virial W. Without a volume V (for a molecule) the factor is NaN.

        Args:
            cell: lattice vectors of the structure as rows, ``[3, 3]`` in Å.
        """
        volume = abs(float(np.linalg.det(cell)))
        return -self._sign * self.energy / volume if volume > 0 else float("nan")
