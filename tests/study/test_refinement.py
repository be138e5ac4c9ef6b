"""Rounds of dynamics, labels and training."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from ase.build import bulk

from irrepress.core.errors import UserError
from irrepress.core.plan import Plan
from irrepress.core.section import make_section
from irrepress.core.structure import Structure
from irrepress.data.layout import StoreInfo
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.evaluation.predictions import label
from irrepress.study.exploration import Found, Frame
from irrepress.study.refinement import Round, choose, reason_to_end, refine
from irrepress.training.config import Refinement

INFO = StoreInfo("test", "MIT", "", level_of_theory="PBE", labels="SevenNet-0", checksum="")
SETTINGS = {
    "of": "cell",
    "temperatures": [300, 900],
    "rounds": 2,
    "runs": 4,
    "frames": 6,
    "dynamics_steps": 12,
    "atoms": 2,
    "steps": 6,
    "batch_size": 4,
    "validate_every": 3,
    "learning_rate": 2e-3,
    "held_out": 0.5,
}


@pytest.fixture(scope="module")
def cut(sevennet_0):
    groups = sevennet_0.groups()
    return sevennet_0.narrow(Plan.identity(groups).cut_order(groups, above=1))


@pytest.fixture(scope="module")
def stores(sevennet_0, tmp_path_factory):
    """What the model was trained on, and a bare cell."""
    folder = tmp_path_factory.mktemp("stores")
    rattled = []
    for seed in range(6):
        atoms = bulk("Si")
        atoms.rattle(0.05, seed=seed)
        rattled.append(Structure.unlabelled(atoms, group=str(seed)))
    splits = {"train": [0, 1, 2], "valid": [3, 4], "test": [5]}
    write_store(folder / "base.h5", label(sevennet_0, rattled), INFO, splits, 0)
    cell = Structure.unlabelled(bulk("Si"))
    write_store(folder / "cell.h5", [cell], INFO, {"train": [0]}, 0)
    return StructureStore(folder / "base.h5"), StructureStore(folder / "cell.h5")


@pytest.fixture
def run(cut, sevennet_0, stores, tmp_path):
    """Return a function that refines in a folder; keywords replace settings."""

    def run(folder="work", model=cut, **changes):
        base, starts = stores
        path = tmp_path / folder
        result = refine(
            model,
            sevennet_0,
            base,
            starts,
            Refinement(**SETTINGS | changes),
            seed=1,
            device="cpu",
            work_dir=path,
            metrics_csv=tmp_path / f"{folder}.csv",
            frames=tmp_path / f"{folder}.h5",
        )
        sevennet_0.to("cpu")
        return result

    return run


def frame(departure, run=0, last=False, temperature=300.0):
    structure = Structure.unlabelled(bulk("Si"))
    return Frame(structure, run, temperature, 0.01, departure, 1.0, last)


def test_frames_that_depart_most_are_chosen():
    settings = Refinement(of="cell", temperatures=[300], frames=3, threshold=0.1, held_out=0.5)
    frames = [frame(d, run) for run, d in enumerate((0.5, 0.05, 0.3, 0.2, 0.4, 0.01))]
    train, valid = choose(frames, settings, 0)
    assert sorted(train + valid) == [0, 2, 4]
    # Even rounds hold odd runs out, odd rounds even ones.
    assert valid == [] and choose(frames, settings, 1)[1] == [0, 2, 4]
    # The last sound frame before a break comes first, whatever its departure.
    frames[5] = frame(0.01, 5, last=True)
    train, valid = choose(frames, settings, 0)
    assert (train, valid) == ([0, 4], [5])


def test_errors_by_temperature():
    found = Found.of(
        [frame(0.1), frame(0.3, temperature=900.0)], runs=2, broke=["it exploded"], left_out=1
    )
    assert found.departure == pytest.approx(0.2)
    assert found.departures == {"300": pytest.approx(0.1), "900": pytest.approx(0.3)}
    assert found.rank == (0.5, found.departure)
    assert "1 of 2 runs broke" in found.told and "10 % at 300 K" in found.told
    none = Found.of([], runs=2, broke=["a", "b"], left_out=0)
    assert none.rank > found.rank


def a_round(number, *, frames=8, broke=0, departure=0.1, added=4):
    found = Found(frames, 4, ["too hot"] * broke, 0.001, 0.02, departure, {}, 0)
    return Round(number, found, added=added, held_out=0, seconds=60.0)


@pytest.mark.parametrize(
    ("rounds", "reason"),
    [
        ([a_round(0)], None),
        ([a_round(0, frames=0, broke=4, added=0)], "every run broke before its first sound frame"),
        ([a_round(0, added=0)], "no frame departs by more than 2 %"),
        ([a_round(0), a_round(1, departure=0.05)], None),
        ([a_round(0), a_round(1, departure=0.099)], "the error on new dynamics no longer falls"),
        ([a_round(0), a_round(1, departure=0.05, broke=1)], "no longer falls"),
        ([a_round(0), a_round(1, departure=0.05), a_round(2, departure=0.01)], "last round"),
    ],
)
def test_why_refinement_ends(rounds, reason):
    settings = Refinement(**SETTINGS | {"threshold": 0.02})
    trained = [{"steps": 6.0, "best_valid_loss": 1.0, "seconds": 30.0}] * (len(rounds) - 1)
    found = reason_to_end(rounds, trained, settings)
    assert found is None if reason is None else reason in found
    hurried = settings.model_copy(update={"minutes": 1.0})
    assert reason_to_end(rounds, trained, hurried) is not None


def test_settings_that_cannot_work_are_refused():
    for changes, message in (
        ({"label_fraction": 0.5}, "set it to 0"),
        ({"devices": 2}, "one device"),
        ({"runs": 1}, "raise runs"),
        ({"temperatures": []}, "temperatures"),
    ):
        with pytest.raises(UserError, match=message):
            make_section(Refinement, "refine", SETTINGS | changes)


@pytest.mark.slow
def test_the_parent_itself_needs_no_refinement(run, sevennet_0, stores, tmp_path):
    result = run("parent", model=sevennet_0, threshold=0.001, runs=2)
    (only,) = result.rounds
    assert only.found.departure < 1e-3 and only.added == 0
    assert result.ended.startswith("no frame departs") and result.best == 0
    assert result.stage(Refinement(**SETTINGS), 1)["kept"] == "start"
    assert len(StructureStore(tmp_path / "parent.h5").splits["test"]) == only.found.frames
    assert pd.read_csv(tmp_path / "parent.csv").step.tolist() == [0]


@pytest.mark.slow
def test_rounds_lower_the_error_on_new_dynamics(run, cut, sevennet_0, stores, tmp_path):
    """And a run that was killed goes on in its round, with the same result."""
    result = run(rounds=1, steps=24)
    first, second = result.rounds
    assert first.added > 0 and first.held_out > 0
    assert second.found.departure < 0.8 * first.found.departure
    assert result.best == 1 and result.ended == "the last round is done"
    added = StructureStore(tmp_path / "work.h5")
    assert len(added.splits["train"]) == first.added
    assert len(added.splits["valid"]) == first.held_out
    assert len(added.splits["test"]) == second.found.frames
    assert added.info.labels == "SevenNet-0"
    # The labels are the parent's.
    one = added[int(added.splits["train"][0])]
    assert np.allclose(sevennet_0.predict(sevennet_0.batch([one])).forces, one.forces, atol=1e-5)
    curve = pd.read_csv(tmp_path / "work.csv")
    assert curve.step.iloc[-1] == 24 and curve.seconds.is_monotonic_increasing
    stage = result.stage(Refinement(**SETTINGS), 1)
    assert [each["number"] for each in stage["rounds"]] == [0, 1]
    json.dumps(stage)
    # Killed after the training of round 0, while round 1 ran.
    for path in (tmp_path / "work/round-1").iterdir():
        path.unlink()
    again = run(rounds=1, steps=24)
    for name, tensor in result.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])
    assert again.rounds[0] == first
    assert again.rounds[1].found == second.found
