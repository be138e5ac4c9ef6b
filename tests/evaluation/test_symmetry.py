import copy

import torch

from irrepress.evaluation.symmetry import check_symmetry


def test_a_real_model_passes(sevennet, small_sevennet, structures):
    model = copy.deepcopy(small_sevennet).double()
    for structure in structures:
        checks = check_symmetry(sevennet, model, structure)
        assert checks["inversion"] is None
        for name in ("rotation", "translation", "permutation"):
            assert checks[name] < 1e-9, name
        assert checks["finite_difference"] < 1e-6


def test_a_broken_model_is_found_out(sevennet, small_sevennet, structures):
    """One component of a vector scaled: still a smooth energy, but no longer invariant."""
    model = copy.deepcopy(small_sevennet).double()

    class Broken(type(sevennet)):
        def predict(self, model, batch, *, create_graph=False):
            prediction = super().predict(model, batch, create_graph=create_graph)
            scale = torch.tensor([1.0, 1.0, 1.1], dtype=prediction.forces.dtype)
            return type(prediction)(prediction.energy, prediction.forces * scale, prediction.stress)

    checks = check_symmetry(Broken(), model, structures[1])
    assert checks["rotation"] > 1e-3
    assert checks["finite_difference"] > 1e-3
    assert checks["translation"] < 1e-9
