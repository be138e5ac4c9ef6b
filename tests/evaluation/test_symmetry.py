import torch

from irrepress.evaluation.symmetry import check_symmetry


def test_a_real_model_passes(sevennet, small_sevennet_double, structures):
    for structure in structures:
        checks = check_symmetry(sevennet, small_sevennet_double, structure)
        assert checks["inversion"] is None
        for name in ("rotation", "translation", "permutation"):
            assert checks[name] < 1e-10, name
        assert checks["finite_difference"] < 1e-4


def test_a_broken_model_is_found_out(sevennet, small_sevennet_double, structures):
    """One component of a vector scaled: still a smooth energy, but no longer invariant."""

    class Broken(type(sevennet)):
        def predict(self, model, batch, *, create_graph=False):
            prediction = super().predict(model, batch, create_graph=create_graph)
            scale = torch.tensor([1.0, 1.0, 1.1], dtype=prediction.forces.dtype)
            return type(prediction)(prediction.energy, prediction.forces * scale, prediction.stress)

    checks = check_symmetry(Broken(), small_sevennet_double, structures[1], components=24)
    assert checks["rotation"] > 1e-3
    assert checks["finite_difference"] > 1e-3
    assert checks["translation"] < 1e-9
