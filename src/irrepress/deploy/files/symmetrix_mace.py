"""The model as symmetrix runs it, without torch: `calculator` makes ASE's calculator."""

import shutil
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from symmetrix.calculator import Symmetrix

MODEL = Path(__file__).with_name("model.json")
ROOM = 20.0  # Å around molecules
COMPILERS = ("c++", "g++", "clang++")


class SymmetrixCalculator(Symmetrix):
    """symmetrix's calculator, which here takes structures without a cell, too.

    Example:
        atoms.calc = SymmetrixCalculator("model.json")
    """

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list | None = None,
        system_changes: list = all_changes,
    ) -> None:
        """Compute properties; along directions without a cell vector nothing is periodic."""
        if atoms is not None and atoms.cell.rank < 3:
            boxed = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
            missing = ~atoms.cell.any(1)
            cell = np.array(boxed.cell.complete())
            cell[missing] *= np.ptp(atoms.positions, axis=0).max() + ROOM
            boxed.set_cell(cell)
            atoms = boxed
        super().calculate(atoms, properties, system_changes)


def calculator(device: str = "auto", dtype: str = "float32") -> Calculator:
    """Return the calculator.

    Args:
        device: symmetrix itself takes a GPU that it has a backend for, whatever this says.
        dtype: float32, or float64 at about half the speed.
    """
    options = {}
    if not any(map(shutil.which, COMPILERS)):
        print("runtime: without a C++ compiler symmetrix is slower; install g++", file=sys.stderr)
        options["streamed_edges"] = "non-compiled"
    return SymmetrixCalculator(str(MODEL), dtype=dtype, **options)
