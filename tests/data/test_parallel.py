"""Streams are worked on in order, a few items at a time, by processes that end."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from irrepress.core.errors import UserError
from irrepress.data.parallel import ordered_map


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
    with pytest.raises(UserError, match="reading processes was killed, probably because memory"):
        list(ordered_map(die_at_five, range(100), 2))
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not multiprocessing.active_children()


WAIT = """
import os, time
from irrepress.data.parallel import ordered_map

def work(number):
    time.sleep(0.01)
    return os.getpid()

processes = set()
for process in ordered_map(work, range(10**9), 3):
    if process not in processes:
        processes.add(process)
        print(process, flush=True)
    if len(processes) == 3:
        time.sleep(600)
"""


def test_processes_end_when_their_parent_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", WAIT], stdout=subprocess.PIPE, text=True)
    workers = [int(parent.stdout.readline()) for _ in range(3)]
    parent.kill()
    parent.wait(60)
    for _ in range(600):
        if not any(map(_runs, workers)):
            break
        time.sleep(0.1)
    assert not any(map(_runs, workers))


def _runs(process):
    """A process that ended may wait for its new parent to take notice."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
