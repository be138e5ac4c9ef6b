"""Factors against numbers computed by hand from CODATA 2014, and signs."""

import typing

import numpy as np
import pytest
from ase.calculators.emt import EMT
from hypothesis import given, settings
from hypothesis import strategies as st

from irrepress.core.errors import UserError
from irrepress.data.config import ForceUnit, LabelKeys, Units
from irrepress.data.formats.frame import Frame
from irrepress.data.formats.labels import LabelReader
from irrepress.data.units import ENERGY, FORCES, LENGTH, STRESS, Factors

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
    return LabelReader(LabelKeys(), units).structure(frame)


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
        (STRESS, "Mbar", 0.6241509126),
        (STRESS, "MPa", 6.241509126e-6),
        (STRESS, "bar", 6.241509126e-7),
        (STRESS, "atm", 6.324209122e-7),  # 101325 Pa
        (STRESS, "Hartree/Bohr^3", 183.6315353),  # 29421.01567 GPa
        (STRESS, "Ry/Bohr^3", 91.81576765),
        (STRESS, "kcal/mol/Å^3", 0.0433641039),
        (ENERGY, "Ry", 13.60569301),
        (FORCES, "Hartree/Bohr", 51.42206707),
        (FORCES, "Ry/Bohr", 25.71103353),
        (FORCES, "kcal/mol/Å", 0.0433641039),
        (FORCES, "kJ/mol/nm", 0.001036426957),
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
    assert Factors(Units(stress="virial")).virial(-CUBE) == pytest.approx(-1 / 24)


# --- units of their own, gradients, orders --------------------------------------------------


def test_every_force_unit_of_the_config_has_a_factor():
    for unit in typing.get_args(ForceUnit):
        assert structure(Units(forces=unit), {}).forces[0, 0] == pytest.approx(FORCES[unit])


def test_forces_may_have_a_unit_of_their_own():
    read = structure(Units(energy="Hartree", forces="Hartree/Bohr"), {})
    np.testing.assert_allclose(read.forces[0], np.array([1, -2, 3]) * 51.42206707, rtol=1e-7)
    np.testing.assert_array_equal(read.cell, CUBE)
    read = structure(Units(length="nm", forces="eV/Å"), {})
    assert read.forces.tolist() == [[1.0, -2.0, 3.0]]


def test_gradients_are_minus_the_forces():
    assert structure(Units(forces_sign="gradient"), {}).forces.tolist() == [[-1.0, 2.0, -3.0]]


@pytest.mark.parametrize(
    "order",
    ["xx yy zz xy yz xz", "XX YY ZZ XY YZ ZX", "xx, xy, xz, yy, yz, zz", "xx yy zz yz xz xy"],
)
def test_a_named_order_of_six_components(order):
    components = dict(zip(["xx", "yy", "zz", "yz", "xz", "xy"], range(1, 7), strict=True))
    units = Units(stress_order=order)
    given = np.array([components[name] for name in units.stress_order.split()], dtype=float)
    frame = one_frame({"own": given / 100})
    read = LabelReader(LabelKeys(stress="own"), units).structure(frame)
    np.testing.assert_array_equal(read.stress, np.arange(1, 7) / 100)
    assert not frame.notes


def test_what_ase_holds_stays_in_its_order():
    stress = np.arange(1, 7) / 100
    units = Units(stress_order="xx yy zz xy yz xz", stress="GPa", stress_sign="vasp")
    read = structure(units, {"stress": stress})
    np.testing.assert_allclose(read.stress, -stress * STRESS["GPa"])


@pytest.mark.parametrize("order", ["xx yy zz", "xx yy zz xy yz yz", "voigt"])
def test_orders_that_are_none(order):
    with pytest.raises(ValueError, match="does not name the six components xx yy zz yz xz xy"):
        Units(stress_order=order)


def test_a_guessed_order_is_noted_and_with_the_sign_of_vasp_refused():
    frame = one_frame({"own": np.arange(6) / 100})
    LabelReader(LabelKeys(stress="own"), Units()).structure(frame)
    assert frame.notes == ["six components of stress taken in the order xx yy zz yz xz xy"]
    with pytest.raises(UserError, match=r"here: .* set units.stress_order to 'xx yy zz xy yz xz'"):
        LabelReader(LabelKeys(stress="own"), Units(stress_sign="vasp")).structure(frame)


def test_a_virial_without_a_volume_is_noted():
    frame = one_frame({"own": np.eye(3)}, cell=np.zeros((3, 3)))
    read = LabelReader(LabelKeys(stress="own"), Units(stress="virial")).structure(frame)
    assert np.isnan(read.stress).all()
    assert frame.notes == ["virial of a structure without a volume gives no stress"]


def one_frame(fields, cell=CUBE):
    return Frame(
        numbers=np.array([1]),
        positions=np.zeros((1, 3)),
        cell=cell,
        pbc=np.full(3, True),
        results={"energy": 2.0},
        fields={"forces": np.zeros((1, 3)), **fields},
        where="here",
    )
