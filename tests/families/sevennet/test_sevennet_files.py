"""Checkpoints: what loads, what is refused, and what other programs make of ours."""

import os
import subprocess
import sys
import zipfile

import ase.io
import numpy as np
import pandas as pd
import pytest
import sevenn
import sevenn.util
import torch
from elsewhere import run_without_irrepress

from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.evaluation.predictions import label


@pytest.fixture(scope="module")
def ragged(sevennet_0):
    """SevenNet-0 with another width in every layer, order 2 gone from the filter and layer 3."""
    groups = sevennet_0.groups()
    plan = Plan.random(groups, np.random.default_rng(11))
    keep = {**plan.keep, "filter.2e": (), "features.3.2e": (), "messages.3.2e": ()}
    plan, _ = sevennet_0.native_plan(Plan(keep, plan.channels))
    return sevennet_0.narrow(plan)


@pytest.fixture(scope="module")
def saved(ragged, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.pt"
    ragged.save(path)
    return path


@pytest.mark.slow
def test_calculator_works_where_irrepress_is_not_installed(ragged, saved, structures, tmp_path):
    unlabelled = [s.to_atoms() for s in structures]
    for atoms in unlabelled:
        atoms.calc = None
    ase.io.write(tmp_path / "in.extxyz", unlabelled)
    code = """
        import ase.io
        from sevenn.calculator import SevenNetCalculator
        calculator = SevenNetCalculator(sys.argv[1], device="cpu")
        for atoms in ase.io.read("in.extxyz", ":"):
            atoms.calc = calculator
            print(atoms.get_potential_energy(), abs(atoms.get_forces()).max())
        assert not any(name.split(".")[0] == "irrepress" for name in sys.modules)
        assert not calculator.model.training
    """
    lines = run_without_irrepress(code, saved, cwd=tmp_path).splitlines()
    expected = label(ragged, structures, batch_size=4)
    for line, structure in zip(lines, expected, strict=True):
        energy, force = map(float, line.split())
        assert energy == pytest.approx(structure.energy, rel=1e-5)
        assert force == pytest.approx(np.abs(structure.forces).max(), rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_sevenn_commands_take_the_model(ragged, saved, structures, tmp_path):
    ase.io.write(tmp_path / "in.extxyz", [s.to_atoms() for s in structures[:2]])
    code = """
        from sevenn.main.sevenn import main
        model = sys.argv[1]
        for command in (
            ["cp", model],
            ["get_model", model, "-o", "serial"],
            ["get_model", model, "-p", "-o", "parallel"],
            ["inference", model, "in.extxyz", "--output", "out", "-d", "cpu"],
        ):
            sys.argv = ["sevenn", *command]
            main()
    """
    assert "SO3" in run_without_irrepress(code, saved, cwd=tmp_path)
    torch.jit.load(tmp_path / "serial.pt")
    assert len(list((tmp_path / "parallel").glob("*.pt"))) == 5  # one per layer
    table = pd.read_csv(tmp_path / "out" / "per_graph.csv")
    expected = list(label(ragged, structures[:2], batch_size=2))
    assert np.allclose(table["inferred_total_energy"], [s.energy for s in expected], rtol=1e-5)


@pytest.mark.slow
def test_sevenn_trains_on_from_the_model(sevennet, saved, structures, tmp_path):
    """From sevenn's own template for continuing; we read what it writes."""
    ase.io.write(tmp_path / "data.extxyz", [s.to_atoms() for s in structures[:2]])
    code = """
        import yaml
        from sevenn.checkpoint import SevenNetCheckpoint
        from sevenn.main.sevenn import main
        settings = SevenNetCheckpoint(sys.argv[1]).yaml_dict("continue")
        settings["train"].update(epoch=1, per_epoch=1)
        settings["train"]["continue"].update(
            reset_optimizer=True, reset_scheduler=True, reset_epoch=True
        )
        settings["data"].update(
            load_trainset_path="data.extxyz", load_validset_path="data.extxyz", batch_size=2,
            shift="per_atom_energy_mean", scale="force_rms", preprocess_num_cores=1,
        )
        with open("input.yaml", "w") as stream:
            yaml.safe_dump(settings, stream)
        sys.argv = ["sevenn", "train", "input.yaml", "-s"]
        main()
    """
    run_without_irrepress(code, saved, cwd=tmp_path)
    trained = sevennet.load(tmp_path / "checkpoint_best.pth")
    assert trained.shape() == sevennet.load(saved).shape()


def test_saved_file_holds_plain_data_only(saved, ragged):
    content = torch.load(saved, weights_only=True)
    assert content["optimizer_state_dict"] == content["scheduler_state_dict"] == {}
    assert content["config"]["version"] == sevenn.__version__
    assert not [key for key in content["config"] if key.endswith(("_path", "_cp"))]
    assert all(
        tensor.dtype == torch.float32
        for tensor in content["model_state_dict"].values()
        if tensor.is_floating_point()
    )
    with zipfile.ZipFile(saved) as archive:
        pickled = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    assert b"irrepress" not in pickled and b"numpy" not in pickled


@pytest.mark.parametrize("keyword", ["7net-0", "SevenNet-0", "7net-0_22may2024", "7net-l3i5"])
def test_packaged_keywords_load_offline(sevennet, keyword):
    assert sevennet.resolve(keyword).is_file()
    assert sevennet.load(keyword).cutoff == 5.0


def test_unknown_keyword_names_the_nearest(sevennet):
    with pytest.raises(UserError, match=r"7net-l3i6.*did you mean '7net-l3i5'"):
        sevennet.load("7net-l3i6")


def test_failed_download_is_one_message(sevennet, monkeypatch):
    def fail(path, url):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(sevenn.util, "download_checkpoint", fail)
    monkeypatch.setattr(sevenn.util.osp, "exists", lambda path: False)
    with pytest.raises(UserError, match=r"7net-omni.*download failed \(no route to host\)"):
        sevennet.load("7net-omni")


def test_modal_must_be_one_of_the_models(sevennet, saved):
    with pytest.raises(UserError, match=r"levels of theory .*; choose one of R2SCAN, PBE$"):
        sevennet.load("7net-mf-0")
    with pytest.raises(UserError, match=r"unknown modal 'PBEsol'; .*PBE"):
        sevennet.load("7net-mf-0", modal="PBEsol")
    with pytest.raises(UserError, match=r"has no modals; remove modal 'PBE'"):
        sevennet.load(saved, modal="PBE")
    with pytest.raises(UserError, match="needs a modal"):
        sevennet.calculator("7net-mf-0")


def test_modals_differ(sevennet, structures):
    pbe, r2scan = (sevennet.load("7net-mf-0", modal=modal) for modal in ("PBE", "R2SCAN"))
    silicon = structures[:1]
    energies = [float(model.predict(model.batch(silicon)).energy[0]) for model in (pbe, r2scan)]
    assert abs(energies[0] - energies[1]) > 1
    pbe.shift_energies({14: 1.0})
    rescale = pbe.network._modules["rescale_atomic_energy"]
    untouched = r2scan.network._modules["rescale_atomic_energy"].shift[0]
    assert torch.equal(rescale.shift[0], untouched)  # R2SCAN's row is not PBE's


class Other(torch.nn.Module):
    """A module that only this test knows."""


@pytest.mark.parametrize(
    "content",
    [
        {"weights": torch.ones(3)},
        {"config": {}, "model_state_dict": {}},
        {"config": {"cutoff": 5.0, "version": "1"}, "model_state_dict": {"a": torch.ones(1)}},
        torch.ones(3),
        [1, 2, 3],
        Other(),
    ],
    ids=["dict", "empty", "no-elements", "tensor", "list", "module"],
)
def test_other_torch_files(sevennet, tmp_path, content):
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(UserError, match=r"other\.pt: not a SevenNet checkpoint"):
        sevennet.load(path)
    with pytest.raises(UserError, match="not a SevenNet checkpoint"):
        sevennet.calculator(path)


def test_code_in_a_pickle_does_not_run(sevennet, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"config": {"a": Trap()}, "model_state_dict": {}}, tmp_path / "trap.pt")
    for function in (sevennet.load, sevennet.calculator):
        with pytest.raises(UserError, match=r"not a SevenNet checkpoint \(it holds a \w+\.mkdir\)"):
            function(tmp_path / "trap.pt")
    assert not (tmp_path / "ran").exists()


def test_text_file(sevennet, tmp_path):
    (tmp_path / "model.yaml").write_text("model:\n  cutoff: 5.0\n")
    with pytest.raises(UserError, match=r"model\.yaml"):
        sevennet.load(tmp_path / "model.yaml")


def test_weights_that_do_not_fit_the_config(sevennet, saved, tmp_path):
    content = torch.load(saved, weights_only=True)
    content["config"]["irreps_manual"][2] = "7x0e"
    torch.save(content, tmp_path / "mixed.pt")
    with pytest.raises(UserError, match=r"mixed\.pt: sevenn .* cannot build"):
        sevennet.load(tmp_path / "mixed.pt")


def test_biases_are_refused(sevennet, checkpoint_writer, tmp_path):
    path = checkpoint_writer(tmp_path / "bias.pth", use_bias_in_linear=True)
    with pytest.raises(UserError, match="has biases"):
        sevennet.load(path)


def test_models_run_without_what_sevenn_only_trains_with():
    code = (
        "import sys\n"
        "from ase.build import bulk\n"
        "from irrepress.core.structure import Structure\n"
        "from irrepress.families import get_family\n"
        "model = get_family('sevennet').load('7net-0')\n"
        "model.predict(model.batch([Structure.unlabelled(bulk('Si'))]))\n"
        "found = sys.modules.keys() & {'sevenn.calculator', 'sklearn', 'torch_geometric'}\n"
        "sys.exit(f'imported: {found}' if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
