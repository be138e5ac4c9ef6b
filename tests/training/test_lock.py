"""Two trainings never share a directory of checkpoints; the lock ends with its process."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys

import pytest

from irrepress.core.errors import UserError
from irrepress.training.lock import NAME, locked

HOLD = """
import sys, time
from irrepress.training.lock import locked
with locked(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(300)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that trains in ``tmp_path``."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()


def enter(directory):
    with locked(directory):
        return json.loads((directory / NAME).read_text())


def test_a_second_training_is_refused_and_told_of_the_first(holder, tmp_path):
    with pytest.raises(
        UserError, match=rf"process {holder.pid} on \S+ has been training here"
    ) as told:
        enter(tmp_path)
    assert str(tmp_path) in str(told.value) and f"kill {holder.pid}" in str(told.value)


def test_a_job_of_slurm_is_told_by_its_number(holder, tmp_path):
    content = json.loads((tmp_path / NAME).read_text()) | {"job": "1234"}
    (tmp_path / NAME).write_text(json.dumps(content))
    with pytest.raises(UserError, match="scancel 1234"):
        enter(tmp_path)
    (tmp_path / NAME).write_text("{")
    with pytest.raises(UserError, match="another process is training here; wait for it"):
        enter(tmp_path)


def test_a_killed_training_leaves_no_lock(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert enter(tmp_path)["process"] == os.getpid()
    assert enter(tmp_path)["process"] == os.getpid()


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    assert enter(tmp_path)["process"] == os.getpid()
    assert "does not support locks (No locks available)" in caplog.text
