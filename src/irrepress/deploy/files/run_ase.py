"""Relax a structure and run molecular dynamics with the model: python run.py [STRUCTURE]."""

import sys
from pathlib import Path

import ase.io
from ase import units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import FIRE
from runtime import calculator

path = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("golden.extxyz")
atoms = ase.io.read(path, 0)
atoms.calc = calculator()
print(f"energy {atoms.get_potential_energy():.6f} eV")

FIRE(atoms, logfile="-").run(fmax=0.05, steps=20)

MaxwellBoltzmannDistribution(atoms, temperature_K=300)
dynamics = Langevin(atoms, 1 * units.fs, temperature_K=300, friction=0.01 / units.fs)
dynamics.attach(
    lambda: print(f"{atoms.get_temperature():.0f} K, {atoms.get_potential_energy():.6f} eV"),
    interval=5,
)
dynamics.run(20)
