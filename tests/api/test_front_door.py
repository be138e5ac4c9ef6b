"""The five lines, for real, and what every step leaves alone."""

import subprocess
import sys
from copy import deepcopy

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import irrepress
from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.study.cards import Card

TRAINING = {"steps": 4, "batch_size": 2, "validate_every": 2}


def test_importing_is_cheap():
    """Torch takes seconds to import; names that need it are there all the same."""
    code = "import sys, irrepress; irrepress.__version__; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {"load", "read", "Potential"} <= set(dir(irrepress))
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        irrepress.lod  # noqa: B018


def test_five_lines(saved, labelled, tmp_path):
    model = irrepress.load(saved, device="cpu")
    plan = model.plan(labelled, parameters=0.5, multiple=2, floor=2, structures=4)
    small = plan.apply().compensate(labelled).finetune(labelled, **TRAINING)
    small.save(tmp_path / "small.pt")
    atoms: Atoms = labelled[0].copy()
    atoms.calc = small.calculator()

    assert small.model.parameter_count() <= 0.5 * model.model.parameter_count()
    (predicted,) = irrepress.read(atoms).store.read([0])
    batch = small.model.batch([predicted])
    assert atoms.get_potential_energy() == pytest.approx(
        float(small.model.predict(batch).energy), rel=1e-5
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "small.pt",
        "small.card.json",
        "small.plan.json",
    }
    card = Card.load(tmp_path / "small.card.json")
    assert [stage["stage"] for stage in card.stages] == ["pruned", "compensated", "finetuned"]
    assert card.checkpoint == str(saved) and card.parameters == small.model.parameter_count()
    assert Plan.load(tmp_path / "small.plan.json").keep == plan.plan.keep


def test_five_lines_without_labels(potential, tmp_path):
    ase.io.write(tmp_path / "silicon.cif", bulk("Si"))
    less = {"runs": 6, "count": 12, "atoms": 8, "equilibration": 1, "steps": 4}
    frames = potential.sample(tmp_path / "silicon.cif", temperatures=[300, 600], **less)
    assert {part: len(indices) for part, indices in frames.store.splits.items()} == {
        "train": 8,
        "valid": 2,
        "test": 2,
    }
    assert frames.labels.forces == 12
    small = potential.plan(frames, parameters=0.5, multiple=2, floor=2, structures=4).apply()
    taught = small.compensate(frames).distill(frames, **TRAINING)
    found = taught.evaluate(frames)
    assert found.structures == 2 and found.models[1].errors["forces_mae"] < 1e-5
    again = potential.sample(bulk("Si"), temperatures=[300, 600], **less)
    assert again.store[0].forces == pytest.approx(frames.store[0].forces, abs=1e-4)
    with pytest.raises(UserError, match="sample: no argument 'step'; did you mean 'steps'"):
        potential.sample(bulk("Si"), step=3)


@pytest.mark.slow
def test_five_lines_on_a_published_model(labelled):
    model = irrepress.load("7net-0", device="cpu")
    timing = {"timed_shapes": 12, "timing_atoms": 8, "timing_repeats": 1}
    plan = model.plan(labelled, speedup=1.5, structures=4, **timing)
    small = plan.apply().compensate(labelled).finetune(labelled, **TRAINING)
    assert plan.name == "fisher-0.67" and plan.summary["fraction"]["time"] <= 1 / 1.5
    assert small.model.parameter_count() < model.model.parameter_count()
    assert small.model.elements == (14, 32)
    found = small.compare(model, labelled, timing_atoms=8, timing_repeats=1)
    assert found.structures == 2 and found.models[0].errors["forces_mae"] > 0


def test_what_was_saved_goes_on_where_it_was_left(pruned, frames, tmp_path):
    pruned.save(tmp_path / "small.pt")
    again = irrepress.load(tmp_path / "small.pt", device="cpu")
    assert again.card.content() | {"created": None} == pruned.card.content() | {"created": None}
    assert again.parent.origin.parent_sha256 == pruned.parent.origin.parent_sha256
    direct, loaded = (each.compensate(frames, seed=1) for each in (pruned, again))
    for name, tensor in direct.model.state_dict().items():
        assert tensor.equal(loaded.model.state_dict()[name]), name


def test_steps_leave_what_they_were_made_from_as_it_is(potential, pruned, frames):
    before = [deepcopy(each.model.state_dict()) for each in (potential, pruned)]
    pruned.compensate(frames).finetune(frames, **TRAINING)
    pruned.distill(frames, features=0.1, **TRAINING)
    pruned.quantize(4)
    for each, state in zip((potential, pruned), before, strict=True):
        assert all(tensor.equal(state[name]) for name, tensor in each.model.state_dict().items())


def test_without_labels_everything_but_finetuning_works(potential, unlabelled):
    small = potential.plan(unlabelled, blocks=0.6, multiple=2, floor=2, structures=4).apply()
    distilled = small.compensate(unlabelled).distill(unlabelled, **TRAINING)
    assert distilled.training["valid_loss"].notna().all()
    found = distilled.evaluate(unlabelled)
    assert found.agreement["forces_mae"] > 0
    assert found.models[0].errors["forces_mae"] is None
    with pytest.raises(irrepress.UserError, match="frames has no labels"):
        small.finetune(unlabelled, **TRAINING)


@pytest.mark.slow
def test_refining_from_structures_alone(pruned, unlabelled, tmp_path):
    options = {"runs": 2, "dynamics_steps": 6, "atoms": 8, **TRAINING}
    folder = tmp_path / "work"
    refined, again = (
        pruned.refine(unlabelled, temperatures=[300], rounds=1, added=4, work_dir=folder, **options)
        for _ in range(2)
    )
    stage = refined.card.stages[-1]
    assert stage["stage"] == "refined" and stage["kept_round"] in (0, 1)
    assert [each["number"] for each in stage["rounds"]] == [0, 1]
    assert refined.training["step"].max() == TRAINING["steps"]
    assert refined.name.endswith("/refined")
    for name, tensor in refined.model.state_dict().items():
        assert tensor.equal(again.model.state_dict()[name]), name


def test_scores_are_computed_once(potential, frames, monkeypatch):
    options = {"multiple": 2, "floor": 2, "structures": 4, "seed": 5}
    first = potential.plan(frames, flops=0.6, **options)
    monkeypatch.setattr("irrepress.pruning.calibration.compute_scores", None)
    second = potential.plan(frames, flops=0.5, **options)
    assert second.scores is first.scores
    assert second.plan.kept_blocks() < first.plan.kept_blocks()


def test_a_plan_can_be_edited_and_applied(potential, pruned, tmp_path):
    path = tmp_path / "plan.json"
    pruned.applied.save(path)
    again = potential.prune(path)
    for name, tensor in again.model.state_dict().items():
        assert np.array_equal(tensor, pruned.model.state_dict()[name]), name
