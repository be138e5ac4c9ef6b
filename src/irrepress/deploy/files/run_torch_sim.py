"""Run molecular dynamics of a batch with the model: python run.py [STRUCTURES]."""

import sys
from pathlib import Path

import ase.io
import torch_sim as ts
from runtime import model

path = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("golden.extxyz")
batch = ase.io.read(path, ":")
potential = model()
state = ts.io.atoms_to_state(batch, potential.device, potential.dtype)
print("energies in eV:", potential(state)["energy"].tolist())

state = ts.integrate(
    system=state,
    model=potential,
    integrator=ts.Integrator.nvt_langevin,
    n_steps=20,
    temperature=300,
    timestep=0.001,
)
print("energies after 20 fs in eV:", potential(state)["energy"].tolist())
