"""Mistakes end in one message that says what to do, before time is spent."""

import signal

import ase.io
import pytest
from ase import Atoms
from ase.build import bulk

import irrepress
from irrepress import UserError

OPTIONS = {"multiple": 2, "floor": 2, "structures": 4}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"frames.extxyz: .*empty"),
        ("this is no structure\n", r"frames.extxyz: .*"),
        (None, "there is no file .*frames.extxyz"),
    ],
)
def test_files_without_structures(potential, tmp_path, content, message):
    path = tmp_path / "frames.extxyz"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        potential.plan(path, flops=0.5)


@pytest.mark.parametrize("frames", [[], 3, [bulk("Si"), "frames.extxyz"]])
def test_what_is_no_list_of_structures(frames):
    with pytest.raises(UserError, match=r"structures is empty|none of paths|of several kinds"):
        irrepress.read(frames)


def test_settings_of_reading(labelled, tmp_path):
    with pytest.raises(UserError, match=r"read: no argument 'key'; did you mean 'keys'"):
        irrepress.read(labelled, key={"energy": "E"})
    path = tmp_path / "own.extxyz"
    atoms = bulk("Si")
    atoms.info["my_energy"] = -10.0
    ase.io.write(path, [atoms] * 3)
    with pytest.raises(UserError, match=r"no energy .*set keys.energy to .*my_energy"):
        irrepress.read(path)
    assert irrepress.read(path, keys={"energy": "my_energy"}).labels.energy == 3


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({}, "nothing is asked for; give one of speedup"),
        ({"flops": 0.5, "irreps": "8x0e"}, "flops, irreps name several targets"),
        ({"speedup": 0.5}, "speedup=0.5: it must be more than 1"),
        ({"parameters": 5}, "parameters=5: it is the fraction that stays"),
        ({"irreps": "8x0q"}, "irreps"),
        ({"flops": 0.5, "criterion": "tayler"}, "criterion"),
        ({"flops": 0.5, "multiples": 4}, "no argument 'multiples'; did you mean 'multiple'"),
        ({"cutoff": 50.0}, "the cutoff is 50 Å; it must be less"),
    ],
)
def test_targets_that_there_are_not(potential, frames, target, message):
    with pytest.raises(UserError, match=message):
        potential.plan(frames, **target)


def test_a_target_out_of_reach_says_what_can_be_reached(potential, frames):
    with pytest.raises(
        UserError, match=r"flops=0.001 cannot be reached; ask for flops=(\S+)"
    ) as no:
        potential.plan(frames, flops=0.001, **OPTIONS)
    least = float(str(no.value).partition("ask for flops=")[2].split()[0])
    assert potential.plan(frames, flops=least, **OPTIONS).summary["fraction"]["flops"] <= least
    timing = {"timed_shapes": 12, "timing_atoms": 8, "timing_repeats": 1}
    with pytest.raises(UserError, match=r"speedup=1000 cannot be reached; ask for speedup=\d"):
        potential.plan(frames, speedup=1000, **OPTIONS, **timing)


def test_frames_are_needed_where_a_criterion_reads_them(potential, unlabelled):
    with pytest.raises(UserError, match=r"criterion 'fisher' .* needs frames"):
        potential.plan(flops=0.5)
    with pytest.raises(UserError, match=r"'taylor' needs labels .* use 'fisher'"):
        potential.plan(unlabelled, flops=0.5, criterion="taylor", **OPTIONS)


def test_an_unknown_element_is_named(potential):
    with pytest.raises(UserError, match="does not know Es"):
        potential.plan(Atoms("Es2", positions=[[0, 0, 0], [0, 0, 3]]), flops=0.5)


def test_steps_out_of_order(potential, pruned, frames, unlabelled):
    with pytest.raises(UserError, match=r"compensate: .* was not pruned"):
        potential.compensate(frames)
    with pytest.raises(UserError, match=r"distill: .* was not pruned"):
        potential.distill(frames)
    with pytest.raises(UserError, match="int8 since; compensate first"):
        pruned.quantize(8).compensate(frames)
    with pytest.raises(UserError, match=r"no labels, and .* no parent"):
        potential.evaluate(unlabelled)


def test_too_few_frames(pruned, labelled):
    with pytest.raises(UserError, match=r"1 structure .* give 3 or more"):
        pruned.compensate(labelled[0])
    with pytest.raises(UserError, match="has no valid part, since 2 structures could not be"):
        pruned.finetune(labelled[:2])


def test_settings_of_trainings(pruned, frames):
    with pytest.raises(UserError, match="finetune: no argument 'learning_rat'; did you mean"):
        pruned.finetune(frames, learning_rat=1e-3)
    with pytest.raises(UserError, match=r"distill: label_fraction: .* \(it is 2\)"):
        pruned.distill(frames, label_fraction=2)


def test_outputs_that_exist_are_kept(pruned, tmp_path):
    path = tmp_path / "small.pt"
    path.write_text("precious")
    for write in (pruned.save, pruned.pack):
        with pytest.raises(UserError, match=r"small\.pt: exists already; .*overwrite=True"):
            write(path)
    assert path.read_text() == "precious"
    pruned.save(path, overwrite=True)
    assert path.stat().st_size > 1000


def test_models_that_there_are_not(tmp_path):
    with pytest.raises(UserError, match=r"7net-00: neither a file .*did you mean '7net-0'"):
        irrepress.load("7net-00")
    with pytest.raises(UserError, match=r"absent\.pt: there is no such file"):
        irrepress.load(tmp_path / "absent.pt")
    text = tmp_path / "text.pt"
    text.write_text("no model")
    with pytest.raises(UserError, match=r"text\.pt: no checkpoint: it is a text"):
        irrepress.load(text)


def test_a_family_without_its_package_is_told_how_to_get_it(monkeypatch, saved):
    monkeypatch.setattr(
        "irrepress.families.registry.missing_packages",
        lambda name: ["mace"] if name == "mace" else [],
    )
    with pytest.raises(
        UserError, match=r"needs the package 'mace'.* pip install 'irrepress\[mace\]'"
    ):
        irrepress.load("mace-mp-0-small")
    monkeypatch.setattr("irrepress.study.loading.missing_packages", lambda name: [name])
    with pytest.raises(UserError, match=r"no family .* pip install 'irrepress\[sevennet\]'"):
        irrepress.load(saved)


def test_another_parent_is_refused(pruned, frames, sevennet_0, tmp_path):
    pruned.save(tmp_path / "small.pt")
    sevennet_0.save(tmp_path / "other.pt")
    small = irrepress.load(tmp_path / "small.pt", parent=tmp_path / "other.pt")
    with pytest.raises(UserError, match="was made from a checkpoint of SHA-256"):
        small.compensate(frames)


def interrupting(step):
    """A callback's method that sends Ctrl-C to this process at a step."""

    def on_train_batch_start(self, batch, batch_idx):
        if self.global_step == step:
            signal.raise_signal(signal.SIGINT)

    return on_train_batch_start


def test_an_interrupted_training_raises_or_goes_on(pruned, frames, tmp_path, monkeypatch):
    options = {"steps": 4, "batch_size": 2, "validate_every": 4}
    module = "irrepress.training.module.TrainingModule.on_train_batch_start"
    with monkeypatch.context() as patch:
        patch.setattr(module, interrupting(1), raising=False)
        with pytest.raises(KeyboardInterrupt):
            pruned.finetune(frames, **options)
        with pytest.raises(UserError, match=r"interrupted, and saved in .*; the same call goes on"):
            pruned.finetune(frames, work_dir=tmp_path, **options)
    resumed = pruned.finetune(frames, work_dir=tmp_path, **options)
    whole = pruned.finetune(frames, **options)
    for name, tensor in whole.model.state_dict().items():
        assert tensor.equal(resumed.model.state_dict()[name]), name
