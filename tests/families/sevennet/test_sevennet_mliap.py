"""sevenn's object for ML-IAP: other architectures, and the level of theory asked for."""

import sys

import numpy as np
import pytest
from ase.build import bulk, molecule

from irrepress.deploy.target import get_target, load_script


@pytest.mark.parametrize(
    ("changes", "modal"),
    [
        ({"self_connection_type": "linear", "is_parity": True}, None),
        ({"is_parity": False, "lmax": 3}, None),
        (
            {
                "use_modality": True,
                "_number_of_modalities": 2,
                "_modal_map": {"PBE": 0, "R2SCAN": 1},
                "use_modal_self_inter_intro": True,
                "use_modal_output_block": True,
                "use_modal_wise_shift": True,
                "shift": [[-1.5] * 7, [-2.5] * 7],
                "scale": [2.0] * 7,
            },
            "R2SCAN",
        ),
    ],
    ids=["linear", "so3", "modal"],
)
def test_the_object_gives_what_sevenn_gives(sevennet, checkpoint_writer, tmp_path, changes, modal):
    path = checkpoint_writer(tmp_path / "model.pt", **changes)
    model = sevennet.load(path, modal=modal)
    model.save(path)
    target = get_target("mliap")
    expected = sevennet.calculator(path, device="cpu", modal=modal)
    target.write(model, tmp_path)
    assert "lammps" not in sys.modules  # what stood in for it is gone
    for name, text in target.scripts(model).items():
        (tmp_path / name).write_text(text)
    runtime = load_script(tmp_path / "runtime.py")
    for seed, atoms in enumerate([bulk("NaCl", "rocksalt", a=5.0), molecule("H2O")]):
        atoms.rattle(0.1, seed=seed)
        expected.calculate(atoms, ["energy", "forces"])
        found = runtime.compute(atoms)
        assert found["energy"] == pytest.approx(expected.results["energy"], abs=1e-6 * len(atoms))
        forces = expected.results["forces"]
        np.testing.assert_allclose(found["forces"], forces, atol=1e-5 * abs(forces).max())
