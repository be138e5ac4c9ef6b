"""A fast model for one system: what config/my-system.yaml makes of a user's frames.

    python benchmarks/own_system.py si --train si-train.extxyz --test si-test.extxyz

The workflow runs as a user would run it, and is timed. Then, for comparison, the uncompressed
model is fine-tuned on the same frames and the compressed shape is trained from scratch, with the
same settings; the uncompressed model takes hours without a GPU, and `--without parent` leaves it
out, while `--parent '{steps: 450, learning_rate: 5.0e-4}'` gives it settings of its own. The table
of all systems so far is printed, and kept in OUT/own_systems.csv.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from workflow_run import ROOT, run_workflow

CONFIG = ROOT / "config" / "my-system.yaml"
PLAN = "fisher-fast"


def run(overrides: dict[str, Any], targets: list[str], cores: str, directory: Path) -> float:
    """Run targets of the workflow with the user's config; return the seconds it took."""
    path = directory / f"{overrides['name']}.yaml"
    path.write_text(yaml.safe_dump(overrides), encoding="utf-8")
    return run_workflow([CONFIG, path], directory, cores, targets)


def errors(path: Path) -> tuple[float, float]:
    """Return the errors of energy and forces on the test frames, in meV/atom and meV/Å."""
    found = json.loads(path.read_text(encoding="utf-8"))["errors"]["labels"]
    return 1e3 * found["energy_mae"], 1e3 * found["forces_mae"]


def main() -> None:
    """Run, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of the system")
    parser.add_argument("--train", nargs="+", required=True, help="labelled frames")
    parser.add_argument("--test", nargs="+", default=[], help="frames that only judge the result")
    parser.add_argument("--isolated-atoms", help="file of single atoms")
    parser.add_argument("--without", nargs="*", default=[], choices=["scratch", "parent"])
    parser.add_argument("--parent", type=yaml.safe_load, default={}, help="its training, as YAML")
    parser.add_argument("--out", type=Path, default=Path("own_systems"))
    parser.add_argument("--cores", default="all")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    mine: dict[str, Any] = {
        "paths": [str(Path(path).resolve()) for path in arguments.train],
        "test_paths": [str(Path(path).resolve()) for path in arguments.test],
    }
    if arguments.test:
        mine["split"] = {"train": 0.9, "valid": 0.1, "test": 0.0}
    if arguments.isolated_atoms:
        mine["isolated_atoms"] = str(Path(arguments.isolated_atoms).resolve())
    study = f"{arguments.name}-seed{arguments.seed}"
    overrides = {"name": study, "seed": arguments.seed, "datasets": {"mine": mine}}
    stage = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["downstream"]["stage"]
    results = Path("results") / study / "large"
    compressed = results / PLAN / stage
    tuned = compressed / "downstream" / "mine" / "finetuned" / "metrics.json"
    seconds = run(overrides, [str(tuned)], arguments.cores, out)

    cost = compressed / "metrics.json"
    plain = results / "parent" / "original" / "metrics.json"
    files = {
        "compressed": tuned,
        "from scratch": compressed / "downstream" / "mine" / "scratch" / "metrics.json",
        "parent": plain,
        "fine-tuned parent": results.joinpath(
            "parent", "original", "downstream", "mine", "finetuned", "metrics.json"
        ),
    }
    run(overrides, [str(cost), str(plain)], arguments.cores, out)
    for baseline, name in (("scratch", "from scratch"), ("parent", "fine-tuned parent")):
        if baseline not in arguments.without:
            overrides["downstream"] = {"baselines": [baseline]}
            if baseline == "parent":
                overrides["downstream"]["training"] = arguments.parent
            run(overrides, [str(files[name])], arguments.cores, out)
    measured = json.loads((out / cost).read_text(encoding="utf-8"))["cost"]
    row: dict[str, Any] = {
        "system": arguments.name,
        "seed": arguments.seed,
        "minutes": seconds / 60,
        "times faster": 1 / measured["time_ratio"],
        "parameters": measured["parameters"],
    }
    for name, path in files.items():
        if (out / path).is_file():
            row[f"energy {name}"], row[f"forces {name}"] = errors(out / path)
    table = out / "own_systems.csv"
    rows = pd.read_csv(table).to_dict("records") if table.is_file() else []
    others = [r for r in rows if (r["system"], r["seed"]) != (row["system"], row["seed"])]
    frame = pd.DataFrame([*others, row])
    frame.to_csv(table, index=False)
    print(frame.to_markdown(index=False, floatfmt=".3g"))


if __name__ == "__main__":
    main()
