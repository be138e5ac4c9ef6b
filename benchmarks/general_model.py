"""A smaller general model: what config/general.yaml makes of a few frames in a short time.

    python benchmarks/general_model.py --frames mptrj.extxyz --steps 300

Frames of at most `--max-atoms` atoms are divided by composition. The workflow runs as a user would
run it; the table compares SevenNet-l3i5, SevenNet-0 and the pruned model after every stage on the
test frames, and is kept in OUT/general.csv. The learning curve in frames seen is
OUT/learning_curve.csv. Test frames are used for nothing else.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import ase.io
import pandas as pd
import yaml
from ase import units

ROOT = Path(__file__).resolve().parents[1]
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


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", nargs="+", required=True, help="labelled, such as extxyz")
    parser.add_argument("--max-atoms", type=int, default=24)
    parser.add_argument("--plan", default="three-quarters")
    parser.add_argument("--perturbed", type=int, default=700)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--cores", default="all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("general_model"))
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    frames = out / "frames.extxyz"
    if not frames.is_file():
        every = [atoms for path in arguments.frames for atoms in ase.io.read(path, ":")]
        small = [atoms for atoms in every if len(atoms) <= arguments.max_atoms]
        ase.io.write(frames, small)

    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    split = {"train": 0.82, "valid": 0.04, "test": 0.14, "by": "composition"}
    plan = f"fisher-{arguments.plan}"
    config["seed"] = arguments.seed
    config["datasets"]["foundation"] = {"source": "files", "paths": [str(frames)], "split": split}
    config["datasets"]["perturbed"]["count"] = arguments.perturbed
    config["train_plans"] = [plan]
    config["distillation"] |= {
        "steps": arguments.steps,
        "batch_size": arguments.batch_size,
        "validate_every": max(arguments.steps // 5, 1),
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
    command = [sys.executable, "-m", "snakemake", *targets, "--rerun-incomplete"]
    command += ["--snakefile", ROOT / "Snakefile", "--directory", out]
    command += ["--cores", arguments.cores, "--configfile", path]
    subprocess.run(list(map(str, command)), check=True)

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
