"""Streams are worked on in order, a few items at a time, by processes that end."""

import multiprocessing
import os
import signal
import time

import pytest

from irrepress.errors import UserError
from irrepress.structures.parallel import ordered_map


def slow_square(number):
    time.sleep(0.02 * (number % 3 == 0))  # later items overtake these
    return number**2, os.getpid()


def fail_at_five(number):
    if number == 5:
        raise UserError("five")
    return number


def die_at_five(number):
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_order(workers):
    results = list(ordered_map(slow_square, range(20), workers))
    assert [square for square, _ in results] == [n**2 for n in range(20)]
    processes = {process for _, process in results}
    assert (processes == {os.getpid()}) == (workers == 1)
    assert len(processes) <= workers


def test_one_item_needs_no_process():
    assert list(ordered_map(slow_square, [4], 8)) == [(16, os.getpid())]
    assert list(ordered_map(slow_square, [], 8)) == []


def test_items_are_taken_as_results_are_asked_for():
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    results = ordered_map(abs, items(), 2)
    for count in range(1, 50):
        next(results)
        assert len(taken) <= count + 4
    results.close()


def test_errors_reach_the_caller_and_processes_end():
    results = ordered_map(fail_at_five, range(100), 2)
    with pytest.raises(UserError, match="five"):
        list(results)
    with pytest.raises(UserError, match="reading processes was killed, probably for lack of memo"):
        list(ordered_map(die_at_five, range(100), 2))
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not multiprocessing.active_children()
