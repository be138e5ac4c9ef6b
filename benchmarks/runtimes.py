"""How fast deployed models are, runtime beside runtime, on this machine.

    python benchmarks/runtimes.py --out benchmarks/results/runtimes.csv
    python benchmarks/runtimes.py --models 7net-l3i5 --atoms 64 216 --out ...

``--out`` keeps the table; rows of other models in the file stay. sevenn's file of l3i5 takes
several GB for 512 atoms.

For SevenNet-0, SevenNet-l3i5 or l3i5 cut to 64x0e+32x1e+16x2e: energy, forces and virial of a
silicon crystal by each runtime in turn, A B A B ..., so that a busy machine slows all alike. Times
are those of one thread's CPU; ratios are medians over rounds. Neighbours are given, as they are to
LAMMPS's pair style. Beside the times stand the memory that a call takes at most and, for the
smallest crystal, the largest error of a force against sevenn's own code in float64, relative to the
largest force. A further runtime is a function in ``RUNTIMES``.

    python benchmarks/runtimes.py --memory 8 --models 7net-l3i5 '7net-l3i5, 64x0e+32x1e+16x2e' \
        --out benchmarks/results/memory.csv

finds how many atoms fit into so many GB instead: a process of its own for every model and runtime
evaluates ever larger crystals, until the next would take most of the memory or a call took longer
than ``--seconds``. The number of atoms follows from a line through the peaks of the two largest.
The process cannot take more than a GB above the limit.
"""

import argparse
import contextlib
import ctypes
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import sevenn
import torch
from sevenn.scripts.deploy import deploy

import irrepress
from irrepress.core.model import Model
from irrepress.core.structure import Structure
from irrepress.core.target import Explicit
from irrepress.evaluation.timing import reference_crystal
from irrepress.families import get_family
from irrepress.families.sevennet.torchscript import lammps_inputs, run_as_lammps
from irrepress.pruning.budget import plan_for_irreps
from irrepress.pruning.scoring import compute_scores

PRUNED = "7net-l3i5, 64x0e+32x1e+16x2e"
GB = 1e9  # bytes
# A crystal is so many times as large as the one before.
_GROWTH = 2.0
# What the next, larger crystal may take of the limit, so that the machine is never filled.
_SHARE = 0.6


class Runtime(NamedTuple):
    """What evaluates a deployed model.

    Attributes:
        code: package and version.
        prepare: writes a model into a folder, and returns what makes of a structure a call that
            returns forces.
    """

    code: str
    prepare: Callable[[Model, Path], Callable[[Structure], Callable[[], np.ndarray]]]


def sevenns_torchscript(model: Model, folder: Path) -> Callable[[Structure], Callable]:
    """The file of ``sevenn get_model``."""
    model.save(folder / "model.pth")
    # sevenn tells on stdout and by warnings which accelerators are missing.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        deploy(str(folder / "model.pth"), str(folder / "own.pt"), modal=model.modal)
    return torchscript(model, folder / "own.pt")


def our_torchscript(model: Model, folder: Path) -> Callable[[Structure], Callable]:
    """The file that irrepress writes."""
    model.family.write_torchscript(model, folder / "fast.pt")
    return torchscript(model, folder / "fast.pt")


def torchscript(model: Model, path: Path) -> Callable[[Structure], Callable[[], np.ndarray]]:
    """Load a file as LAMMPS's pair style does, and call it as it does."""
    network = torch.jit.load(path, map_location="cpu")

    def on(structure: Structure) -> Callable[[], np.ndarray]:
        inputs = lammps_inputs(model, structure)
        return lambda: run_as_lammps(network, inputs)[1].numpy()

    return on


# The first is what the others are compared with.
RUNTIMES = {
    "sevenn get_model": Runtime(f"sevenn {sevenn.__version__}", sevenns_torchscript),
    "irrepress, TorchScript": Runtime(f"irrepress {irrepress.__version__}", our_torchscript),
}


def load(name: str) -> Model:
    """Load a model, or cut one."""
    if name != PRUNED:
        return get_family("sevennet").load(name)
    parent = get_family("sevennet").load("7net-l3i5")
    groups = parent.groups()
    scores = compute_scores(parent, [], criteria=["magnitude"]).of("magnitude")
    irreps = ["64x0e", *["64x0e+32x1e+16x2e"] * 4, "64x0e"]
    plan = plan_for_irreps(groups, scores, Explicit(irreps=irreps, filter_lmax=2))
    return parent.narrow(parent.native_plan(plan)[0])


def in_double(model: Model, folder: Path) -> Model:
    """Return a model in float64."""
    model.save(folder / "model.pth")
    family = get_family("sevennet")
    return family.load(folder / "model.pth", modal=model.modal, dtype=torch.float64)


def compare(name: str, sizes: list[int], rounds: int, folder: Path) -> list[dict]:
    """Time a model in all runtimes; one row a runtime and size."""
    model = load(name)
    exact = in_double(model, folder)
    prepared = {key: runtime.prepare(model, folder) for key, runtime in RUNTIMES.items()}
    rows = []
    for size in sizes:
        structure = reference_crystal(model.elements, size)
        calls = {key: on(structure) for key, on in prepared.items()}
        with as_lammps():
            found = {key: call() for key, call in calls.items()}  # the first call fills caches
            times = [[seconds(call) for call in calls.values()] for _ in range(rounds)]
            memory = {key: megabytes(call) for key, call in calls.items()}
        table = np.array(times)
        errors = dict.fromkeys(calls, np.nan)
        if size == min(sizes):
            true = exact.predict(exact.batch([structure])).forces.numpy()
            errors = {key: np.abs(f - true).max() / np.abs(true).max() for key, f in found.items()}
        ratios = table[:, :1] / table
        edges = lammps_inputs(model, structure)["edge_vec"].shape[0]
        for column, key in enumerate(calls):
            low, median, high = np.quantile(ratios[:, column], [0.25, 0.5, 0.75])
            rows.append(
                {
                    "model": name,
                    "runtime": key,
                    "atoms": len(structure),
                    "neighbours": edges / len(structure),
                    "time [ms]": 1000 * np.median(table[:, column]),
                    "faster": median,
                    "spread [%]": 100 * (high - low) / median,
                    "memory [MB]": memory[key],
                    "error of forces": errors[key],
                    "code": RUNTIMES[key].code,
                }
            )
            print(rows[-1], flush=True)
    return rows


@contextlib.contextmanager
def as_lammps() -> Iterator[None]:
    """Let TorchScript run as LAMMPS's pair style has it: compiled once, for all shapes."""
    torch._C._set_graph_executor_optimize(False)
    try:
        yield
    finally:
        torch._C._set_graph_executor_optimize(True)


def seconds(call: Callable[[], np.ndarray]) -> float:
    """Return the CPU time of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def megabytes(call: Callable[[], np.ndarray]) -> float:
    """Return by how much a call raises the process's memory at most; Linux alone tells."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return np.nan
    ctypes.CDLL(None).malloc_trim(0)  # what earlier calls left goes back to the system
    reset.write_text("5")
    before = _kilobytes(status, "VmRSS")
    call()
    return (_kilobytes(status, "VmHWM") - before) / 1000


def peaks(name: str, key: str, limit: float, longest: float) -> list[tuple[int, float]]:
    """Return numbers of atoms and the peak of this process's memory in bytes, as a line grows.

    Args:
        name: the model.
        key: the runtime.
        limit: memory in bytes that must not be reached.
        longest: no larger crystal is begun after a call that takes so many seconds.
    """
    most = int(limit + GB)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    found: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        model = load(name)
        on = RUNTIMES[key].prepare(model, Path(folder))
        wanted = 64
        while True:
            structure = reference_crystal(model.elements, wanted)
            call = on(structure)
            with as_lammps():
                if not found:
                    call()  # the first call fills caches
                ctypes.CDLL(None).malloc_trim(0)
                reset.write_text("5")
                took = seconds(call)
            found.append((len(structure), 1e3 * _kilobytes(status, "VmHWM")))
            wanted = round(_GROWTH * len(structure))
            if len(found) > 1 and (took > longest or _fitted(found)(wanted) > _SHARE * limit):
                return found
            if wanted > 4096:  # the largest crystal that there is
                return found


def _fitted(found: list[tuple[int, float]]) -> Callable[[int], float]:
    """Return the line through the last two numbers of atoms and peaks."""
    (fewer, less), (more, most) = found[-2:]
    slope = (most - less) / (more - fewer)
    return lambda atoms: most + slope * (atoms - more)


def fits(name: str, key: str, gigabytes: float, longest: float) -> dict:
    """Return how many atoms fit into a memory, as a row of the table."""
    request = json.dumps([name, key, gigabytes * GB, longest])
    done = subprocess.run(
        [sys.executable, __file__, "--peaks", request], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{name}, {key}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    (fewer, less), (more, most) = found[-2:]
    slope = (most - less) / (more - fewer)
    row = {
        "model": name,
        "runtime": key,
        "largest measured [atoms]": more,
        "its peak [GB]": most / GB,
        "memory per atom [MB]": slope / 1e6,
        f"atoms in {gigabytes:g} GB": int(more + (gigabytes * GB - most) / slope),
        "code": RUNTIMES[key].code,
    }
    print(row, flush=True)
    return row


def _kilobytes(status: Path, name: str) -> float:
    (line,) = (each for each in status.read_text().splitlines() if each.startswith(name))
    return float(line.split()[1])


def main() -> None:
    """Time all models, print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["7net-0", PRUNED])
    parser.add_argument("--atoms", type=int, nargs="+", default=[64, 216, 512])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=float, metavar="GB", help="find the atoms that fit")
    parser.add_argument("--seconds", type=float, default=20, help="of a call, with --memory")
    parser.add_argument("--peaks", type=json.loads, help=argparse.SUPPRESS)  # a process of --memory
    parser.add_argument("--out", type=Path, help="CSV file that keeps the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.peaks is not None:
        print(json.dumps(peaks(*arguments.peaks)))
        return
    rows = []
    for name in arguments.models:
        if arguments.memory is not None:
            limits = arguments.memory, arguments.seconds
            rows += [fits(name, key, *limits) for key in RUNTIMES]
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows += compare(name, arguments.atoms, arguments.rounds, Path(folder))
    table = pd.DataFrame(rows)
    if arguments.out is not None:
        if arguments.out.is_file():
            before = pd.read_csv(arguments.out)
            table = pd.concat([before[~before["model"].isin(table["model"])], table])
        table.to_csv(arguments.out, index=False)
    print(table.to_markdown(index=False, floatfmt=".3g"))


if __name__ == "__main__":
    main()
