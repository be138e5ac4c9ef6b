"""How fast models are on a GPU, by every code that runs them there, side by side.

    python benchmarks/gpu.py --models 7net-0 7net-l3i5 small/model.pt --out gpu.csv

Models are keywords or files, of any family that is installed: compressed ones stand beside their
parents. Each is run by its family's own calculator, with the kernels that the family knows if they
are installed (cuEquivariance, OpenEquivariance, FlashTP), by irrepress's code, and in batches by
torch-sim. Codes take turns, A B A B ..., on a crystal of a size; ratios are medians over rounds.
Beside the time stand the memory of the device, and the largest difference of a force from that of
the family's own calculator, relative to the largest force. What is missing or fails is said, a line
each. ``--device cpu`` tries the same on a CPU, where most kernels do not run.
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator

import irrepress
from irrepress.core.calculator import ModelCalculator
from irrepress.core.devices import resolve_device
from irrepress.deploy.target import TARGETS, constants, read_file, with_constants
from irrepress.evaluation.timing import reference_crystal

OWN = "family's own"
BATCHED = "torch-sim"
# Kernels: name -> module, and how each family's calculator is asked for them.
KERNELS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "cuEquivariance": (
        "cuequivariance_torch",
        {"sevennet": "enable_cueq", "mace": "enable_cueq"},
    ),
    "OpenEquivariance": (
        "openequivariance",
        {"sevennet": "enable_oeq", "mace": "enable_oeq"},
    ),
    "FlashTP": ("flashTP_e3nn", {"sevennet": "enable_flash"}),
}
_CALLS = 5  # of a turn


class Code(NamedTuple):
    """A code that runs a model: its name, and what evaluates structures of one composition."""

    name: str
    evaluate: Callable[[list[Atoms]], list[np.ndarray]]
    batch: int = 1


def codes(potential: Any, folder: Path, device: str, batch: int) -> Iterator[Code]:
    """Yield what runs a model here; tell what does not."""
    model, family = potential.model, potential.model.family
    model.save(folder / "model.pt")
    options = {"device": device, "modal": model.modal}
    yield Code(OWN, one_by_one(family.calculator(folder / "model.pt", **options)))
    for name, (module, arguments) in KERNELS.items():
        if family.name not in arguments:
            continue
        if importlib.util.find_spec(module) is None:
            print(f"{potential.name}: {name} is not installed (module {module})")
            continue
        try:
            calculator = with_kernel(folder, model, device, arguments[family.name])
        except Exception as error:  # whatever another package raises
            print(f"{potential.name}: {name} fails: {error}")
            continue
        yield Code(name, one_by_one(calculator))
    yield Code("irrepress", one_by_one(ModelCalculator(model.to(torch.device(device)))))
    try:
        TARGETS["torch-sim"].takes(model)
        yield Code(BATCHED, in_batches(folder, model, device), batch)
    except irrepress.UserError as error:
        print(f"{potential.name}: {error}")


def with_kernel(folder: Path, model: Any, device: str, option: str) -> Calculator:
    """Return a family's own calculator with a kernel, by the script of a deployment."""
    script = with_constants(read_file(f"native_{model.family.name}.py"), constants(model))
    first = {"sevennet": "SevenNetCalculator(str(MODEL)", "mace": "MACECalculator(str(MODEL)"}
    call = first[model.family.name]
    assert call in script
    names: dict[str, Any] = {"__file__": str(folder / "runtime.py")}
    exec(script.replace(call, f"{call}, {option}=True"), names)
    return names["calculator"](device)


def one_by_one(calculator: Calculator) -> Callable[[list[Atoms]], list[np.ndarray]]:
    """Return a function that evaluates structures one after the other."""

    def evaluate(structures: list[Atoms]) -> list[np.ndarray]:
        forces = []
        for atoms in structures:
            calculator.calculate(atoms, ["energy", "forces", "stress"])
            forces.append(np.array(calculator.results["forces"]))
        return forces

    return evaluate


def in_batches(folder: Path, model: Any, device: str) -> Callable[[list[Atoms]], list[np.ndarray]]:
    """Return a function that evaluates structures in one batch of torch-sim."""
    names: dict[str, Any] = {"__file__": str(folder / "runtime.py")}
    script = read_file(f"torch_sim_{model.family.name}.py")
    exec(with_constants(script, constants(model)), names)
    potential = names["model"](device)
    names["model"] = lambda _: potential  # loaded once
    return lambda structures: [each["forces"] for each in names["evaluate"](structures, device)]


def compare(potential: Any, sizes: list[int], device: str, rounds: int, batch: int) -> list[dict]:
    """Time a model by all codes; one row a code and size."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        running = list(codes(potential, Path(folder), device, batch))
        for size in sizes:
            atoms = reference_crystal(potential.model.elements, size).to_atoms()
            rows += at_size(running, atoms, device, rounds)
    return [{"model": potential.name, **row} for row in rows]


def at_size(running: list[Code], atoms: Atoms, device: str, rounds: int) -> list[dict[str, Any]]:
    """Time codes on a crystal, in turn."""
    forces, memory, working = {}, {}, []
    for code in running:
        try:
            forces[code.name] = code.evaluate([atoms])[0]
            memory[code.name] = megabytes(lambda code=code: turn(code, atoms, device, 1), device)
            working.append(code)
        except Exception as error:  # such as too little memory
            print(f"{code.name}, {len(atoms)} atoms: {str(error).splitlines()[0]}")
    times: dict[str, list[float]] = {code.name: [] for code in working}
    for _ in range(rounds):
        for code in working:
            times[code.name].append(turn(code, atoms, device, _CALLS))
    largest = np.abs(forces[OWN]).max() if OWN in forces else np.nan
    rows = []
    for code in working:
        ratios = [a / b for a, b in zip(times.get(OWN, []), times[code.name], strict=False)]
        seconds = statistics.median(times[code.name])
        difference = np.abs(forces[code.name] - forces.get(OWN, np.nan)).max() / largest
        rows.append(
            {
                "code": code.name,
                "atoms": len(atoms),
                "batch": code.batch,
                "time [ms]": 1e3 * seconds,
                "faster": statistics.median(ratios) if ratios else np.nan,
                "atoms/s": len(atoms) / seconds,
                "memory [MB]": memory[code.name],
                "difference of forces": float(difference),
            }
        )
    return rows


def turn(code: Code, atoms: Atoms, device: str, calls: int) -> float:
    """Return the mean time of a structure in seconds, whose atoms move between calls."""
    random = np.random.default_rng(0)
    structures = []
    for _ in range(code.batch):
        moved = atoms.copy()
        moved.positions += random.normal(scale=1e-3, size=(len(atoms), 3))
        structures.append(moved)
    synchronize(device)
    begin = time.perf_counter()
    for _ in range(calls):
        structures[0].positions += 1e-6
        code.evaluate(structures)
    synchronize(device)
    return (time.perf_counter() - begin) / calls / code.batch


def synchronize(device: str) -> None:
    """Wait for a GPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def megabytes(call: Callable[[], object], device: str) -> float:
    """Return the memory of the GPU that a call takes at most; NaN on a CPU."""
    if not device.startswith("cuda"):
        call()
        return float("nan")
    torch.cuda.reset_peak_memory_stats(device)
    call()
    return torch.cuda.max_memory_allocated(device) / 2**20


def main() -> None:
    """Time, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["7net-0", "7net-l3i5"])
    parser.add_argument("--atoms", type=int, nargs="+", default=[8, 64, 512, 4096])
    parser.add_argument("--batch", type=int, default=32, help="structures of a batch of torch-sim")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument("--licence", help="of published models, such as GPL-3.0")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device = str(resolve_device(arguments.device))
    if device == "cpu":
        print("no GPU is used: kernels that need one are missing below")
    else:
        print(f"on {torch.cuda.get_device_name(device)}, torch {torch.__version__}")
    rows = []
    for name in arguments.models:
        potential = irrepress.load(name, device="cpu", licence=arguments.licence)
        rows += compare(potential, arguments.atoms, device, arguments.rounds, arguments.batch)
    table = pd.DataFrame(rows)
    print(table.to_markdown(index=False, floatfmt=".3g"))
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(arguments.out, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
