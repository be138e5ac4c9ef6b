"""Native files: what loads, what is refused, and what MACE's own programs make of ours."""

import copy
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from elsewhere import run_without_irrepress

# Not "mace" alone: that is the name of this folder, too.
pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.evaluation.predictions import label
from irrepress.families.mace.package import CodeGenMixin, blocks


@pytest.fixture(scope="module")
def pruned(gst):
    """The model for Ge-Sb-Te: fewer channels, messages, orders, radial and readout widths."""
    groups = gst.groups()
    plan = Plan.random(groups, np.random.default_rng(2))
    keep = {**plan.keep, "filter.3o": ()}
    for t in range(2):  # MACE's own tools take one order of products for all layers
        keep[f"correlation.{t}"] = (0, 1)
    plan, _ = gst.native_plan(Plan(keep, plan.channels))
    return gst.narrow(plan)


@pytest.fixture(scope="module")
def saved(pruned, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "pruned.model"
    pruned.save(path)
    return path


@pytest.fixture(scope="module")
def frames_file(pruned, gst_frames, tmp_path_factory):
    """Frames with labels by the model, in the form that mace reads."""
    path = tmp_path_factory.mktemp("frames") / "frames.extxyz"
    frames = []
    for structure in label(pruned, gst_frames[:4], batch_size=2):
        atoms = structure.to_atoms()
        results = atoms.calc.results
        atoms.calc = SinglePointCalculator(atoms)
        atoms.info["REF_energy"] = float(results["energy"])
        atoms.arrays["REF_forces"] = results["forces"]
        frames.append(atoms)
    ase.io.write(path, frames)
    return path


@pytest.mark.slow
def test_calculator_works_where_irrepress_is_not_installed(
    pruned, saved, frames_file, gst_frames, tmp_path
):
    code = """
        import ase.io
        from mace.calculators import MACECalculator
        calculator = MACECalculator(model_paths=sys.argv[1], device="cpu", default_dtype="float64")
        for atoms in ase.io.read(sys.argv[2], ":2"):
            atoms.calc = calculator
            print("found", atoms.get_potential_energy(), abs(atoms.get_forces()).max())
        assert not any(name.split(".")[0] == "irrepress" for name in sys.modules)
        assert not calculator.models[0].training
    """
    lines = [
        line.split()[1:]
        for line in run_without_irrepress(code, saved, frames_file, cwd=tmp_path).splitlines()
        if line.startswith("found")
    ]
    expected = list(label(pruned, gst_frames[:2], batch_size=2))
    assert len(lines) == 2
    for (energy, force), structure in zip(lines, expected, strict=True):
        assert float(energy) == pytest.approx(structure.energy, rel=1e-9)
        assert float(force) == pytest.approx(np.abs(structure.forces).max(), rel=1e-7)


@pytest.mark.slow
def test_mace_commands_take_the_model(mace, pruned, saved, frames_file, gst_frames, tmp_path):
    """Evaluation, export for LAMMPS, and the architecture as mace's own code reads it."""
    code = """
        import torch
        from mace.cli import create_lammps_model, eval_configs
        from mace.tools.scripts_utils import extract_config_mace_model, extract_model
        model, frames = sys.argv[1:]
        sys.argv = ["x", "--configs", frames, "--model", model, "--output", "out.extxyz",
                    "--default_dtype", "float64", "--batch_size", "2"]
        eval_configs.main()
        sys.argv = ["x", model, "--dtype", "float64"]
        create_lammps_model.main()
        network = torch.load(model, weights_only=False)
        config = extract_config_mace_model(network)
        again = extract_model(network)
        assert again.state_dict().keys() == network.state_dict().keys()
        for name, tensor in again.state_dict().items():
            torch.testing.assert_close(tensor, network.state_dict()[name], rtol=1e-6, atol=1e-6)
        print("hidden", config["hidden_irreps"], config["edge_irreps"], config["max_ell"])
    """
    local = tmp_path / "pruned.model"
    local.write_bytes(saved.read_bytes())
    printed = run_without_irrepress(code, local, frames_file, cwd=tmp_path)
    shape = pruned.shape()
    hidden, edges = shape["irreps"][1], shape["edge_irreps"][1]
    assert f"hidden {hidden} {edges} 2" in printed
    energies = [a.info["MACE_energy"] for a in ase.io.read(tmp_path / "out.extxyz", ":")]
    expected = list(label(pruned, gst_frames[:4], batch_size=2))
    assert np.allclose(energies, [s.energy for s in expected], rtol=1e-8)
    torch.jit.load(tmp_path / "pruned.model-lammps.pt")
    with pytest.raises(UserError, match=r"TorchScript archive.*give the \.model file"):
        mace.load(tmp_path / "pruned.model-lammps.pt")


@pytest.mark.slow
def test_mace_trains_on_from_the_model(mace, pruned, saved, frames_file, tmp_path):
    code = """
        from mace.cli import run_train
        model, frames = sys.argv[1:]
        sys.argv = ["x", "--name", "tuned", "--foundation_model", model, "--train_file", frames,
                    "--valid_fraction", "0.5", "--E0s", "{32: -0.03, 51: -0.03, 52: -0.03}",
                    "--batch_size", "1", "--valid_batch_size", "1", "--max_num_epochs", "1",
                    "--energy_key", "REF_energy", "--forces_key", "REF_forces",
                    "--default_dtype", "float64", "--device", "cpu", "--seed", "1",
                    "--multiheads_finetuning", "False", "--model_dir", ".", "--work_dir", "work",
                    "--save_all_checkpoints"]
        run_train.main()
    """
    run_without_irrepress(code, saved, frames_file, cwd=tmp_path)
    trained = mace.load(tmp_path / "tuned.model", dtype=torch.float64)
    assert trained.shape() == pruned.shape()
    checkpoint = next(tmp_path.glob("**/*.pt"))
    with pytest.raises(UserError, match=r"checkpoint of a training run.*mace_run_train"):
        mace.load(checkpoint)


def test_networks_are_as_the_file_says(real_file, gst, gst_frames):
    """The network that is built anew gives what the file's own network gives."""
    path = real_file("mace-gst-64x0e+64x1o")
    batch = gst.batch(gst_frames[:1])
    own = copy.copy(gst)
    own.network = torch.load(path, weights_only=False)
    found, expected = gst.predict(batch), own.predict(batch)
    assert torch.allclose(found.energy, expected.energy, rtol=1e-12)
    assert torch.allclose(found.forces, expected.forces, rtol=0, atol=1e-12)
    assert gst.parameter_count() == 222672


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_type_of_the_file_can_be_chosen(mace, pruned, gst_frames, tmp_path, dtype):
    path = tmp_path / "model.model"
    pruned.save(path, dtype=dtype)
    network = torch.load(path, weights_only=False)
    assert all(p.dtype == dtype for p in network.parameters())
    loaded = mace.load(path, dtype=torch.float64)
    batch = loaded.batch(gst_frames[:1])
    found, expected = loaded.predict(batch), pruned.predict(batch)
    error = (found.forces - expected.forces).abs().max()
    assert error < (1e-4 if dtype is torch.float32 else 1e-12) * expected.forces.abs().max()
    assert pruned.dtype == torch.float64


def test_saved_file_holds_nothing_of_ours(saved):
    with zipfile.ZipFile(saved) as archive:
        pickled = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    assert b"irrepress" not in pickled and b"___torch_mangle" not in pickled


def test_products_of_several_orders_are_named_when_saving(gst, tmp_path, caplog):
    whole = Plan.identity(gst.groups())
    plan = Plan({**whole.keep, "correlation.1": (0,)}, whole.channels)
    small = gst.narrow(plan)
    assert small.shape()["correlation"] == [2, 1]
    small.save(tmp_path / "model.model")
    assert "take the first for all layers" in caplog.text


def test_modal_must_be_one_of_the_heads(mace, architecture_file, saved, gst_frames):
    path, _ = architecture_file("nonlinear")
    with pytest.raises(UserError, match=r"several heads and needs .*; choose one of pbe, r2scan$"):
        mace.load(path)
    with pytest.raises(UserError, match=r"unknown modal 'pbesol'; did you mean 'pbe'"):
        mace.load(path, modal="pbesol")
    with pytest.raises(UserError, match=r"has no modals; remove modal 'pbe'"):
        mace.load(saved, modal="pbe")
    with pytest.raises(UserError, match="several heads"):
        mace.calculator(path)


def test_heads_differ(mace, architecture_file, structures):
    path, _ = architecture_file("deep")
    models = [mace.load(path, modal=head) for head in ("pbe", "r2scan")]
    energies = [float(model.predict(model.batch(structures[:1])).energy[0]) for model in models]
    assert abs(energies[0] - energies[1]) > 0.1
    before = models[0].network.atomic_energies_fn.atomic_energies.clone()
    models[0].shift_energies({14: 1.0})
    change = models[0].network.atomic_energies_fn.atomic_energies - before
    assert change[0].sum() == pytest.approx(1.0) and not change[1].any()


class Other(torch.nn.Module):
    """A module that only this test knows."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model_state_dict": {"a": torch.ones(1)}, "config": {}}, "set family: sevennet"),
        ({"model": {}, "optimizer": {}, "lr_scheduler": {}}, "checkpoint of a training run"),
        ({"weights": 1}, "plain data"),
        (torch.ones(3), "_rebuild_tensor"),
        (Other(), "Other"),
    ],
    ids=["sevennet", "training", "dict", "tensor", "module"],
)
def test_other_torch_files(mace, tmp_path, content, message):
    path = tmp_path / "other.model"
    torch.save(content, path)
    for function in (mace.load, mace.calculator):
        with pytest.raises(UserError, match=rf"other\.model: not a native MACE model.*{message}"):
            function(path)


def test_code_in_other_files_does_not_run(mace, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"model": Trap()}, tmp_path / "trap.model")
    with pytest.raises(UserError, match="not a native MACE model"):
        mace.load(tmp_path / "trap.model")
    assert not (tmp_path / "ran").exists()


def test_model_of_another_version_of_e3nn(mace, network_maker, tmp_path, monkeypatch):
    """Newer versions of e3nn save the kind of compiled code beside the code."""
    network = network_maker()
    plain = CodeGenMixin.__getstate__

    def newer(module):
        state = plain(module)
        codes = state.get("__codegen__", {})
        state["__codegen__"] = {name: ("torchscript", code) for name, code in codes.items()}
        return state

    monkeypatch.setattr(CodeGenMixin, "__getstate__", newer)
    torch.save(network, tmp_path / "new.model")
    with pytest.raises(UserError, match=r"new\.model: .*e3nn 0\.4\.4 cannot load.*another version"):
        mace.load(tmp_path / "new.model")


def test_model_with_classes_that_older_e3nn_lacks(mace, network_maker, tmp_path, monkeypatch):
    """e3nn 0.6 saves a `LinearSlices` in every linear map, which e3nn 0.4.4 does not have."""
    network = network_maker()
    module = sys.modules["e3nn.o3._linear"]
    slices = type("LinearSlices", (), {"__module__": module.__name__})
    with monkeypatch.context() as patch:
        patch.setattr(module, "LinearSlices", slices, raising=False)
        network.node_embedding.linear.slices = slices()
        torch.save(network, tmp_path / "new.model")
    with pytest.raises(
        UserError, match=r"new\.model: .*LinearSlices.*another version.*e3nn 0\.4\.4"
    ):
        mace.load(tmp_path / "new.model")


@pytest.mark.slow
def test_pruned_model_is_converted_for_cuequivariance(saved, frames_file, mace, tmp_path):
    """mace's own converter takes the model there; what it writes is refused with the way back."""
    package = pytest.importorskip(
        "cuequivariance_torch", reason="cuequivariance-torch is not installed"
    )
    code = """
        sys.path.append(sys.argv.pop())
        import ase.io, torch
        from mace.calculators import MACECalculator
        from mace.cli.convert_cueq_e3nn import run as to_e3nn
        from mace.cli.convert_e3nn_cueq import run as to_cueq
        model, frames = sys.argv[1:]
        network = to_cueq(model, device="cpu", return_model=True)
        torch.save(network, "fast.model")
        back = to_e3nn("fast.model", device="cpu", return_model=True)
        torch.save(back, "back.model")
        atoms = ase.io.read(frames, "0")
        for name in (model, "fast.model", "back.model"):
            atoms.calc = MACECalculator(
                model_paths=name, device="cpu", default_dtype="float64"
            )
            print("found", atoms.get_potential_energy(), abs(atoms.get_forces()).max())
    """
    place = Path(package.__file__).parents[1]
    printed = run_without_irrepress(code, saved, frames_file, place, cwd=tmp_path).splitlines()
    found = np.array([line.split()[1:] for line in printed if line.startswith("found")], float)
    assert found.shape == (3, 2)
    assert np.allclose(found, found[0], rtol=1e-6)
    with pytest.raises(UserError, match=r"fast\.model: .*cuequivariance.*mace_cueq_to_e3nn"):
        mace.load(tmp_path / "fast.model")
    back = mace.load(tmp_path / "back.model", dtype=torch.float64)
    assert back.shape() == mace.load(saved).shape()


@pytest.mark.slow
def test_torch_sim_takes_the_pruned_model(pruned, saved, frames_file, gst_frames, tmp_path):
    """A batch of frames, and some steps of molecular dynamics."""
    package = pytest.importorskip("torch_sim", reason="torch-sim-atomistic is not installed")
    code = """
        sys.path.append(sys.argv.pop())
        import ase.io, torch, torch_sim
        from torch_sim.models.mace import MaceModel
        frames = ase.io.read(sys.argv[2], ":2")
        model = MaceModel(
            model=torch.load(sys.argv[1], weights_only=False),
            device=torch.device("cpu"),
            dtype=torch.float64,
        )
        result = model(torch_sim.io.atoms_to_state(frames, model.device, model.dtype))
        for energy in result["energy"].tolist():
            print("found", energy)
        moved = torch_sim.integrate(
            system=frames[:1],
            model=model,
            n_steps=3,
            timestep=0.001,
            temperature=300,
            integrator=torch_sim.integrators.nve,
        )
        assert torch.isfinite(moved.positions).all()
        assert not torch.equal(moved.positions, torch.tensor(frames[0].positions))
    """
    place = Path(package.__file__).parents[1]
    printed = run_without_irrepress(code, saved, frames_file, place, cwd=tmp_path).splitlines()
    found = [float(line.split()[1]) for line in printed if line.startswith("found")]
    expected = list(label(pruned, gst_frames[:2], batch_size=2))
    assert found == pytest.approx([structure.energy for structure in expected], rel=1e-9)


def test_model_converted_for_an_accelerator(mace, network_maker, tmp_path, monkeypatch):
    """Only the name that the pickle would import is needed to know it."""
    import types

    package = types.ModuleType("cuequivariance_torch")

    class Fast(torch.nn.Module):
        """Stands for a class of an accelerator."""

    Fast.__module__, Fast.__qualname__ = "cuequivariance_torch", "Fast"
    package.Fast = Fast
    monkeypatch.setitem(sys.modules, "cuequivariance_torch", package)
    network = network_maker()
    network.interactions[0].conv_tp = Fast()
    torch.save(network, tmp_path / "fast.model")
    with pytest.raises(UserError, match=r"fast\.model: .*cuequivariance.*mace_cueq_to_e3nn"):
        mace.load(tmp_path / "fast.model")


def test_classes_that_are_not_supported(mace, network_maker, tmp_path, monkeypatch):
    network = network_maker()
    network.interactions[1].__class__ = blocks.RealAgnosticAttResidualInteractionBlock
    torch.save(network, tmp_path / "attention.model")
    with pytest.raises(
        UserError, match=r"attention\.model: .*interaction class is RealAgnosticAttResidual"
    ):
        mace.load(tmp_path / "attention.model")

    class FutureInteractionBlock(blocks.InteractionBlock):
        """A class that a later version of mace may have."""

    FutureInteractionBlock.__module__ = blocks.__name__
    FutureInteractionBlock.__qualname__ = "FutureInteractionBlock"
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "FutureInteractionBlock", FutureInteractionBlock, raising=False)
        network.interactions[1].__class__ = FutureInteractionBlock
        torch.save(network, tmp_path / "future.model")
    with pytest.raises(UserError, match=r"uses FutureInteractionBlock of mace\.modules\.blocks"):
        mace.load(tmp_path / "future.model")


def test_elements_outside_the_model(gst, structures):
    with pytest.raises(UserError, match="contains Si, which the model does not know"):
        gst.batch(structures[:1])
    with pytest.raises(UserError, match="does not know Si; it knows Ge, Sb, Te"):
        gst.restrict_elements([14])


def test_importing_the_family_prints_nothing(tmp_path):
    code = "import sys; import irrepress.families.mace.family"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout == result.stderr == ""
