"""The TorchScript for CPUs: sevenn's interface, sevenn's results, for every shape of network."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from sevenn.calculator import SevenNetCalculator
from sevenn.scripts.deploy import deploy

from irrepress.core.errors import UserError
from irrepress.core.family import WritesFastTorchScript
from irrepress.core.structure import Structure
from irrepress.families.sevennet.torchscript import (
    _activation,
    activate,
    lammps_inputs,
    make_network,
    run_as_lammps,
)
from irrepress.testing import random_plan

TOLERANCE = 1e-5  # of the largest force
_KINDS = {
    1: torch.nn.functional.silu,
    2: torch.tanh,
    3: lambda x: torch.nn.functional.softplus(x) - np.log(2),
    4: torch.sigmoid,
    5: torch.relu,
    6: torch.nn.functional.elu,
    7: torch.abs,
    0: lambda x: x,
}


def crystal() -> Atoms:
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def alcohol() -> Atoms:
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=2)
    return atoms


def surface() -> Atoms:
    """Atoms with few neighbours and with many, and one that is alone."""
    atoms = bulk("Si", cubic=True) * (1, 1, 2)
    atoms.set_cell(atoms.cell.array + np.diag([0, 0, 15.0]))
    atoms += Atoms("O", positions=[[1.0, 2.0, 18.5]])
    atoms.rattle(0.1, seed=3)
    return atoms


STRUCTURES = {
    "crystal": crystal,
    "another order of elements": lambda: crystal()[::-1],
    "molecule": alcohol,
    "surface": surface,
    "one atom": lambda: Atoms("Na", cell=[20.0] * 3, pbc=True),
    "one free atom": lambda: Atoms("O"),
}


def written(model, path):
    model.family.write_torchscript(model, path)
    return torch.jit.load(path)


def inputs_of(model, structure):
    """What LAMMPS gives, in the model's type."""
    return lammps_inputs(model, structure, model.dtype)


def check(network, model, structure):
    """Compare with sevenn's own code, in the model's type."""
    expected = model.predict(model.batch([structure]), native=True)
    energy, forces, virial = run_as_lammps(network, inputs_of(model, structure))
    largest = float(expected.forces.abs().max())
    assert float((forces - expected.forces).abs().max()) <= TOLERANCE * largest
    # In float32, shifts of several eV hide the energies that they are added to.
    rounded = 5e-6 * len(structure) if model.dtype == torch.float32 else 0.0
    assert float(energy) == pytest.approx(
        float(expected.energy[0]), abs=TOLERANCE * largest + rounded, rel=2e-7
    )
    if structure.pbc.all():
        volume = float(np.linalg.det(structure.cell))
        stress = ((virial + virial.T) / 2 / volume).flatten()[[0, 4, 8, 5, 2, 1]]
        scale = largest * model.cutoff / volume * len(structure)
        assert float((stress - expected.stress[0]).abs().max()) <= TOLERANCE * scale


@pytest.fixture(scope="module")
def models(sevennet, sevennet_0, small_sevennet_double, checkpoint_writer, tmp_path_factory):
    """Name -> function that makes a model; small ones, whose forces are tiny, in float64."""
    small_sevennet = small_sevennet_double
    folder = tmp_path_factory.mktemp("tiny")

    def tiny(name, **changes):
        checkpoint_writer(folder / f"{name}.pth", **changes)
        return sevennet.load(folder / f"{name}.pth", dtype=torch.float64)

    return {
        "7net-0": lambda: sevennet_0,
        "7net-l3i5": lambda: sevennet.load("7net-l3i5"),
        "7net-mf-0": lambda: sevennet.load("7net-mf-0", modal="R2SCAN"),
        "narrow": lambda: small_sevennet,
        "ragged": lambda: small_sevennet.narrow(
            small_sevennet.native_plan(random_plan(small_sevennet.groups(), 1, None, None))[0]
        ),
        "fewer layers": lambda: small_sevennet.with_layers([0, 2, 4]),
        "two layers": lambda: small_sevennet.with_layers([0, 4]),
        "shorter cutoff": lambda: small_sevennet.with_cutoff(4.2),
        "nequip": lambda: tiny("nequip"),
        "one parity": lambda: tiny("even", is_parity=False, self_connection_type="linear"),
        "MLP readout": lambda: tiny(
            "mlp",
            readout_as_fcn=True,
            readout_fcn_hidden_neurons=[6, 3],
            readout_fcn_activation="tanh",
        ),
        "not normalized": lambda: tiny("raw", _normalize_sph=False),
        "other activations": lambda: tiny(
            "ssp",
            act_scalar={"e": "ssp", "o": "abs"},
            act_gate={"e": "ssp", "o": "tanh"},
            act_radial="ssp",
        ),
    }


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("7net-0", marks=pytest.mark.slow),
        pytest.param("7net-l3i5", marks=pytest.mark.slow),
        pytest.param("7net-mf-0", marks=pytest.mark.slow),
        "narrow",
        "ragged",
        "fewer layers",
        "two layers",
        "shorter cutoff",
        "nequip",
        "one parity",
        "MLP readout",
        "not normalized",
        "other activations",
    ],
)
def test_results_are_those_of_sevenn(models, name, tmp_path):
    model = models[name]()
    network = written(model, tmp_path / "fast.pt")
    for make in STRUCTURES.values():
        check(network, model, Structure.unlabelled(make()))


@pytest.mark.slow
def test_results_are_those_of_the_calculator_and_of_the_file_of_sevenn(sevennet_0, tmp_path):
    sevennet_0.save(tmp_path / "model.pth")
    deploy(str(tmp_path / "model.pth"), str(tmp_path / "own.pt"))
    own, fast = torch.jit.load(tmp_path / "own.pt"), written(sevennet_0, tmp_path / "fast.pt")
    calculator = SevenNetCalculator(str(tmp_path / "model.pth"), device="cpu")
    for name in ("crystal", "molecule"):
        atoms = STRUCTURES[name]()
        atoms.calc = calculator
        inputs = lammps_inputs(sevennet_0, Structure.unlabelled(atoms))
        expected, found = run_as_lammps(own, inputs), run_as_lammps(fast, inputs)
        largest = float(expected[1].abs().max())
        assert torch.allclose(found[1], expected[1], rtol=0, atol=TOLERANCE * largest)
        assert torch.allclose(found[2], expected[2], rtol=0, atol=1e-4 * largest)
        assert float(found[0]) == pytest.approx(float(expected[0]), abs=TOLERANCE)
        assert np.allclose(found[1], atoms.get_forces(), rtol=0, atol=TOLERANCE * largest)
        outputs = [network(inputs)["atomic_energy"].detach() for network in (own, fast)]
        assert outputs[1].shape == outputs[0].shape and torch.allclose(*outputs, atol=TOLERANCE)


def test_the_file_says_what_that_of_sevenn_says(small_sevennet, tmp_path):
    small_sevennet.save(tmp_path / "model.pth")
    deploy(str(tmp_path / "model.pth"), str(tmp_path / "own.pt"))
    small_sevennet.family.write_torchscript(small_sevennet, tmp_path / "fast.pt")
    keys = "chemical_symbols_to_index cutoff num_species flashTP oeq model_type version dtype time"
    told = []
    for name in ("own", "fast"):
        extra = dict.fromkeys(keys.split(), "")
        torch.jit.load(tmp_path / f"{name}.pt", _extra_files=extra)
        told.append({key: bytes(value).strip() for key, value in extra.items() if key != "time"})
        assert extra["time"]
    assert told[0] == told[1]


def test_the_same_model_gives_the_same_file(small_sevennet, tmp_path):
    for name in ("first", "second"):
        small_sevennet.family.write_torchscript(small_sevennet, tmp_path / name)
    inputs = lammps_inputs(small_sevennet, Structure.unlabelled(crystal()))
    first, second = (
        run_as_lammps(torch.jit.load(tmp_path / name), inputs) for name in ("first", "second")
    )
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


def test_forces_are_slopes_of_the_energy(small_sevennet_double):
    """On the module in float64, as written: its splines are smooth, and forces are theirs."""
    network = torch.jit.script(make_network(small_sevennet_double))
    inputs = inputs_of(small_sevennet_double, Structure.unlabelled(crystal()))
    vectors = inputs["edge_vec"]
    leaf = vectors.clone().requires_grad_(True)
    energy = network({**inputs, "edge_vec": leaf})["inferred_total_energy"]
    (slopes,) = torch.autograd.grad(energy, leaf)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        direction = torch.randn(vectors.shape, generator=generator, dtype=torch.float64)
        step = 1e-4
        ends = [
            float(
                network({**inputs, "edge_vec": vectors + sign * step * direction})[
                    "inferred_total_energy"
                ].detach()
            )
            for sign in (1, -1)
        ]
        expected = (ends[0] - ends[1]) / (2 * step)
        assert float((slopes * direction).sum()) == pytest.approx(expected, rel=1e-6)


def test_chunks_and_the_order_of_edges_change_nothing(small_sevennet_double):
    inputs = inputs_of(small_sevennet_double, Structure.unlabelled(surface()))
    network = make_network(small_sevennet_double)
    shuffled = torch.randperm(len(inputs["edge_vec"]), generator=torch.Generator().manual_seed(0))
    other = {
        **inputs,
        "edge_index": inputs["edge_index"][:, shuffled],
        "edge_vec": inputs["edge_vec"][shuffled],
    }
    results = []
    for at_once in (1, 64, 10**6):
        network.edges.at_once = at_once
        scripted = torch.jit.script(network)
        results += [run_as_lammps(scripted, each) for each in (inputs, other)]
    largest = float(results[0][1].abs().max())
    for energy, forces, _ in results[1:]:
        assert float(energy) == pytest.approx(float(results[0][0]), rel=1e-12)
        assert torch.allclose(forces, results[0][1], rtol=0, atol=1e-9 * largest)


def test_calls_with_other_structures_in_between(small_sevennet_double, tmp_path):
    """PyTorch compiles a module anew after its first calls, for the shapes that it saw."""
    network = written(small_sevennet_double, tmp_path / "fast.pt")
    for _ in range(3):
        for name in ("crystal", "molecule"):
            check(network, small_sevennet_double, Structure.unlabelled(STRUCTURES[name]()))


def test_inputs_are_not_changed(small_sevennet, tmp_path):
    network = written(small_sevennet, tmp_path / "fast.pt")
    inputs = lammps_inputs(small_sevennet, Structure.unlabelled(crystal()))
    before = {key: value.clone() for key, value in inputs.items()}
    output = network(inputs)
    assert inputs.keys() == before.keys() < output.keys()
    assert all(torch.equal(inputs[key], value) for key, value in before.items())


@pytest.mark.parametrize("kind", _KINDS)
def test_activations_have_their_slopes(kind):
    values = torch.linspace(-3, 3, 100, dtype=torch.float64, requires_grad=True)
    expected = 1.5 * _KINDS[kind](values)
    (slopes,) = torch.autograd.grad(expected.sum(), values)
    found = activate(values.detach(), kind, 1.5)
    assert torch.allclose(found[0], expected) and torch.allclose(found[1], slopes)


def test_an_activation_that_the_file_does_not_know_is_refused():
    with pytest.raises(UserError, match="sevenn get_model"):
        _activation(torch.sin)


def test_the_family_offers_it(sevennet):
    assert isinstance(sevennet, WritesFastTorchScript)
