"""A job ends with the process that started it."""

import os
import signal
import subprocess
import sys
import time

from irrepress.core.processes import end_with

JOB = "import sys, time; from irrepress.core.processes import end_with; {}; time.sleep(300)"
# Snakemake starts jobs by a shell, which outlives it.
PARENT = """
import os, subprocess, sys, time
job = {job!r}.format(f"print(os.getpid(), end_with({{os.getpid()}}), flush=True)")
subprocess.run(["bash", "-c", 'set -e; "$0" -c "import os; $1"; true', sys.executable, job])
"""


def runs(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_job_ends_when_its_snakemake_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(job=JOB)], stdout=subprocess.PIPE, text=True
    )
    job, watched = parent.stdout.readline().split()
    assert watched == "True" and runs(int(job))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    while runs(int(job)):
        assert time.monotonic() < deadline, "the job runs on"
        time.sleep(0.05)


def test_only_ancestors_are_watched():
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not end_with(other.pid) and not end_with(0) and not end_with(os.getpid())
    other.communicate(b"\n")
