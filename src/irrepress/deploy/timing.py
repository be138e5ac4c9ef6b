"""Times of models in the runtimes that they are deployed for, beside their parents' there."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from ase import Atoms

from irrepress.core.errors import UserError
from irrepress.core.model import Model
from irrepress.deploy import worker
from irrepress.deploy.config import TimeLimits
from irrepress.deploy.records import Time
from irrepress.deploy.target import NATIVE, Target

# Runs a model for a while, and returns the mean time of a call in seconds.
Turn = Callable[[], float]

# Numbers of atoms that repeats of a cell come close to.
SIZES = (1, 64, 256, 1000, 2500, 5000, 10_000)
# Rounds of a size, in each of which every model has its turn, and the least time of a turn in s.
_ROUNDS, _TURN = 3, 0.2
_MOST_CALLS = 50
# Memory grows about as the number of atoms does; a size is not begun that would take more.
_SHARE_OF_MEMORY = 0.7


@dataclass
class Timed:
    """What timing has found.

    Attributes:
        times: the times, sizes in order.
        threads: threads of the runtime.
        stopped: why no larger structures were timed; None if all were.

    Example:
        >>> Timed().times
        []
    """

    times: list[Time] = field(default_factory=list)
    threads: int | None = None
    stopped: str | None = None


def time_against_size(
    folders: Mapping[str, Path],
    cell: Atoms,
    limits: TimeLimits,
    *,
    device: str,
    environment: Mapping[str, str],
) -> Timed:
    """Time deployments side by side on ever larger structures, until a limit is reached.

    Args:
        folders: ``deployed`` and perhaps ``parent`` -> the folder with its runtime.
        cell: the cell that is repeated.
        limits: largest number of atoms, and time.
        device: where they run.
        environment: environment variables besides those of this process.

    Raises:
        UserError: a runtime fails on the smallest structure.
    """
    found = Timed()
    ends = time.monotonic() + 60 * limits.minutes
    with ExitStack() as stack:
        workers = {
            name: _Deployed(stack.enter_context(_worker(folder, device, environment)), folder)
            for name, folder in folders.items()
        }
        last: dict[str, dict[str, Any]] = {}
        base = 0.0  # memory of the packages
        for atoms in _grown(cell, limits.largest):
            if (reason := _why_no_more(last, base, len(atoms), ends)) is not None:
                found.stopped = reason
                break
            try:
                last = {name: _time(each, atoms) for name, each in workers.items()}
            except _Failed as error:
                if not found.times:
                    raise UserError(
                        f"deploy: the runtime fails when it is timed on {len(atoms)} atoms "
                        f"({error}); leave the times out (--minutes 0), or mend the runtime"
                    ) from error
                found.stopped = f"{len(atoms):,} atoms: {error}"
                break
            base = base or sum(float(answer["memory_mb"]) for answer in last.values())
            for _ in range(_ROUNDS - 1):
                for name, each in workers.items():
                    again = each.ask(atoms, last[name]["calls"])
                    last[name]["seconds"] += again["seconds"]
            for name, answer in last.items():
                found.times.append(_summary(name, len(atoms), answer))
                found.threads = answer["threads"]
    return found


@contextmanager
def turns_in(
    target: Target, structure: Atoms, *, device: str, least: float = _TURN
) -> Iterator[Callable[[Model], Turn]]:
    """Let models be timed in a runtime, all in one process of it.

    A call is that of the deployment's calculator: energy, forces and, of a crystal, stress, with
    the search for neighbours, of a structure whose atoms move by 0.001 Å from call to call.

    Args:
        target: the runtime, which takes the models.
        structure: what is evaluated.
        device: where it runs.
        least: shortest time of a turn in seconds; a call that takes longer is a turn alone.

    Yields:
        A function that writes a model for the runtime and returns what gives it a turn, which is
        warmed up. Turns raise a `UserError` if the runtime fails.

    Example:
        >>> from ase.build import bulk
        >>> from irrepress.deploy.target import get_target
        >>> crystal = bulk("Si", cubic=True)
        >>> with turns_in(get_target("torchscript"), crystal, device="cpu") as turn_of:
        ...     turn = turn_of(model)
        ...     turn() > 0
        True
    """
    with tempfile.TemporaryDirectory(prefix="irrepress-") as name:
        # As many threads as irrepress's own calls have, which such times stand beside.
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        with _worker(Path(name), device, threads) as process:

            def turn_of(model: Model) -> Turn:
                folder = Path(tempfile.mkdtemp(dir=name))
                model.save(folder / NATIVE)
                target.write_folder(model, folder)
                deployed = _Deployed(process, folder)
                try:
                    calls = _calls(deployed, structure, least)
                except _Failed as error:
                    raise _fails(target, len(structure), error) from error

                def turn() -> float:
                    try:
                        return statistics.fmean(deployed.ask(structure, calls)["seconds"])
                    except _Failed as error:
                        raise _fails(target, len(structure), error) from error

                return turn

            yield turn_of


def _fails(target: Target, atoms: int, error: Exception) -> UserError:
    return UserError(
        f"{target.name}: the runtime fails when a model is timed on {atoms} atoms ({error}); mend "
        "the runtime, time fewer atoms (timing_atoms), or take the runtime native"
    )


def machine() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


class _Failed(Exception):
    """A runtime has ended while it was timed."""


class _Worker:
    """A process that times deployments."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str]):
        self._process, self._errors = process, errors

    def ask(self, folder: Path, atoms: Atoms, calls: int) -> dict[str, Any]:
        """Return the answer to a request; see `irrepress.deploy.worker`."""
        content = {
            "numbers": atoms.numbers.tolist(),
            "positions": atoms.positions.tolist(),
            "cell": np.array(atoms.cell).tolist(),
            "pbc": atoms.pbc.tolist(),
        }
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            request = {"folder": str(folder), "atoms": content, "calls": calls}
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            self._errors.seek(0)
            told = self._errors.read().strip().splitlines()
            killed = "the memory is full" if code == -9 else f"exit code {code}"
            raise _Failed(told[-1] if told and code != -9 else killed)
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass(frozen=True)
class _Deployed:
    """A deployment and the process that times it."""

    process: _Worker
    folder: Path

    def ask(self, atoms: Atoms, calls: int) -> dict[str, Any]:
        """Return the answer to a request; see `irrepress.deploy.worker`."""
        return self.process.ask(self.folder, atoms, calls)


@contextmanager
def _worker(folder: Path, device: str, environment: Mapping[str, str]) -> Iterator[_Worker]:
    """Start a process that runs deployments, with its log in a folder, and end it."""
    errors_path = folder / ".worker.log"
    with errors_path.open("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            [sys.executable, str(worker.__file__), device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
            env={**os.environ, **environment},
        )
        try:
            yield _Worker(process, errors)
        finally:
            process.kill()
            process.wait()
            errors_path.unlink(missing_ok=True)


def _time(each: _Deployed, atoms: Atoms) -> dict[str, Any]:
    """Return the first turn of a model at a size, after what warms it up."""
    calls = _calls(each, atoms, _TURN)
    return {**each.ask(atoms, calls), "calls": calls, "atoms": len(atoms)}


def _calls(each: _Deployed, atoms: Atoms, least: float) -> int:
    """Warm a model up, and return how many of its calls a turn takes."""
    each.ask(atoms, 1)
    seconds = each.ask(atoms, 1)["seconds"][0]
    return int(min(max(least / max(seconds, 1e-6), 1), _MOST_CALLS))


def _summary(name: str, atoms: int, answer: Mapping[str, Any]) -> Time:
    first, median, third = np.quantile(answer["seconds"], [0.25, 0.5, 0.75])
    return Time(
        atoms=atoms,
        model="deployed" if name == "deployed" else "parent",
        seconds=float(median),
        spread=float((third - first) / median),
        calls=len(answer["seconds"]),
        memory_mb=round(float(answer["memory_mb"]), 1),
    )


def _grown(cell: Atoms, largest: int) -> Iterator[Atoms]:
    """Yield repeats of a cell that come close to the sizes, as round as they can be."""
    seen = 0
    for wanted in SIZES:
        repeats, lengths = np.ones(3, int), np.array(cell.cell.lengths())
        while len(cell) * repeats.prod() < wanted:
            shorter = np.argmin(lengths * repeats)
            more = repeats.copy()
            more[shorter] += 1
            if len(cell) * more.prod() > 1.3 * wanted and repeats.prod() > 1:
                break
            repeats = more
        atoms = cell.repeat(repeats.tolist())
        if seen < len(atoms) <= largest:
            seen = len(atoms)
            yield atoms


def _why_no_more(
    last: Mapping[str, Mapping[str, Any]], base: float, atoms: int, ends: float
) -> str | None:
    """Return why a size is not timed; None if it can be."""
    if not last:
        return None
    needed, memory = 0.0, base
    for answer in last.values():
        growth = atoms / answer["atoms"]
        needed += growth * float(np.median(answer["seconds"])) * (_ROUNDS + 2)
        memory += growth * float(answer["memory_mb"])
    memory -= base * atoms / next(iter(last.values()))["atoms"]
    if time.monotonic() + needed > ends:
        return f"{atoms:,} atoms would take longer than the time limit"
    if memory > _SHARE_OF_MEMORY * _free_memory():
        return f"{atoms:,} atoms would take more memory than is free"
    return None


def _free_memory() -> float:
    """Return the memory that is free, in MB; that of all machines where it is not told."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return float("inf")
    line = next(line for line in text.splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) / 1024
