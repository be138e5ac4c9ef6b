"""fairchem's own code, as `predict(native=True)` runs it."""

import copy
import logging
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("fairchem.core", reason="fairchem-core is not installed in this environment")

from fairchem.core.units.mlip_unit import MLIPPredictUnit


def test_it_is_what_the_saved_files_calculator_gives(escn, make_escn, structures, tmp_path):
    model = make_escn(torch.float32)
    model.save(tmp_path / "model.pt")
    calculator = escn.calculator(tmp_path / "model.pt")
    found = model.predict(model.batch(structures), native=True)
    first = 0
    for i, structure in enumerate(structures):
        atoms = replace(structure, energy=np.nan).to_atoms()
        atoms.calc = calculator
        forces = found.forces[first : first + len(atoms)].numpy()
        first += len(atoms)
        assert atoms.get_potential_energy() == pytest.approx(float(found.energy[i]), rel=1e-6)
        assert np.abs(atoms.get_forces() - forces).max() < 1e-4 * np.abs(forces).max()
        if structure.pbc.all():
            stress = found.stress[i].numpy()
            assert np.abs(atoms.get_stress() - stress).max() < 1e-5 * np.abs(stress).max()


def test_the_predict_unit_has_the_calculators_settings(make_escn, structures, monkeypatch):
    """Those named ``batch``: messages are computed anew in the backward pass, unlike in ours."""
    units = []
    original = MLIPPredictUnit.predict
    monkeypatch.setattr(
        MLIPPredictUnit, "predict", lambda self, data: (units.append(self), original(self, data))[1]
    )
    model = make_escn()
    model.predict(model.batch(structures), native=True)
    backbone = units[0].model.module.backbone
    assert backbone is not model.network.backbone
    assert all(b.edge_wise.activation_checkpoint_chunk_size for b in backbone.blocks)
    assert not any(
        b.edge_wise.activation_checkpoint_chunk_size for b in model.network.backbone.blocks
    )


def test_new_weights_and_references_count(small_escn, structures):
    model = copy.deepcopy(small_escn)
    batch = model.batch(structures)
    before = model.predict(batch, native=True)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(1.01)
    model.shift_energies({14: 1.0})
    after = model.predict(batch, native=True)
    assert not torch.allclose(after.forces, before.forces)
    expected = model.predict(batch)
    torch.testing.assert_close(after.energy, expected.energy, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(after.forces, expected.forces, rtol=0, atol=1e-7)


def test_nothing_else_in_the_process_changes(make_escn, structures, caplog):
    """fairchem seeds all generators and announces itself; trainings must not notice."""
    model = make_escn()
    batch = model.batch(structures)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    level = logging.root.level
    model.predict(batch, native=True)
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])
    assert logging.root.level == level
    assert "inference settings" not in caplog.text
    assert all(p.requires_grad for p in model.network.output_heads.parameters())


def test_gates_are_refused(small_escn, structures):
    batch = small_escn.batch(structures)
    with small_escn.gated({}), pytest.raises(RuntimeError, match="does not gate"):
        small_escn.predict(batch, native=True)
