"""Runs runtimes of deployments in a process of its own, as their users do, and times them.

    python worker.py DEVICE

reads requests from stdin, one line of JSON each: the folder of a deployment, a structure and how
often to evaluate it. It answers on stdout with the times in s, and the largest memory so far in MB.
A folder is loaded once. It imports what a user's machine has and nothing of irrepress.
"""

import importlib.util
import json
import os
import resource
import sys
import time
from types import ModuleType
from typing import Any

import numpy as np
from ase import Atoms

_DISPLACEMENT = 1e-3  # Å, of atoms between calls, about what they move by in a step


def main() -> None:
    """Answer requests until stdin ends."""
    (device,) = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print is no answer
    loaded: dict[str, tuple[ModuleType, Any]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        folder = request["folder"]
        if folder not in loaded:
            runtime = _runtime(folder, f"runtime_{len(loaded)}")
            made = runtime.calculator(device) if hasattr(runtime, "calculator") else None
            loaded[folder] = runtime, made
        atoms = Atoms(**request["atoms"])
        times = _seconds(*loaded[folder], atoms, request["calls"], device)
        kilobytes = max(
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        answer = {"seconds": times, "memory_mb": kilobytes / 1024, "threads": _threads()}
        print(json.dumps(answer), file=answers, flush=True)


def _runtime(folder: str, name: str) -> ModuleType:
    """Return a deployment's runtime.py as a module of its own name."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(folder, "runtime.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _seconds(
    runtime: ModuleType, calculator: Any, atoms: Atoms, calls: int, device: str
) -> list[float]:
    if hasattr(runtime, "seconds"):
        return runtime.seconds(atoms, calls, device)
    random, times = np.random.default_rng(0), []
    asked = ["energy", "forces"] + ["stress"] * bool(atoms.pbc.all())
    for _ in range(calls):
        atoms.positions += random.normal(scale=_DISPLACEMENT, size=(len(atoms), 3))
        start = time.perf_counter()
        if calculator is None:
            runtime.evaluate([atoms], device)
        else:
            calculator.calculate(atoms, asked)
        times.append(time.perf_counter() - start)
    return times


def _threads() -> int:
    """Return how many threads the runtime uses: torch's, else those of OpenMP."""
    if (torch := sys.modules.get("torch")) is not None:
        return torch.get_num_threads()
    named = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(named) if named.isdigit() else len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
