"""Dynamics at constant energy, and what it finds out about models that are broken."""

import re
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField

from irrepress.core.structure import Structure
from irrepress.data.config import Split
from irrepress.data.layout import StoreInfo
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.evaluation.config import Dynamics
from irrepress.evaluation.physics.dynamics import choose_start, run_dynamics
from irrepress.evaluation.physics.records import MeasuredDynamics


def measured(atoms: Atoms, calculator: Calculator, seed: int = 1, **settings) -> MeasuredDynamics:
    settings = {"steps": 200, "equilibration": 50, **settings}
    return run_dynamics(
        atoms,
        calculator,
        Dynamics(datasets=["copper"], **settings),
        seed=seed,
        dataset="copper",
        source="structure 0 (test split)",
        code="its own",
        device="cpu",
    )


def copper() -> Atoms:
    return bulk("Cu", cubic=True).repeat((2, 2, 2))


class Changed(EMT):
    """EMT whose results are changed before anybody sees them."""

    def __init__(self, change):
        super().__init__()
        self.change = change
        self.calls = 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        self.change(self)


def test_a_conserved_energy_stays():
    run = measured(copper(), EMT())
    assert run.failures() == [] and run.broke is None
    assert (run.formula, run.atoms, run.picoseconds) == ("Cu32", 32, 0.2)
    assert abs(run.drift) < 1e-3
    assert run.fluctuation < 0.05 * run.kinetic_fluctuation
    assert 150 < run.temperature < 450
    assert run.steps_per_second > 0
    trace = run.trace
    assert len(trace.picoseconds) == len(trace.energy) == len(trace.temperature) == 101
    assert trace.energy[0] == 0 and trace.picoseconds[-1] == pytest.approx(0.2)


def test_a_harmonic_oscillator_has_the_temperature_of_its_velocities():
    atoms = molecule("N2")
    field = HarmonicForceField(ref_atoms=atoms, ref_energy=0.0, hessian_x=2.0 * np.eye(6))
    run = measured(atoms, HarmonicCalculator(field), equilibration=0, steps=1000)
    assert run.failures() == []
    kinetic = 1.5 * units.kB * run.temperature * (len(atoms) - 1) / len(atoms)
    # By the virial theorem half of what there is, which was all kinetic at the beginning.
    assert run.trace.temperature[0] == pytest.approx(2 * run.temperature, rel=0.1)
    assert run.kinetic_fluctuation == pytest.approx(kinetic / np.sqrt(2), rel=0.1)


def test_the_same_seed_is_the_same_run():
    runs = [measured(copper(), EMT(), seed, steps=100) for seed in (1, 1, 2)]
    assert runs[0].trace == runs[1].trace
    assert runs[0].trace != runs[2].trace


def one_component_scaled(calculator):
    """No longer derivatives of the energy, though smooth."""
    calculator.results["forces"] = calculator.results["forces"] * [1.0, 1.0, 1.6]


def noisy(calculator):
    """Forces that are predicted by themselves, with errors that differ from step to step."""
    noise = np.random.default_rng(calculator.calls).normal(size=(len(calculator.atoms), 3))
    calculator.results["forces"] = calculator.results["forces"] + noise


def not_finite_later(calculator):
    if calculator.calls > 120:
        calculator.results["forces"] = calculator.results["forces"] * np.nan


def attracted(calculator):
    """All atoms are pulled to the first one."""
    away = calculator.atoms.positions - calculator.atoms.positions[0]
    calculator.results["forces"] = -0.5 * away


def pushed_off(calculator):
    """All atoms are pushed away from the first one."""
    away = calculator.atoms.positions - calculator.atoms.positions[0]
    calculator.results["forces"] = 0.1 * away / (1 + np.linalg.norm(away, axis=1))[:, None]


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        (one_component_scaled, "the energy fluctuates by"),
        (noisy, "the energy drifts by"),
    ],
)
def test_forces_that_are_no_derivatives_are_found_out(change, failure):
    run = measured(copper(), Changed(change))
    assert run.broke is None
    assert any(told.startswith(failure) for told in run.failures())


@pytest.mark.parametrize(
    ("atoms", "change", "what"),
    [
        (copper(), not_finite_later, "predictions are not finite at step"),
        (copper(), attracted, "(atoms are closer|the temperature exceeds)"),
        (Atoms("Cu2", [[0, 0, 0], [0, 0, 2.3]]), pushed_off, "atom 0 has lost all its neighbours"),
    ],
    ids=["not finite", "collapsed", "lost"],
)
def test_what_broke_is_told_and_the_run_ends(atoms, change, what):
    calculator = Changed(change)
    run = measured(atoms, calculator, steps=2000, equilibration=0)
    (told,) = run.failures()
    assert told == run.broke
    assert re.match(what, told)
    assert run.drift is None and run.temperature is None and run.steps_per_second is None
    assert calculator.calls < 2000
    assert len(run.trace.energy) < 101


def test_a_run_that_breaks_with_the_thermostat_has_no_trace():
    def nothing(calculator):
        calculator.results["energy"] = float("nan")

    run = measured(copper(), Changed(nothing))
    assert run.broke == "predictions are not finite at step 0 with the thermostat"
    assert run.trace.energy == []


@pytest.mark.parametrize("value", [None, float("nan"), 0.1, -0.1])
def test_a_drift_without_a_value_is_not_passed(value):
    run = measured(copper(), EMT(), steps=100, equilibration=0)
    assert run.failures() == []
    (failure,) = run.model_copy(update={"drift": value}).failures()
    assert "drifts" in failure
    (failure,) = run.model_copy(update={"fluctuation": None}).failures()
    assert "fluctuates by no value" in failure


def test_the_familys_own_calculator_keeps_the_energy(small_sevennet, tmp_path):
    small_sevennet.save(tmp_path / "model.pt")
    calculator = small_sevennet.family.calculator(tmp_path / "model.pt")
    run = measured(bulk("NaCl", "rocksalt", a=5.64, cubic=True), calculator, steps=100)
    assert run.failures() == []


def test_the_structure_nearest_to_equilibrium_is_run(tmp_path):
    info = StoreInfo("made", "", "", "", "", "", {})
    structures = []
    for size in (0.3, 0.1, np.nan, 0.2):
        structure = Structure.unlabelled(bulk("Cu", cubic=True), group=str(size))
        structures.append(replace(structure, energy=1.0, forces=np.full((4, 3), size)))
    write_store(tmp_path / "a.h5", structures, info, Split(train=0, valid=0, test=1), 0)
    chosen, name = choose_start(StructureStore(tmp_path / "a.h5"))
    assert name == "structure 1 (test split)" and np.isnan(chosen.energy)
    nothing = [structure.without_labels() for structure in structures]
    write_store(tmp_path / "b.h5", nothing, info, Split(train=0, valid=0, test=1), 0)
    assert choose_start(StructureStore(tmp_path / "b.h5"))[1] == "structure 0 (test split)"
