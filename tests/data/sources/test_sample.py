"""Sampled frames are those of runs that stay in one split, labelled by what moves the atoms."""

import logging

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from pydantic import ValidationError
from samples import assert_same

from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.config import Split
from irrepress.data.sources.config import Sampled
from irrepress.data.sources.sample import Sampling, divide_runs
from irrepress.data.sources.selection import choose_diverse
from irrepress.data.sources.trajectory import Run, RunSettings, run_trajectory
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store

TEMPERATURES = [300, 900]


def settings(**changes) -> Sampled:
    labels = ModelRef(family="sevennet", checkpoint="7net-0")
    given = {"runs": 6, "count": 12, "atoms": 4, "equilibration": 2, "steps": 12, **changes}
    return Sampled(
        **{"source": "sampled", "of": "mine", "temperatures": TEMPERATURES, **given}, labels=labels
    )


def copper(rattle: float = 0.1) -> Structure:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(rattle, seed=1)
    return Structure.unlabelled(atoms)


class Counted(EMT):
    """Counts its calls, and gives no numbers from one on or for one temperature."""

    def __init__(self, breaks_at: float = np.inf):
        super().__init__()
        self.calls, self.breaks_at = 0, breaks_at

    def calculate(self, *arguments, **options):
        super().calculate(*arguments, **options)
        self.calls += 1
        if self.calls >= self.breaks_at:
            self.results["energy"] = float("nan")


def describe(frames):
    return np.stack([np.sort(frame.forces.ravel())[:4] for frame in frames])


@pytest.fixture
def sampling(tmp_path, info):
    """Make a sampling of some structures, in a folder of its own."""

    def make(*structures, calculator=None, folder="runs", **changes) -> Sampling:
        path = tmp_path / f"{folder}.h5"
        write_store(path, structures or [copper()], info, {"train": range(len(structures) or 1)}, 0)
        store = StructureStore(path)
        calculator = calculator or EMT()
        return Sampling(store, settings(**changes), calculator, tmp_path / folder, describe)

    return make


def test_labels_are_those_of_the_dynamics_and_every_split_has_every_temperature(sampling):
    chosen = sampling(split=Split(train=0.4, valid=0.3, test=0.3))
    chosen.run()
    frames = list(chosen.frames())
    assert len(frames) == len(chosen) == 12
    for frame in frames:
        atoms = frame.to_atoms()
        atoms.calc = EMT()
        assert atoms.get_potential_energy() == pytest.approx(frame.energy, abs=1e-10)
        assert np.allclose(atoms.get_forces(), frame.forces, atol=1e-10)
        assert np.allclose(atoms.get_stress(), frame.stress, atol=1e-10)
    groups = {}
    for part, indices in chosen.splits.items():
        groups[part] = {frames[i].group for i in indices}
        assert {group.split("/")[2] for group in groups[part]} == {"300K", "900K"}
    assert len(set.union(*groups.values())) == sum(map(len, groups.values())) == 6
    assert sorted(np.concatenate(list(chosen.splits.values()))) == list(range(12))
    volumes = {round(abs(np.linalg.det(frame.cell)), 6) for frame in frames}
    assert len(volumes) == 6  # every run has its own strain


def test_the_same_settings_give_the_same_frames_in_any_number_of_processes(sampling):
    one, other = sampling(folder="one"), sampling(folder="other")
    one.run(workers=1)
    other.run(workers=2)
    for first, second in zip(one.frames(), other.frames(), strict=True):
        assert_same(first, second)
    third = sampling(folder="third", seed=1)
    third.run()
    assert not np.allclose(next(third.frames()).positions, next(one.frames()).positions)


def test_a_sampling_goes_on_with_the_runs_that_are_not_finished(sampling):
    first = sampling()
    first.run()
    expected = list(first.frames())
    (first.folder / "run-00004.npz").unlink()
    calculator = Counted()
    again = sampling(calculator=calculator)
    again.run()
    for first_frame, frame in zip(expected, again.frames(), strict=True):
        assert_same(first_frame, frame)
    assert calculator.calls < 15 + 52  # one run of six, and the relaxation
    first.clear()
    assert not first.folder.exists()


@pytest.mark.parametrize("pressure", [None, 5.0])
def test_a_step_takes_one_call(pressure):
    calculator = Counted()
    given = RunSettings.of(settings(pressure=pressure))
    trajectory = run_trajectory(copper(), Run(0, 0, 300), given, calculator, describe)
    assert calculator.calls == 2 + 12 + 1
    assert len(trajectory) == 4 and trajectory.descriptors.shape == (4, 4)
    cells = np.ptp(trajectory.cells, axis=0)
    assert cells.any() == (pressure is not None)


def test_a_run_that_breaks_is_cut_off_and_said(sampling, caplog):
    # Of one run a temperature, the first one breaks in its last steps.
    chosen = sampling(
        calculator=Counted(breaks_at=12), relax=False, runs=4, count=8, temperatures=[300]
    )
    with pytest.raises(UserError, match=r"temperatures: all 4 runs at 300 K broke .*not finite"):
        chosen.run()
    kept = [len(np.load(path)["energies"]) for path in sorted(chosen.folder.glob("*.npz"))]
    assert kept == [2, 0, 0, 0]
    for path in sorted(chosen.folder.glob("*.npz"))[1:]:
        path.unlink()
    mended = sampling(relax=False, runs=4, count=8, temperatures=[300])
    with caplog.at_level(logging.WARNING):
        mended.run()
    assert "run 0 at 300 K was cut off at its last sound frame: predictions" in caplog.text
    assert "lower the temperature or timestep, or set relax: true" in caplog.text
    # The others give what the first one lacks.
    assert len(list(mended.frames())) == 8


def test_molecules_are_sampled_as_they_are_and_have_no_pressure(sampling):
    water = Structure.unlabelled(molecule("H2O"))
    chosen = sampling(water, runs=3, temperatures=[300], count=3)
    chosen.run()
    frames = list(chosen.frames())
    assert all(len(frame) == 3 and np.isnan(frame.stress).all() for frame in frames)
    assert "1 fs (automatic)" in str(chosen)
    with pytest.raises(UserError, match=r"pressure: structure 0 of mine is not periodic"):
        sampling(water, pressure=0.0)


def test_structures_are_relaxed_first_and_one_that_becomes_another_is_named(sampling, caplog):
    with caplog.at_level(logging.INFO):
        sampling(copper(0.1), copper(0.6), runs=4, count=4).run()
    assert (
        "structure 0 (Cu4): largest force" in caplog.text and "steps of relaxation" in caplog.text
    )
    (warning,) = [r.message for r in caplog.records if "into another structure" in r.message]
    assert "structure 1 (Cu4): the model relaxes it by" in warning


def test_test_structures_with_labels_start_no_run(tmp_path, info):
    labelled = [copper() for _ in range(3)]
    atoms = labelled[0].to_atoms()
    atoms.calc = EMT()
    split = {"train": [0], "valid": [1], "test": [2]}
    for name, energy in (("bare", np.nan), ("labelled", atoms.get_potential_energy())):
        structures = [Structure(**{**vars(each), "energy": energy}) for each in labelled]
        write_store(tmp_path / f"{name}.h5", structures, info, split, 0)
        store = StructureStore(tmp_path / f"{name}.h5")
        chosen = Sampling(store, settings(keep="time"), EMT(), tmp_path / name)
        expected = {0, 1, 2} if name == "bare" else {0, 1}
        assert {run.start for run in chosen.runs} == expected


@pytest.mark.parametrize(
    ("temperatures", "fractions", "sizes"),
    [
        ([300, 900] * 6, (0.7, 0.15, 0.15), (8, 2, 2)),
        ([300, 600, 1000, 1300] * 3, (0.7, 0.15, 0.15), (8, 2, 2)),
        ([300], (1, 0, 0), (1, 0, 0)),
        ([300, 900], (0, 0.5, 0.5), (0, 1, 1)),
        ([300] * 3, (0.98, 0.01, 0.01), (1, 1, 1)),
    ],
)
def test_runs_are_divided_by_fractions_and_temperatures(temperatures, fractions, sizes):
    split = Split(**dict(zip(("train", "valid", "test"), fractions, strict=True)))
    divided = divide_runs(temperatures, split)
    assert tuple(len(divided[part]) for part in ("train", "valid", "test")) == sizes
    assert sorted(i for part in divided.values() for i in part) == list(range(len(temperatures)))
    of_train = [temperatures[i] for i in divided["train"]]
    if len(temperatures) > 3:
        counts = [of_train.count(t) for t in set(temperatures)]
        assert max(counts) - min(counts) <= 1
        assert set(of_train) == set(temperatures)


def test_diverse_frames_are_not_repeated():
    rng = np.random.default_rng(0)
    centres = 10 * rng.normal(size=(3, 5))
    runs = [np.repeat(centres, 4, axis=0) + 0.01 * rng.normal(size=(12, 5)) for _ in range(2)]
    first, second = choose_diverse(runs, [2, 1])
    # One of each of three places, though neither run knows of the other's choice.
    assert sorted({i // 4 for i in first} | {i // 4 for i in second}) == [0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runs": 2}, "runs: 2 are too few for 2 temperatures and the splits train, valid, test"),
        ({"count": 73}, "6 runs of 12 steps have fewer than 73 frames; raise steps or runs"),
        ({"count": 5}, "5 frames are fewer than 6 runs"),
        ({"temperatures": [300, 300]}, "300.0 occurs twice"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        settings(**changes)
