from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from ase.build import bulk

from irrepress.core.structure import Structure
from irrepress.evaluation.symmetry import check_symmetry


@pytest.mark.parametrize("native", [True, False])
def test_a_real_model_passes(small_sevennet_double, structures, native):
    for structure in structures:
        checks = check_symmetry(small_sevennet_double, structure, native=native)
        assert checks["inversion"] is None
        for name in ("rotation", "translation", "permutation"):
            assert checks[name] < 1e-10, name
        assert checks["finite_difference"] < 1e-4


def broken_in(model, broken: bool, change):
    """The model with predictions changed in its family's own code, or in the faster one."""

    class Broken(type(model.family)):
        def predict(self, model, batch, create_graph, native):
            found = super().predict(model, batch, create_graph, native)
            return change(found) if native == broken else found

    model = deepcopy(model)
    model.family = Broken()
    return model


def one_component_scaled(prediction):
    """Still a smooth energy, but no longer invariant."""
    scale = torch.tensor([1.0, 1.0, 1.1], dtype=prediction.forces.dtype)
    return replace(prediction, forces=prediction.forces * scale)


@pytest.mark.parametrize("native", [True, False])
def test_a_broken_model_is_found_out(small_sevennet_double, structures, native):
    model = broken_in(small_sevennet_double, native, one_component_scaled)
    structure = structures[1]
    checks = check_symmetry(model, structure, components=24, native=native)
    assert checks["rotation"] > 1e-3
    assert checks["finite_difference"] > 1e-3
    assert checks["translation"] < 1e-9
    whole = check_symmetry(model, structure, native=not native)
    assert whole["rotation"] < 1e-9


def test_without_forces_nothing_has_a_value(small_sevennet_double):
    atom = Structure.unlabelled(bulk("Fe"))
    checks = check_symmetry(small_sevennet_double, atom)
    assert set(checks.values()) == {None}
