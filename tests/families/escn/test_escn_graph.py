"""Our graphs and our way through the network against fairchem's own."""

import numpy as np
import pytest
import torch

pytest.importorskip("fairchem.core", reason="fairchem-core is not installed in this environment")

from fairchem.core import FAIRChemCalculator
from fairchem.core.datasets.atomic_data import AtomicData, atomicdata_list_to_batch
from fairchem.core.graph.compute import generate_graph
from fairchem.core.units.mlip_unit import load_predict_unit
from fairchem.core.units.mlip_unit.api.inference import inference_settings_batch

from irrepress.families.escn import forward


def as_fairchem(structures):
    data = []
    for structure in structures:
        atoms = structure.without_labels().to_atoms()
        atoms.info.update(charge=0, spin=0)
        data.append(
            AtomicData.from_ase(
                atoms, task_name="omat", r_data_keys=["spin", "charge"], target_dtype=torch.float64
            )
        )
    return atomicdata_list_to_batch(data)


def in_order(index, vectors):
    """Edges as rows of both ends and the vector, in an order that is the same for everybody."""
    rows = np.concatenate([index.T, vectors], axis=1)
    return rows[np.lexsort(np.round(rows, 6).T)]


@pytest.mark.parametrize("most", [300, 20, 1])
def test_graphs_are_fairchems_own(make_escn, many, most):
    model = make_escn(max_neighbors=most, cutoff=4.2)
    data = as_fairchem(many)
    expected = generate_graph(data, 4.2, most, False, 2, pbc=data.pbc)
    found = model.batch(many).inputs
    rows = in_order(found["index"].numpy(), found["vectors"].numpy())
    own = in_order(expected["edge_index"].numpy(), expected["edge_distance_vec"].numpy())
    assert rows.shape == own.shape
    assert np.allclose(rows, own, rtol=0, atol=1e-6)


def test_every_step_is_fairchems(small_escn, structures):
    """Our way through the modules gives what fairchem's forward pass gives."""
    batch = small_escn.batch(structures)
    found = forward.run(small_escn, forward.begin(small_escn, batch.inputs))
    network = small_escn.network
    out = network(as_fairchem(structures))
    features = network.backbone.norm(found.features)
    torch.testing.assert_close(
        out["embeddings"]["embeddings"], features.detach(), rtol=1e-9, atol=1e-9
    )
    prediction = small_escn.predict(batch)
    torch.testing.assert_close(out["energy"]["energy"].detach(), prediction.energy)
    torch.testing.assert_close(
        out["forces"]["forces"].detach(), prediction.forces, rtol=1e-8, atol=1e-10
    )
    stress = out["stress"]["stress"].detach()[:2].view(-1, 3, 3)
    voigt = stress[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    torch.testing.assert_close(voigt, prediction.stress[:2], rtol=1e-7, atol=1e-10)


def test_scale_and_references_are_fairchems(escn, make_escn, structures, tmp_path):
    """Total energies in eV: the normalizer and the references of a task count as in fairchem."""
    model = make_escn()
    references = [0.0, *(-10.0 - z for z in range(1, 20))]
    tasks = model.native["tasks_config"]
    tasks[0]["normalizer"].update(mean=-2.5, rmsd=1.7)
    for task in tasks[1:]:
        task["normalizer"]["rmsd"] = 1.7
    tasks[0]["element_references"]["element_references"]["_args_"] = [references]
    model.save(tmp_path / "model.pt")
    settings = inference_settings_batch()
    settings.base_precision_dtype = torch.float64
    unit = load_predict_unit(tmp_path / "model.pt", inference_settings=settings, device="cpu")
    calculator = FAIRChemCalculator(unit, task_name="omat")
    loaded = escn.load(tmp_path / "model.pt", dtype=torch.float64)
    batch = loaded.batch(structures)
    found = loaded.predict(batch)
    for i, structure in enumerate(structures):
        atoms = structure.without_labels().to_atoms()
        atoms.calc = calculator
        assert atoms.get_potential_energy() == pytest.approx(float(found.energy[i]), rel=1e-6)
        own = found.forces[batch.structure == i].numpy()
        assert np.abs(atoms.get_forces() - own).max() < 1e-6 * np.abs(own).max()
    expected = sum(references[z] for z in structures[2].numbers) - 2.5
    raw = forward.read_out(
        loaded,
        forward.run(loaded, forward.begin(loaded, loaded.batch(structures[2:]).inputs)),
    )
    assert float(found.energy[2]) == pytest.approx(expected + 1.7 * float(raw.sum()))
