"""A validation finds nothing wrong with the parent itself, and what is wrong with broken models."""

import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT

from irrepress.evaluation.physics import case, crystals, suite
from irrepress.evaluation.physics.config import ValidationSettings
from irrepress.evaluation.physics.measurements import Measurements, Outcome, Sample
from irrepress.evaluation.physics.short_range import hole, repulsive_range
from irrepress.evaluation.physics.validation import curves_of

SETTINGS = ValidationSettings(
    temperatures=[600],
    picoseconds=0.52,
    nve_picoseconds=0.24,
    equilibration_picoseconds=0.05,
    timestep=4,
    frames=4,
    atoms=4,
    phonon_atoms=8,
)
SAMPLES = [
    Sample.of(bulk("Cu", cubic=True), "Cu4", "made"),
    Sample.of(molecule("N2"), "N2", "made"),
]
# Of the molecule the fastest vibration needs shorter steps.
SHORT = {"timestep": 1, "picoseconds": 0.1, "nve_picoseconds": 0.2, "temperatures": [300]}


class Changed(EMT):
    """EMT whose results are changed before anybody sees them."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.change(self.atoms, self.results)


def measured(calculator, samples, settings, parent=None, **options):
    given = {"minutes": 60, "cutoff": 5.0, "seed": 0, **options}
    outcomes = suite.measure(samples, calculator, settings, parent=parent, **given)
    if parent is not None:
        return outcomes
    content = {"model": "emt", "sha256": "", "settings": {}, "seed": 0}
    return Measurements(**content, samples=samples, outcomes=outcomes)


@pytest.fixture(scope="module")
def copper():
    return measured(EMT(), SAMPLES[:1], SETTINGS)


@pytest.fixture(scope="module")
def nitrogen():
    return measured(EMT(), SAMPLES[1:], SETTINGS.model_copy(update=SHORT))


def outcomes_of(change, parent, settings=SETTINGS, **options):
    calculator = Changed(change) if change else EMT()
    return measured(calculator, parent.samples, settings, parent, **options)


def judged_by(own, parent, settings=SETTINGS, **options):
    return {each.quantity: each for each in suite.judge(own, parent, settings, **options)}


def verdicts(change, parent, settings=SETTINGS, **options):
    return judged_by(outcomes_of(change, parent, settings, **options), parent, settings)


def failed(found):
    return {quantity for quantity, verdict in found.items() if verdict.within is False}


def test_a_parent_is_within_all_tolerances_of_itself(copper):
    found = verdicts(None, copper)
    assert failed(found) == set()
    not_done = {quantity for quantity, verdict in found.items() if verdict.within is None}
    assert not_done == set()
    assert {"bulk modulus", "elastic constants", "phonon frequencies", "RDF at 600 K"} <= set(found)
    assert found["forces at 600 K"].value == 0
    assert found["stability at 600 K"].value == pytest.approx(0.76, abs=0.01)


def test_what_needs_a_crystal_is_left_out_of_a_molecule_with_the_reason(nitrogen):
    found = verdicts(None, nitrogen, SETTINGS.model_copy(update=SHORT))
    assert failed(found) == set()
    crystals = {"equation of state", "elastic constants", "phonons", "volume in NPT"}
    for quantity in crystals:
        assert found[quantity].within is None
        assert found[quantity].remark == "only for structures that are periodic in all directions"
    assert found["RDF at 300 K"].within is None and "too short" in found["RDF at 300 K"].remark
    assert "relaxed cell, lengths" not in found and "stress at 300 K" not in found


def stiffer(atoms, results):
    """All that follows from the energy is a fifth larger, the lattice as it was."""
    for name in ("energy", "free_energy", "forces", "stress"):
        results[name] = results[name] * 1.2


def test_a_stiffer_model_fails_where_stiffness_counts(copper):
    own = outcomes_of(stiffer, copper)
    found = judged_by(own, copper)
    for quantity in ("bulk modulus", "elastic constants"):
        assert found[quantity].value == pytest.approx(20, abs=1)
    assert found["phonon frequencies"].value == pytest.approx(100 * (1.2**0.5 - 1), abs=0.5)
    assert found["forces at 600 K"].value == pytest.approx(20, abs=0.1)
    assert failed(found) >= {
        *("bulk modulus", "elastic constants", "phonon frequencies", "forces at 600 K"),
        *("energy at 600 K", "stress at 600 K"),
    }
    assert not failed(found) & {"relaxed cell, lengths", "relaxed bonds", "energy of two copies"}
    assert not failed(found) & {"holes at short range", "stability at 600 K"}

    # A parent that does not know the labels is told of, and nothing is judged by it.
    told = judged_by(own, copper, alike=False)
    judged = {name for name, verdict in told.items() if verdict.within}
    assert failed(told) == set() and judged == {
        *("energy of two copies", "holes at short range", "energy across the cutoff"),
        *("stability at 600 K", "drift in NVE at 600 K", "largest excursion in NVE at 600 K"),
    }
    assert told["bulk modulus"].word == "not judged"
    assert told["bulk modulus"].value == found["bulk modulus"].value
    assert "labels that this parent does not know" in told["bulk modulus"].remark
    assert {verdict.quantity for verdict in told.values() if verdict.essential} <= judged


def attracted(atoms, results):
    """Two atoms fall together once they are closer than 1.9 Å."""
    distances = atoms.get_all_distances(mic=True) + 10 * np.eye(len(atoms))
    depth = np.clip(1.9 - distances, 0, None).sum() / 2
    results["energy"] = results["energy"] - 60 * depth


def not_finite(atoms, results):
    results["forces"] = results["forces"] * np.nan


def not_extensive(atoms, results):
    results["energy"] = results["energy"] - 0.002 * len(atoms) ** 2


def jumps(atoms, results):
    """A pair within 4.9 Å has an energy that no force explains."""
    distances = atoms.get_all_distances(mic=True) + 10 * np.eye(len(atoms))
    results["energy"] = results["energy"] - 0.004 * (distances < 4.9).sum()


QUICK = SETTINGS.model_copy(update={"picoseconds": 0.04, "nve_picoseconds": 0.04})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (attracted, "holes at short range"),
        (not_extensive, "energy of two copies"),
        (jumps, "energy across the cutoff"),
    ],
)
def test_a_broken_model_fails_the_check_that_is_for_it(copper, change, expected):
    assert expected in failed(verdicts(change, copper, QUICK))


def test_a_hole_is_told_with_the_barrier_before_it(copper):
    remark = verdicts(attracted, copper, QUICK)["holes at short range"].remark
    (barrier,) = re.findall(r"^deepest: Cu-Cu at .* Å, behind a barrier of ([\d.]+) eV", remark)
    assert 0 < float(barrier) < 5


def test_predictions_that_are_not_finite_fail_every_check(copper):
    found = verdicts(not_finite, copper, QUICK)
    for verdict in found.values():
        assert verdict.within is False or verdict.remark == "the structure was not relaxed"
    assert failed(found) >= {"relaxed structure", "dynamics at 600 K"}
    assert "predicted forces are not finite" in found["relaxed structure"].remark


def test_forces_that_are_no_derivatives_drift(copper):
    def scaled(atoms, results):
        results["forces"] = results["forces"] * [1.0, 1.0, 1.3]

    assert "largest excursion in NVE at 600 K" in failed(
        verdicts(scaled, copper, SETTINGS.model_copy(update={"picoseconds": 0.04}))
    )


def test_what_the_time_does_not_suffice_for_is_told(copper):
    found = verdicts(None, copper, minutes=1e-5)
    assert {verdict.within for verdict in found.values()} == {None}
    assert "time limit" in found["relaxed structure"].remark


class Slow(EMT):
    """EMT of which every call takes half a second by the clock of a test."""

    now = 0.0

    def calculate(self, *given, **options):
        super().calculate(*given, **options)
        self.now += 0.5


@pytest.fixture
def slow(monkeypatch):
    calculator = Slow()
    monkeypatch.setattr(case, "time", SimpleNamespace(monotonic=lambda: calculator.now))
    return calculator


LONG = ValidationSettings(temperatures=[300, 900], atoms=4, phonon_atoms=8, frames=5)


def test_dynamics_become_shorter_where_the_time_is_short(slow, monkeypatch):
    parent = measured(slow, SAMPLES[:1], LONG, minutes=8)
    assert slow.now < 8 * 60
    for temperature in (300, 900):
        run = parent.values("Cu4")[f"dynamics {temperature} K"]
        assert 0.1 <= run["equilibration"] < 0.3
        assert run["nve"]["picoseconds"] == 0  # what the parent does not keep limits nobody
        assert 0.3 < run["picoseconds"] < 20 and len(run["frames"]) == 5
    slow.now = 0.0
    own = measured(slow, SAMPLES[:1], LONG, parent, minutes=8)
    cut = suite.what_was_cut(own, parent, LONG)
    assert any("of 0.3 ps of the equilibration" in text for text in cut)
    assert any("with the parent" in text and "0 of 3 ps at constant energy" in text for text in cut)
    found = {verdict.quantity: verdict for verdict in suite.judge(own, parent, LONG)}
    assert failed(found) == set()
    for temperature in (300, 900):
        for quantity in ("forces", "stability", "drift in NVE", "largest excursion in NVE"):
            assert found[f"{quantity} at {temperature} K"].within
            assert found[f"{quantity} at {temperature} K"].essential


def test_a_run_that_would_be_too_short_is_not_begun(slow):
    parent = measured(slow, SAMPLES[:1], LONG, minutes=0.7)
    run = parent.outcomes["Cu4"]["dynamics 900 K"]
    assert run.values is None
    assert "suffices for" in run.not_done and "steps of 0.5 s" in run.not_done


def test_a_model_is_judged_by_itself_where_its_parent_was_not_run(copper):
    outcomes = {name: dict(found) for name, found in copper.outcomes.items()}
    outcomes["Cu4"]["dynamics 600 K"] = Outcome(not_done="no time")
    outcomes["Cu4"]["errors 600 K"] = Outcome(not_done="no frames")
    parent = copper.model_copy(update={"outcomes": outcomes})
    found = verdicts(None, parent)
    assert found["stability at 600 K"].within and found["drift in NVE at 600 K"].within
    assert found["dynamics at 600 K, beside the parent"].remark == "parent: no time"
    errors = found["errors on new dynamics at 600 K"]
    assert (errors.within, errors.essential, errors.remark) == (None, True, "parent: no frames")
    assert not found["phonon frequencies"].essential


def test_there_are_curves_of_what_both_models_were_run_for(copper):
    own, parent = copper.outcomes["Cu4"], copper.values("Cu4")
    both = curves_of(SAMPLES[0], own, parent)
    assert {"equation of state", "radial distribution at 600 K"} <= set(both)
    del parent["dynamics 600 K"], parent["eos"]
    rest = curves_of(SAMPLES[0], own, parent)
    assert set(both) - set(rest) == {"equation of state", "radial distribution at 600 K"}


def test_a_structure_that_the_parent_relaxes_into_another_is_told():
    # Simple cubic copper, shaken so that no symmetry keeps it.
    cubic = bulk("Cu", "sc", a=2.4).repeat(2)
    cubic.rattle(0.1, seed=1)
    for atoms, expected in ((cubic, True), (bulk("Cu", cubic=True), False)):
        clock = case.Clock(600)
        measuring = case.Case(
            atoms, case.TimedCalculator(EMT(), clock), 5.0, SETTINGS, 0, {}, None, clock
        )
        values = crystals.measure_relaxed(measuring)
        remarks = [f.remark for f in crystals.judge_relaxed(values, {"relaxed": values}, SETTINGS)]
        assert any("into another structure" in text for text in remarks) is expected


def test_phonons_that_the_time_does_not_suffice_for_are_left_at_once(slow):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)  # no symmetry: many displacements
    clock = case.Clock(5)
    timed = case.TimedCalculator(slow, clock)
    own = {"relaxed": {"cell": atoms.cell.tolist(), "positions": atoms.positions.tolist()}}
    measuring = case.Case(atoms, timed, 5.0, SETTINGS, 0, own, None, clock)
    with pytest.raises(case.NotDone, match=r"does not suffice for 24 displacements of 0\.5 s"):
        crystals.measure_phonons(measuring)
    assert timed.calls == 1


def test_a_temperature_at_which_the_parent_breaks_is_told_with_the_mend(copper):
    hot = SETTINGS.model_copy(update={"temperatures": [600.0]})
    outcomes = {name: dict(found) for name, found in copper.outcomes.items()}
    run = outcomes["Cu4"]["dynamics 600 K"]
    broken = {
        **run.values,
        "broke": "the temperature exceeds 10 times that asked for",
        "frames": [],
    }
    outcomes["Cu4"]["dynamics 600 K"] = run.model_copy(update={"values": broken})
    parent = copper.model_copy(update={"outcomes": outcomes})
    (told,) = suite.what_was_cut(copper.outcomes, parent, hot)
    assert "the parent itself breaks" in told and "choose a lower temperature" in told


def test_checks_that_were_measured_are_not_measured_again(copper, tmp_path):
    kept = suite.Kept(tmp_path / "kept.json", {"seed": 0})
    first = measured(EMT(), SAMPLES[:1], QUICK, copper, kept=kept)

    def never(atoms, results):
        raise AssertionError("computed again")

    again = measured(Changed(never), SAMPLES[:1], QUICK, copper, kept=kept)
    assert again == first
    other = suite.Kept(kept.path, {"seed": 1})
    assert other.read() == {}


def test_one_structure_ends_no_other(copper):
    broken = Sample.of(Atoms("CuXe", [[0, 0, 0], [0, 0, 2.2]]), "CuXe", "made")  # unknown to EMT
    own = measured(EMT(), [broken, *SAMPLES[:1]], QUICK)
    assert {each.values for each in own.outcomes["CuXe"].values()} == {None}
    assert own.values("Cu4")


@pytest.mark.parametrize(
    ("energies", "depth"),
    [
        ([9, 4, 1, 0], 0),  # it rises all the way
        ([1, 4, 1, 0], 3),  # a hole inside
        ([9, 4, -0.3, 0], 0),  # its minimum lies farther in
        ([-5, -3, -1, 0], 5),  # it never rises
    ],
)
def test_holes(energies, depth):
    assert hole(np.array(energies, dtype=float), 0.1)[0] == pytest.approx(depth)


def test_where_the_parent_falls_itself_nothing_is_compared():
    distances = np.linspace(0.5, 1.5, 6)
    energies = np.array([-9.0, 5.0, 3.0, 0.0, 0.2, 0.3])
    assert repulsive_range(distances, energies, 0.1) == (1, 3)


def test_libraries_are_imported_by_the_checks_that_need_them_only():
    code = (
        "import sys, irrepress.api, irrepress.evaluation.physics.suite\n"
        "sys.exit(not {'matcalc', 'phonopy', 'pymatgen'}.isdisjoint(sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
