"""Symmetry and derivatives of narrowed models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from irrepress.core.family import Family
from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.evaluation.checks import FINITE_DIFFERENCE_TOLERANCE, SYMMETRY_TOLERANCE
from irrepress.evaluation.symmetry import check_symmetry
from irrepress.testing.comparisons import labels_of, voigt_to_matrix
from irrepress.testing.fixtures import FamilyFixtures


class SymmetryTests(FamilyFixtures):
    """Tests of equivariance, forces and stress in float64, of both codes."""

    def test_narrowed_model_is_equivariant(
        self, narrowed: Model, structures: list[Structure]
    ) -> None:
        crystal = structures[0]
        rng = np.random.default_rng(5)
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        rotation *= np.linalg.det(rotation)
        base = labels_of(narrowed, crystal)
        scale = np.abs(base.forces).max()

        matrices = [rotation]
        if narrowed.has_reflections():
            matrices.append(-np.eye(3))
        for matrix in matrices:
            turned = replace(
                crystal, positions=crystal.positions @ matrix.T, cell=crystal.cell @ matrix.T
            )
            found = labels_of(narrowed, turned)
            assert found.energy == pytest.approx(base.energy, rel=1e-10)
            assert np.abs(found.forces - base.forces @ matrix.T).max() < 1e-10 * scale
            stress = matrix @ voigt_to_matrix(base.stress) @ matrix.T
            assert np.allclose(voigt_to_matrix(found.stress), stress, rtol=1e-9, atol=1e-12)

        shift = rng.normal(size=3)
        moved = labels_of(narrowed, replace(crystal, positions=crystal.positions + shift))
        assert moved.energy == pytest.approx(base.energy, rel=1e-10)
        assert np.abs(moved.forces - base.forces).max() < 1e-10 * scale

        order = rng.permutation(len(crystal))
        permuted = replace(
            crystal, numbers=crystal.numbers[order], positions=crystal.positions[order]
        )
        found = labels_of(narrowed, permuted)
        assert found.energy == pytest.approx(base.energy, rel=1e-10)
        assert np.abs(found.forces - base.forces[order]).max() < 1e-8 * scale

    @pytest.mark.parametrize("index", [0, 2])
    def test_narrowed_forces_are_derivatives(
        self, narrowed: Model, structures: list[Structure], index: int
    ) -> None:
        structure, step = structures[index], 1e-4
        base = labels_of(narrowed, structure)
        rng = np.random.default_rng(6)
        direction = rng.normal(size=structure.positions.shape)
        energies = [
            labels_of(
                narrowed, replace(structure, positions=structure.positions + s * direction)
            ).energy
            for s in (step, -step)
        ]
        slope = (energies[0] - energies[1]) / (2 * step)
        assert -np.sum(base.forces * direction) == pytest.approx(slope, rel=1e-5, abs=1e-6)

    @pytest.mark.parametrize("native", [True, False])
    def test_a_saved_model_passes_its_checks(
        self,
        family: Family,
        model: Model,
        groups: list[Group],
        structures: list[Structure],
        tmp_path: Path,
        native: bool,
    ) -> None:
        """By the family's own code, as users of the file run it, and by ours.

        A little is cut only: random networks of a few channels have next to no forces.
        """
        whole = Plan.identity(groups)
        less = {
            g.name: tuple(range(max(g.floor, g.channels - g.multiple)))
            for g in groups
            if g.axis == "channel"
        }
        plan, _ = model.native_plan(replace(whole, keep={**whole.keep, **less}))
        model.narrow(plan).save(tmp_path / "model.pt")
        model = family.load(tmp_path / "model.pt", modal=model.modal, dtype=torch.float64)
        found = check_symmetry(model, structures[1], seed=8, native=native)
        assert (found["inversion"] is not None) == model.has_reflections()
        difference = found.pop("finite_difference")
        assert difference is not None and difference < FINITE_DIFFERENCE_TOLERANCE
        assert max(v for v in found.values() if v is not None) < SYMMETRY_TOLERANCE

    def test_narrowed_stress_is_a_derivative(
        self, narrowed: Model, structures: list[Structure]
    ) -> None:
        crystal, step = structures[1], 1e-4
        base = labels_of(narrowed, crystal)
        strain = np.random.default_rng(7).normal(size=(3, 3))
        strain += strain.T
        energies = []
        for sign in (1, -1):
            deform = np.eye(3) + sign * step * strain
            strained = replace(
                crystal, positions=crystal.positions @ deform, cell=crystal.cell @ deform
            )
            energies.append(labels_of(narrowed, strained).energy)
        volume = abs(np.linalg.det(crystal.cell))
        slope = (energies[0] - energies[1]) / (2 * step) / volume
        work = np.sum(voigt_to_matrix(base.stress) * strain)
        assert work == pytest.approx(slope, rel=1e-5, abs=1e-7)
