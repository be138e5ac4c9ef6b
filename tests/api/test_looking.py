"""What steps return can be printed, shown in a notebook and drawn."""

import pytest

import irrepress
from irrepress import UserError


def test_potentials_and_plans(potential, pruned, frames):
    pruning = potential.plan(frames, flops=0.5, multiple=2, floor=2, structures=4)
    assert "16x0e+8x1e+4x2e" in str(potential) and f"{potential.model.parameter_count():,}" in repr(
        potential
    )
    assert "made by" in str(pruned) and "pruned" in str(pruned)
    share = pruning.summary["fraction"]["flops"]
    assert f"({share:.1%})" in str(pruning)
    for shown in (potential, pruning, frames):
        assert "<table>" in shown._repr_html_()
    kept, scores = pruning.plot(), pruning.plot_scores()
    (heat_map,) = kept.data
    assert heat_map.zmax == 100 and "features 1e" in heat_map.y
    assert scores.data[0].type == "heatmap"


def test_trainings_have_a_curve(pruned, frames):
    trained = pruned.finetune(frames, steps=2, batch_size=2, validate_every=1)
    (curve,) = trained.plot("energy MAE").data
    assert list(curve.x) == [0, 1, 2]
    assert list(curve.y) == pytest.approx(1e3 * trained.training["valid_energy_mae"])
    with pytest.raises(UserError, match="did you mean 'forces MAE'"):
        trained.plot("force MAE")
    with pytest.raises(UserError, match="was not trained last"):
        pruned.plot()


def test_comparisons(potential, pruned, frames, labelled):
    found = pruned.compare(potential, labelled, timing_atoms=8, timing_repeats=1)
    small, large = found.models
    assert (small.parameters, large.parameters) == (
        pruned.model.parameter_count(),
        potential.model.parameter_count(),
    )
    assert large.time_ratio == 1 and small.seconds > 0
    assert found.agreement["forces_mae"] > 0 and found.structures == 12
    assert f"{1e3 * small.errors['forces_mae']:,.4g} meV/Å" in str(found)
    assert "<th" in found._repr_html_()
    assert found.record()["models"][0]["name"] == pruned.name
    bars = found.plot().data
    assert list(bars[-1].y) == [1, 1, 1]


def test_what_was_seen_is_not_judged_on(potential, pruned, frames):
    trained = pruned.finetune(frames, steps=2, batch_size=2, validate_every=1)
    found = trained.evaluate(frames)
    assert found.structures == len(frames.store.splits["test"])
    assert "test part" in found.source
    assert pruned.evaluate(frames).structures == len(frames)
    assert trained.evaluate(frames, part="all").structures == len(frames)


def test_errors_are_those_of_the_command(potential, frames):
    from irrepress.evaluation.direct import evaluate_store

    expected = evaluate_store(potential.model, frames.store).errors
    (model,) = potential.evaluate(frames).models
    assert model.errors == pytest.approx(expected)


def test_frames_come_in_many_ways(labelled, frames, tmp_path):
    import ase.io

    ase.io.write(tmp_path / "a.extxyz", labelled[:6])
    ase.io.write(tmp_path / "b.extxyz", labelled[6:])
    structures = list(frames.store.iterate())
    for source in (
        [tmp_path / "a.extxyz", tmp_path / "b.extxyz"],
        str(tmp_path / "*.extxyz"),
        structures,
        frames,
        frames.store,
        frames.store.path,
    ):
        read = irrepress.read(source)
        assert len(read) == 12 and read.labels == frames.labels
        for part, indices in frames.store.splits.items():
            assert read.store.splits[part].tolist() == indices.tolist(), source
    parts = irrepress.read(
        tmp_path / "a.extxyz",
        valid=tmp_path / "b.extxyz",
        split={"train": 1, "valid": 0, "test": 0},
    )
    assert [len(indices) for indices in parts.store.splits.values()] == [6, 6, 0]


def test_results_of_other_positions_are_no_labels(labelled):
    moved = [atoms.copy() for atoms in labelled[:3]]
    for atoms, original in zip(moved, labelled, strict=False):
        atoms.calc = original.calc
        atoms.rattle(0.1)
    read = irrepress.read(moved)
    assert read.labels.energy == 0
    assert "atoms have changed since" in str(read)
