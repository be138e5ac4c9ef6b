"""Checkpoints: what loads, what is refused, and what fairchem makes of ours."""

import os
import zipfile

import ase.io
import numpy as np
import pytest
import torch

pytest.importorskip("fairchem.core", reason="fairchem-core is not installed in this environment")

from elsewhere import run_without_irrepress
from fairchem.core.units.mlip_unit.api.inference import MLIPInferenceCheckpoint
from omegaconf import OmegaConf
from typer.testing import CliRunner

from irrepress.catalogue.checkpoints.escn import KEYWORDS
from irrepress.cli import app
from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.evaluation.predictions import label
from irrepress.families.escn import checkpoint, untrained
from irrepress.families.escn.merge import merge
from irrepress.families.generic.checkpoints import plain
from irrepress.study.cards import Card
from irrepress.testing import assert_close

MOE = "fairchem.core.models.uma.escn_moe."


@pytest.fixture(scope="module")
def narrowed(make_escn):
    model = make_escn(dtype=torch.float32)
    plan = Plan.random(model.groups(), np.random.default_rng(11))
    return model.narrow(model.native_plan(plan)[0])


@pytest.fixture(scope="module")
def saved(narrowed, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.pt"
    narrowed.save(path)
    return path


def changed(path, target, *, backbone=(), tasks=None, heads=None, **model):
    """Write a checkpoint with other configs."""
    content = checkpoint.read(path)
    content.model_config["backbone"].update(backbone)
    content.model_config.update(model)
    if heads is not None:
        content.model_config["heads"] = heads
    if tasks is not None:
        content.tasks_config = tasks
    torch.save(content, target)
    return target


@pytest.mark.slow
def test_calculator_works_where_irrepress_is_not_installed(narrowed, saved, structures, tmp_path):
    ase.io.write(tmp_path / "in.extxyz", [s.without_labels().to_atoms() for s in structures])
    code = """
        import ase.io
        from fairchem.core import FAIRChemCalculator
        from fairchem.core.units.mlip_unit import load_predict_unit
        unit = load_predict_unit(sys.argv[1], inference_settings="batch", device="cpu")
        calculator = FAIRChemCalculator(unit, task_name="omat")
        for atoms in ase.io.read("in.extxyz", ":"):
            atoms.calc = calculator
            print(atoms.get_potential_energy(), abs(atoms.get_forces()).max())
        assert not any(name.split(".")[0] == "irrepress" for name in sys.modules)
    """
    printed = run_without_irrepress(code, saved, cwd=tmp_path)
    expected = label(narrowed, structures, batch_size=4)
    for line, structure in zip(printed.splitlines(), expected, strict=True):
        energy, force = map(float, line.split())
        assert energy == pytest.approx(structure.energy, rel=1e-5)
        assert force == pytest.approx(np.abs(structure.forces).max(), rel=1e-4, abs=1e-5)


def test_saved_file_holds_plain_data_only(saved):
    with zipfile.ZipFile(saved) as archive:
        pickled = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    assert b"irrepress" not in pickled and b"numpy" not in pickled and b"omegaconf" not in pickled
    content = checkpoint.read(saved)
    assert all(
        tensor.dtype == torch.float32
        for name, tensor in checkpoint.weights(saved, content).items()
        if tensor.is_floating_point()
    )


def test_configs_of_omegaconf_load(escn, saved, structures, tmp_path):
    """fairchem's trainer writes its own containers."""
    content = checkpoint.read(saved)
    content.model_config = OmegaConf.create(content.model_config)
    content.tasks_config = OmegaConf.create(content.tasks_config)
    torch.save(content, tmp_path / "trained.pt")
    loaded, expected = escn.load(tmp_path / "trained.pt"), escn.load(saved)
    assert loaded.native == expected.native
    batch = loaded.batch(structures)
    assert_close(loaded.predict(batch), expected.predict(batch), 0, floor=0)


def test_one_task_of_several_is_kept(escn, make_escn, structures, tmp_path):
    """Datasets and their references differ; the saved file knows the chosen one alone."""
    model = make_escn(dtype=torch.float32)
    model.save(tmp_path / "one.pt")
    content = checkpoint.read(tmp_path / "one.pt")
    other = plain(content.tasks_config)
    for task in other:
        task["name"], task["datasets"] = f"omol_{task['name']}", ["omol"]
    other[0]["element_references"]["element_references"]["_args_"] = [[5.0] * 20]
    own = plain(content.tasks_config)
    for task in own:
        task["name"] = f"omat_{task['name']}"
    content.tasks_config = [*other, *own]
    backbone = content.model_config["backbone"]
    backbone["dataset_mapping"], backbone["dataset_list"] = None, ["omol", "omat"]
    wrapper = {
        "module": f"{MOE}DatasetSpecificSingleHeadWrapper",
        "dataset_names": ["omat", "omol"],
        "head_cls": "fairchem.core.models.uma.escn_md.MLP_EFS_Head",
        "head_kwargs": {"wrap_property": False},
    }
    content.model_config["heads"] = {"efs": wrapper}
    for state in (content.model_state_dict, content.ema_state_dict):
        for name in [n for n in state if ".efs." in n]:
            state[name.replace(".efs.", ".efs.head.")] = state.pop(name)
        for name in [n for n in state if n.endswith("dict.omat.weight")]:
            state[name.replace("omat", "omol")] = state[name] + 1
    torch.save(content, tmp_path / "two.pt")
    with pytest.raises(UserError, match=r"several tasks and needs .*; choose one of omat, omol$"):
        escn.load(tmp_path / "two.pt")
    with pytest.raises(UserError, match="unknown modal 'omit'; did you mean 'omat'"):
        escn.load(tmp_path / "two.pt", modal="omit")
    predictions = {}
    for modal in ("omat", "omol"):
        loaded = escn.load(tmp_path / "two.pt", modal=modal)
        predictions[modal] = loaded.predict(loaded.batch(structures))
        calculator = escn.calculator(tmp_path / "two.pt", modal=modal)
        atoms = structures[2].without_labels().to_atoms()
        atoms.info.update(charge=0, spin=int(modal == "omol"))
        atoms.calc = calculator
        energy = atoms.get_potential_energy()
        assert energy == pytest.approx(float(predictions[modal].energy[2]), rel=1e-5)
        loaded.save(tmp_path / f"{modal}.pt")
        assert checkpoint.read(tmp_path / f"{modal}.pt").tasks_config[0]["datasets"] == [modal]
    batch = model.batch(structures)
    assert_close(predictions["omat"], model.predict(batch), 1e-5, periodic=[0, 1])
    assert float((predictions["omat"].energy - predictions["omol"].energy).abs().min()) > 1


@pytest.fixture(scope="module")
def experts(make_escn, tmp_path_factory):
    """A mixture of experts with random weights, as UMA's files are; its head has experts, too."""
    from fairchem.core.models.base import HydraModel

    native = make_escn(dtype=torch.float32).native
    backbone = {
        **native["model_config"]["backbone"],
        "model": f"{MOE}eSCNMDMoeBackbone",
        "num_experts": 3,
        "use_composition_embedding": True,
        "dataset_mapping": {"omat": "omat", "omol": "omol"},
    }
    heads = {
        "efs": {
            "module": f"{MOE}DatasetSpecificMoEWrapper",
            "dataset_mapping": {"omat": "omat", "omol": "omol"},
            "head_cls": "fairchem.core.models.uma.escn_md.MLP_EFS_Head",
            "head_kwargs": {"wrap_property": False},
        }
    }
    config = {**native["model_config"], "backbone": backbone, "heads": heads, "model_id": "UMA-T"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = HydraModel(**{key: v for key, v in config.items() if key != "_target_"})
    tasks = []
    for dataset in ("omat", "omol"):
        for task in plain(native["tasks_config"]):
            tasks.append({**task, "name": f"{dataset}_{task['name']}", "datasets": [dataset]})
    state = network.state_dict()
    averaged = {f"module.{name}": tensor for name, tensor in state.items()}
    averaged["n_averaged"] = torch.tensor(7)
    path = tmp_path_factory.mktemp("experts") / "experts.pt"
    torch.save(MLIPInferenceCheckpoint(config, state, averaged, tasks), path)
    return path


def test_experts_are_refused_with_the_way_to_merge_them(escn, experts):
    with pytest.raises(UserError, match="merge it first: irrepress merge "):
        escn.load(experts, modal="omat")


def test_merged_experts_predict_what_fairchem_predicts(escn, experts, structures, tmp_path):
    ethanol = structures[2]
    models = {formula: merge(experts, formula, "omat") for formula in ("C2H6O", "NaCl")}
    calculator = escn.calculator(experts, modal="omat")
    atoms = ethanol.without_labels().to_atoms()
    atoms.calc = calculator
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    found = {formula: model.predict(model.batch([ethanol])) for formula, model in models.items()}
    assert float(found["C2H6O"].energy[0]) == pytest.approx(energy, rel=1e-5)
    assert np.abs(found["C2H6O"].forces.numpy() - forces).max() < 1e-4 * np.abs(forces).max()
    assert float(found["NaCl"].energy[0]) != pytest.approx(energy, rel=1e-5)

    models["C2H6O"].save(tmp_path / "merged.pt")
    loaded = escn.load(tmp_path / "merged.pt", modal="omat")
    again = loaded.predict(loaded.batch([ethanol]))
    assert_close(again, found["C2H6O"], 0, floor=0)
    plan = Plan.random(loaded.groups(), np.random.default_rng(0))
    assert loaded.narrow(plan).parameter_count() < loaded.parameter_count()


def test_merging_what_cannot_be_merged(experts, saved):
    with pytest.raises(UserError, match="has no experts to merge"):
        merge(saved, "SiO2")
    with pytest.raises(UserError, match="'Xy2' is not a composition"):
        merge(experts, "Xy2", "omat")


def test_merging_from_the_command_line(escn, experts, tmp_path):
    target = tmp_path / "merged.pt"
    command = ["merge", str(experts), str(target), "--modal", "omat", "--formula"]
    done = CliRunner().invoke(app, [*command, "C2H6O"])
    assert done.exit_code == 0, done.output
    assert escn.load(target).parameter_count() == merge(experts, "C2H6O", "omat").parameter_count()
    (stage,) = Card.load(tmp_path / "merged.card.json").stages
    assert stage == {"stage": "merged", "formula": "C2H6O"}
    again = CliRunner().invoke(app, [*command, "C2H6O"])
    assert again.exit_code == 2 and "merged.pt: exists already" in again.output
    wrong = CliRunner().invoke(app, [*command, "Xy2", "--overwrite"])
    assert wrong.exit_code == 2 and "'Xy2' is not a composition" in wrong.output


def test_keyword_of_an_untrained_model(escn, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = escn.resolve("escn-md-small")
    first = path.read_bytes()
    path.unlink()
    assert escn.resolve("escn-md-small").read_bytes() == first
    model = escn.load("escn-md-small")
    assert model.shape()["irreps"] == ["32x0e+32x1e+32x2e"] * 2
    assert model.native["tasks_config"][0]["datasets"] == ["untrained"]
    assert len(model.elements) == 99
    with pytest.raises(UserError, match=r"escn-md-smal: neither.*did you mean 'escn-md-small'"):
        escn.load("escn-md-smal")


def test_elements_above_the_largest_are_named(narrowed):
    heavy = Structure.unlabelled(ase.Atoms("Au", positions=[[0, 0, 0]]))
    with pytest.raises(UserError, match=r"contains Au, which the model does not know; it knows H"):
        narrowed.batch([heavy])


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"direct_forces": True}, "predicts forces directly"),
        ({"act_type": "s2"}, "only gates are supported"),
        ({"ff_type": "grid"}, "only the spectral one is supported"),
        ({"norm_type": "layer_norm"}, "only the norm rms_norm_sh"),
        ({"chg_spin_emb_type": "lin_emb"}, "only the embeddings of charge and spin"),
        ({"charge_balanced_channels": [0, 1]}, "channels that balance charge"),
        ({"model": "fairchem.core.models.allscaip.AllScAIP"}, "irrepress takes eSCN-MD"),
        ({"lmax": 1, "mmax": 2}, "mmax 2 is above lmax 1"),
        ({"sphere_channels": 6}, "cannot build the network"),
        ({"num_layers": 3}, "weights do not fit the config"),
    ],
    ids=str,
)
def test_models_that_are_not_supported(escn, saved, tmp_path, backbone, message):
    path = changed(saved, tmp_path / "other.pt", backbone=backbone)
    with pytest.raises(UserError, match=rf"other\.pt: .*{message}"):
        escn.load(path)


def test_heads_that_are_not_supported(escn, saved, tmp_path):
    module = "fairchem.core.models.uma.escn_md."
    heads = {
        "energy": {"module": f"{module}MLP_EFS_Head"},
        "forces": {"module": "Linear_Force_Head"},
    }
    path = changed(saved, tmp_path / "heads.pt", heads=heads)
    with pytest.raises(UserError, match="has the heads energy, forces"):
        escn.load(path)
    path = changed(saved, path, heads={"efs": {"module": f"{module}Linear_Energy_Head"}})
    with pytest.raises(UserError, match=r"its head is .*Linear_Energy_Head"):
        escn.load(path)


def test_tasks_that_are_not_right(escn, saved, tmp_path):
    tasks = checkpoint.read(saved).tasks_config
    tasks[1]["normalizer"]["rmsd"] = 3.0
    path = changed(saved, tmp_path / "tasks.pt", tasks=tasks)
    with pytest.raises(UserError, match="conservative models only"):
        escn.load(path)
    path = changed(saved, path, tasks=tasks[1:])
    with pytest.raises(UserError, match="none of its tasks gives an energy"):
        escn.load(path)
    tasks[0]["element_references"] = {"_target_": "something", "file": "references.pt"}
    path = changed(saved, path, tasks=tasks[:1])
    with pytest.raises(UserError, match="reference energies of elements cannot be read"):
        escn.load(path)


class Other(torch.nn.Module):
    """A module that only this test knows, as MACE's checkpoints are."""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"weights": torch.ones(3)}, "it holds a dict"),
        ({"config": {"cutoff": 5.0}, "model_state_dict": {}}, "one of SevenNet"),
        ({"config": {"model": "escn"}, "state_dict": {}}, "one of fairchem 1"),
        (torch.ones(3), "it holds a Tensor"),
        (Other(), r"it holds a \S*Other"),
        (MLIPInferenceCheckpoint({}, {}, {}, None), "its tasks"),
    ],
    ids=["dict", "sevennet", "fairchem-1", "tensor", "module", "empty"],
)
def test_other_torch_files(escn, tmp_path, content, reason):
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(UserError, match=rf"other\.pt: not an inference checkpoint.*{reason}"):
        escn.load(path)
    with pytest.raises(UserError, match="not an inference checkpoint"):
        escn.calculator(path)


def test_text_file(escn, tmp_path):
    (tmp_path / "model.yaml").write_text("model:\n  cutoff: 5.0\n")
    with pytest.raises(UserError, match=r"model\.yaml"):
        escn.load(tmp_path / "model.yaml")


def test_code_in_a_pickle_does_not_run(escn, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save(MLIPInferenceCheckpoint({"a": Trap()}, {}, {}, []), tmp_path / "trap.pt")
    for function in (escn.load, escn.calculator):
        with pytest.raises(UserError, match=r"not an inference checkpoint.*it holds a \w+\.mkdir"):
            function(tmp_path / "trap.pt")
    assert not (tmp_path / "ran").exists()


def test_classes_named_in_configs_are_not_built(escn, saved, tmp_path):
    """fairchem builds whatever a config names; a task could name a function of the system."""
    trap = {"_target_": "os.mkdir", "path": str(tmp_path / "ran")}
    tasks = checkpoint.read(saved).tasks_config
    tasks[0]["loss_fn"] = trap
    path = changed(saved, tmp_path / "trap.pt", tasks=tasks)
    assert escn.load(path).native["tasks_config"][0]["loss_fn"] is None
    path = changed(saved, path, _target_="os.mkdir", mode=0o777)
    with pytest.raises(UserError, match="holds no backbone with heads"):
        escn.load(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "place", ["loss", "normalizer", "dtype", "model", "backbone", "head", "wrapped", "finetune"]
)
def test_fairchems_calculator_builds_known_classes_only(escn, saved, tmp_path, place):
    """It builds what the configs name, where irrepress itself does not look."""
    ran, path = tmp_path / "ran", tmp_path / "trap.pt"
    trap = {"_target_": "os.mkdir", "path": str(ran)}
    content = checkpoint.read(saved)
    model, tasks = content.model_config, content.tasks_config
    if place == "loss":
        tasks[1]["loss_fn"] = {"_target_": "fairchem.core.modules.loss.MAELoss", "extra": [trap]}
    elif place == "normalizer":
        tasks[0]["normalizer"]["_target_"] = "fairchem.core.modules.loss.logging.os.mkdir"
    elif place == "dtype":
        tasks[0]["out_spec"]["dtype"] = trap
    elif place == "model":
        model["pass_through_head_outputs"] = trap
    elif place == "backbone":
        model["backbone"]["act_type"] = trap
    elif place == "head":
        next(iter(model["heads"].values()))["module"] = "antigravity.MLP_EFS_Head"
    elif place == "wrapped":
        next(iter(model["heads"].values()))["head_cls"] = ["os.mkdir"]
    else:
        model["finetune_config"] = {"starting_checkpoint": str(tmp_path / "other.pt")}
    torch.save(content, path)
    with pytest.raises(UserError, match=r"trap\.pt: its config (names|has fairchem load)"):
        escn.calculator(path)
    assert not ran.exists()


def test_untrained_models_are_built_for_training(escn, structures):
    """A random model of any size can be built and saved, and predicts something finite."""
    model = escn.build(
        untrained.native_config("mine", sphere_channels=8, num_layers=1, lmax=1, mmax=1)
    )
    prediction = model.predict(model.batch(structures))
    assert prediction.energy.isfinite().all() and prediction.forces.isfinite().all()


def test_the_catalogue_has_every_untrained_model():
    assert set(KEYWORDS) == set(untrained.ARCHITECTURES)
