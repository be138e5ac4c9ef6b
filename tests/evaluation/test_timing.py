import time
from copy import deepcopy

import pytest
from ase.neighborlist import neighbor_list

from irrepress.core.model import Model
from irrepress.evaluation import timing
from irrepress.evaluation.timing import reference_crystal, time_side_by_side


@pytest.mark.parametrize(("wished", "atoms"), [(64, 64), (8, 8), (60, 64), (1, 8), (100, 96)])
def test_the_crystal_comes_near_the_wished_size(wished, atoms):
    assert len(reference_crystal([14], wished)) == atoms


def test_another_element_has_bonds_of_its_own_length():
    crystal = reference_crystal([6], 8).to_atoms()
    nearest = neighbor_list("d", crystal, 2.5).min()
    assert 1.2 < nearest < 1.8


def test_the_crystal_of_molecules_is_no_denser_than_they_are():
    crystal = reference_crystal([1, 6, 8], 8).to_atoms()
    assert set(crystal.numbers) == {6}
    assert len(neighbor_list("i", crystal, 5.0)) / len(crystal) < 150


def test_models_are_timed_in_turn(small_sevennet, monkeypatch):
    """A B A B ... after untimed calls, each for as long as one call takes and not shorter."""
    models = [small_sevennet, deepcopy(small_sevennet)]
    asked, predict = [], Model.predict

    def recorded(model, batch, native):
        asked.append((models.index(model), native))
        time.sleep(0.02 * models.index(model))
        return predict(model, batch, native=native)

    monkeypatch.setattr(Model, "predict", recorded)
    monkeypatch.setattr(timing, "TURN_SECONDS", 0)  # one call a turn
    crystal = reference_crystal(small_sevennet.elements, 8)
    times = time_side_by_side(models, crystal, repeats=3)
    assert [which for which, _ in asked] == [0, 0, 1, 1] + [0, 1] * times.rounds
    assert all(native for _, native in asked)
    assert 3 <= times.rounds <= 12
    assert times.seconds[1] > 0.02 and times.ratios[0] < 1
    assert times.ratios[-1] == 1 and times.ratio_spreads[-1] == 0


class Clock:
    """Stands in for the time of a turn: the given seconds of two models, round after round."""

    def __init__(self, rounds):
        self.rounds, self.turns = rounds, 0

    def __call__(self, model, batch, native):
        value = self.rounds[min(self.turns // 2, len(self.rounds) - 1)][self.turns % 2]
        self.turns += 1
        return value


def times_of(monkeypatch, model, rounds, repeats=3):
    monkeypatch.setattr(timing, "time_turn", Clock(rounds))
    monkeypatch.setattr(timing, "busy_machine", lambda: None)
    crystal = reference_crystal(model.elements, 8)
    return time_side_by_side([model, model], crystal, repeats=repeats)


def test_a_drifting_machine_changes_seconds_and_not_the_ratio(small_sevennet, monkeypatch):
    drifting = [(factor * 0.1, factor * 0.2) for factor in (1, 3, 9)]
    times = times_of(monkeypatch, small_sevennet, drifting)
    assert times.ratios == pytest.approx([0.5, 1])
    assert times.ratio_spreads == pytest.approx([0, 0])
    assert times.rounds == 3
    assert times.seconds == pytest.approx([0.3, 0.6])
    assert times.spreads == pytest.approx([4 / 3, 4 / 3])


def test_rounds_are_repeated_until_the_ratio_is_known(small_sevennet, monkeypatch):
    unsteady = [(0.1, 0.2), (0.14, 0.2), (0.06, 0.2)]
    times = times_of(monkeypatch, small_sevennet, [*unsteady, *[(0.1, 0.2)] * 9])
    assert 3 < times.rounds < 12
    assert times.ratios[0] == pytest.approx(0.5)
    never = [(0.1 + 0.05 * (i % 3), 0.2) for i in range(99)]
    times = times_of(monkeypatch, small_sevennet, never)
    assert times.rounds == 12  # four times what was asked for
    assert "rounds differ by" in times.busy


def test_a_single_round_is_not_taken_for_certain(small_sevennet, monkeypatch):
    unsteady = [(0.1, 0.2), (0.3, 0.2), (0.2, 0.2)]
    times = times_of(monkeypatch, small_sevennet, unsteady, repeats=1)
    assert times.rounds >= 3 and times.ratio_spreads[0] > 0.2


def test_a_machine_with_more_work_than_cores_is_busy(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr("os.getloadavg", lambda: (7.9, 3.0, 1.0))
    assert timing.busy_machine() == "load average 7.9 on 2 cores"
    monkeypatch.setattr("os.getloadavg", lambda: (2.1, 9.0, 9.0))
    assert timing.busy_machine() is None
