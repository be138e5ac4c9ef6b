"""A faster general model: what config/general.yaml makes of a few frames in a short time.

    python benchmarks/general_model.py --frames mptrj.extxyz --more others.extxyz --steps 300

Frames of at most `--max-atoms` atoms are divided by composition. `--more` are only learned from,
by the labels of the large model, and those with the composition of a test frame are left out. The
workflow runs as a user would run it; the table compares SevenNet-l3i5, SevenNet-0 and the pruned
model after every stage on the test frames, and is kept in OUT/general.csv. The learning curve in
frames seen is OUT/learning_curve.csv. Test frames are used for nothing else.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pandas as pd
import yaml
from ase import Atoms, units
from workflow_run import ROOT, run_workflow

CONFIG = ROOT / "config" / "general.yaml"


def row(name: str, metrics: Path, time: float | None = None) -> dict[str, Any]:
    """Return a row of the table from a model's metrics."""
    found = json.loads(metrics.read_text(encoding="utf-8"))
    errors, cost = found["errors"]["labels"], found["cost"]
    return {
        "model": name,
        "parameters": cost["parameters"],
        "time": cost["time_ratio"] if time is None else time,
        "energy [meV/atom]": 1e3 * errors["energy_mae"],
        "forces [meV/Å]": 1e3 * errors["forces_mae"],
        "stress [GPa]": errors["stress_mae"] / units.GPa,
    }


def divide(frames: list[Atoms], more: list[Atoms], seed: int) -> dict[str, list[Atoms]]:
    """Divide frames by composition: 14 % test, 4 % valid, the rest and ``more`` train."""
    compositions = [atoms.symbols.formula.reduce()[0].format("hill") for atoms in frames]
    order = sorted(set(compositions))
    np.random.default_rng(seed).shuffle(order)
    parts: dict[str, list[Atoms]] = {"test": [], "valid": [], "train": []}
    wanted = {"test": 0.14 * len(frames), "valid": 0.04 * len(frames), "train": np.inf}
    held_out = set()
    for composition in order:
        name = next(name for name in parts if len(parts[name]) < wanted[name])
        mine = zip(frames, compositions, strict=True)
        parts[name] += [atoms for atoms, other in mine if other == composition]
        if name != "train":
            held_out.add(composition)
    parts["train"] += [
        atoms for atoms in more if atoms.symbols.formula.reduce()[0].format("hill") not in held_out
    ]
    return parts


def read(paths: list[str], max_atoms: int) -> list[Atoms]:
    """Read the frames that are small enough."""
    every = [atoms for path in paths for atoms in ase.io.read(path, ":")]
    return [atoms for atoms in every if len(atoms) <= max_atoms]


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", nargs="+", required=True, help="labelled, such as extxyz")
    parser.add_argument("--more", nargs="*", default=[], help="frames that are only learned from")
    parser.add_argument("--max-atoms", type=int, default=24)
    parser.add_argument("--plan", default="three-quarters")
    parser.add_argument("--perturbed", type=int, default=700)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--energy-weight", type=float, default=1.0, help="of the loss")
    parser.add_argument("--cores", default="all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("general_model"))
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    paths = {name: out / f"{name}.extxyz" for name in ("train", "valid", "test")}
    if not all(path.is_file() for path in paths.values()):
        more = read(arguments.more, arguments.max_atoms)
        parts = divide(read(arguments.frames, arguments.max_atoms), more, arguments.seed)
        for name, path in paths.items():
            ase.io.write(path, parts[name])

    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    plan = f"fisher-{arguments.plan}"
    config["seed"] = arguments.seed
    config["datasets"]["foundation"] = {
        "source": "files",
        "paths": [str(paths["train"])],
        "valid_paths": [str(paths["valid"])],
        "test_paths": [str(paths["test"])],
        "split": {"train": 1.0, "valid": 0.0, "test": 0.0},
    }
    config["datasets"]["perturbed"]["count"] = arguments.perturbed
    config["train_plans"] = [plan]
    config["distillation"] |= {
        "steps": arguments.steps,
        "batch_size": arguments.batch_size,
        "learning_rate": arguments.learning_rate,
        "validate_every": max(arguments.steps // 5, 1),
        "weights": {"energy": arguments.energy_weight},
    }
    path = out / "general.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")

    results = Path("results") / config["name"]
    stages = {
        "SevenNet-l3i5": results / "large" / "parent" / "original",
        "SevenNet-0": results / "official" / "parent" / "original",
        **{
            f"{arguments.plan}, {stage}": results / "large" / plan / stage
            for stage in ("pruned", "compensated", "distilled")
        },
    }
    targets = [str(directory / "metrics.json") for directory in stages.values()]
    run_workflow([path], out, arguments.cores, targets)

    # Times are relative to each model's own parent, which SevenNet-0 is itself.
    table = pd.DataFrame(
        [
            row(name, out / directory / "metrics.json", float("nan") if "-0" in name else None)
            for name, directory in stages.items()
        ]
    )
    table.to_csv(out / "general.csv", index=False)
    curve = pd.read_csv(out / stages[f"{arguments.plan}, distilled"] / "training.csv")
    curve["frames"] = curve["step"] * arguments.batch_size
    curve.to_csv(out / "learning_curve.csv", index=False)
    print(table.to_markdown(index=False, floatfmt=".3g"))
    columns = ["frames", "seconds", "valid_energy_mae", "valid_forces_mae"]
    print(curve[columns].to_markdown(index=False, floatfmt=".3g"))


if __name__ == "__main__":
    main()
