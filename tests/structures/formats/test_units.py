"""Factors against numbers computed by hand from CODATA 2014, and signs."""

import numpy as np
import pytest
from ase.calculators.emt import EMT
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.config import LabelKeys, Units
from irrepress.structures.formats.labels import Frame, Labels
from irrepress.structures.formats.units import ENERGY, LENGTH, STRESS, Factors

CUBE = np.diag([2.0, 3.0, 4.0])  # 24 Å^3


def structure(units, results, cell=CUBE, pbc=True):
    frame = Frame(
        numbers=np.array([1]),
        positions=np.array([[0.5, 1.0, 1.5]]),
        cell=cell,
        pbc=np.full(3, pbc),
        results={"energy": 2.0, "forces": [[1.0, -2.0, 3.0]], **results},
        fields={},
        where="here",
    )
    return Labels(LabelKeys(), units).structure(frame)


@pytest.mark.parametrize(
    ("table", "unit", "factor"),
    [
        (ENERGY, "eV", 1),
        (ENERGY, "meV", 0.001),
        (ENERGY, "Hartree", 27.21138602),
        (ENERGY, "kcal/mol", 0.0433641039),  # 4184 / 6.022140857e23 / 1.6021766208e-19
        (ENERGY, "kJ/mol", 0.01036426957),
        (LENGTH, "Bohr", 0.52917721067),
        (LENGTH, "nm", 10),
        (STRESS, "GPa", 6.241509126e-3),  # 1e9 * 1e-30 / 1.6021766208e-19
        (STRESS, "kbar", 6.241509126e-4),  # 1 kbar = 0.1 GPa
    ],
)
def test_factors(table, unit, factor):
    assert table[unit] == pytest.approx(factor, rel=1e-8)


def test_energies_lengths_and_forces_are_converted_together():
    read = structure(Units(energy="Hartree", length="Bohr"), {})
    assert read.energy == pytest.approx(54.42277204)
    np.testing.assert_allclose(read.forces[0], np.array([1, -2, 3]) * 51.42206707, rtol=1e-7)
    np.testing.assert_allclose(read.positions[0], np.array([0.5, 1, 1.5]) * 0.52917721067)
    np.testing.assert_allclose(read.cell, CUBE * 0.52917721067)


def test_what_is_in_our_units_stays_bit_for_bit():
    stress = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    read = structure(Units(), {"stress": stress})
    assert read.energy == 2.0
    assert read.stress.tolist() == stress.tolist()
    assert read.forces.tolist() == [[1.0, -2.0, 3.0]]


MATRIX = np.array([[10.0, 6.0, 5.0], [6.0, 20.0, 4.0], [5.0, 4.0, 30.0]])
VOIGT = np.array([10.0, 20.0, 30.0, 4.0, 5.0, 6.0])


@pytest.mark.parametrize("value", [MATRIX, MATRIX.ravel(), VOIGT])
def test_stress_in_every_shape_ends_in_voigt_order(value):
    read = structure(Units(stress="kbar", stress_sign="vasp"), {"stress": value})
    np.testing.assert_allclose(read.stress, -6.241509126e-4 * VOIGT, rtol=1e-8)


@pytest.mark.parametrize(
    ("sign", "stress", "expected"),
    [
        ("ase", "GPa", 6.241509126e-3),
        ("vasp", "GPa", -6.241509126e-3),
        ("ase", "virial", -1 / 24),  # stress = -virial / volume
        ("vasp", "virial", 1 / 24),
    ],
)
def test_signs(sign, stress, expected):
    read = structure(Units(stress=stress, stress_sign=sign), {"stress": VOIGT})
    np.testing.assert_allclose(read.stress, expected * VOIGT, rtol=1e-8)


def test_a_virial_is_in_the_unit_of_energy_and_its_volume_in_that_of_length():
    units = Units(energy="Hartree", length="Bohr", stress="virial")
    read = structure(units, {"stress": MATRIX})
    volume = 24 * 0.52917721067**3
    np.testing.assert_allclose(read.stress, -27.21138602 / volume * VOIGT, rtol=1e-8)


def test_a_molecule_has_no_stress_however_its_virial_reads():
    read = structure(Units(stress="virial"), {"stress": MATRIX}, cell=np.zeros((3, 3)), pbc=False)
    assert np.isnan(read.stress).all()


def test_asymmetry_counts_in_our_units():
    """A published stress of 0.2 kbar may be rounded to 0.01 kbar."""
    noisy = np.full((3, 3), 0.2) + np.array([[0, 0.01, 0], [0, 0, 0], [0, 0, 0]])
    structure(Units(stress="kbar"), {"stress": noisy})
    with pytest.raises(Exception, match="not symmetric"):
        structure(Units(), {"stress": noisy})


@settings(deadline=None)
@given(
    energy=st.sampled_from(list(ENERGY)),
    length=st.sampled_from(list(LENGTH)),
    stress=st.sampled_from([*STRESS, "virial"]),
    sign=st.sampled_from(["ase", "vasp"]),
)
def test_a_physical_structure_reads_the_same_from_any_units(energy, length, stress, sign):
    """Energy differences stay force times displacement, and stress is -virial/volume."""
    units = Units(energy=energy, length=length, stress=stress, stress_sign=sign)
    flip = {"ase": 1, "vasp": -1}[sign]
    cell = CUBE / LENGTH[length]
    factor = STRESS.get(stress) or -ENERGY[energy] / 24
    written = {
        "energy": 2.0 / ENERGY[energy],
        "forces": np.array([[1.0, -2.0, 3.0]]) * LENGTH[length] / ENERGY[energy],
        "stress": flip * VOIGT / factor,
    }
    read = structure(units, written, cell=cell)
    assert read.energy == pytest.approx(2)
    np.testing.assert_allclose(read.forces, [[1, -2, 3]])
    np.testing.assert_allclose(read.stress, VOIGT)
    np.testing.assert_allclose(read.cell, CUBE)


def test_the_sign_is_that_of_ase():
    """A stretched crystal pulls itself together: its stress is positive."""
    from ase.build import bulk

    atoms = bulk("Cu", a=3.8)
    atoms.calc = EMT()
    stress = atoms.get_stress()
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    kbar = -stress / STRESS["kbar"]
    read = structure(
        Units(stress="kbar", stress_sign="vasp"), {**results, "stress": kbar}, atoms.cell.array
    )
    assert read.stress[:3].min() > 0
    np.testing.assert_allclose(read.stress, stress)


def test_factors_of_stress_do_not_depend_on_handedness():
    assert Factors(Units(stress="virial")).stress(-CUBE) == pytest.approx(-1 / 24)
