"""Fine-tuned against from scratch on eight molecules: what config/rmd17.yaml makes of a MACE model.

    python benchmarks/rmd17.py --checkpoint mace-ani-cc.model
    python benchmarks/rmd17.py --checkpoint mace-ani-cc.model --frames shared/data/rmd17

Without `--frames` the data are downloaded. With it they are read from MOLECULE-train and
MOLECULE-test files (.extxyz or .extxyz.xz) in a directory, and the single atoms from its file
isolated-atoms, if there is one. The workflow runs as a user would run it, and is timed; the table
of all molecules, with median, range and mean of the reductions, is kept in OUT/rmd17.csv. Needs the
environment of MACE.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from workflow_run import ROOT, run_workflow

from irrepress.report.tables import (
    FINETUNED,
    HIGHEST,
    LOWEST,
    MEAN,
    MEDIAN,
    PAPER_REDUCTIONS,
    RESTRICTED,
    SCRATCH,
    collect_downstream,
    parameters_column,
    reduction_column,
    task_column,
)
from irrepress.study.reading import load_config

CONFIG = ROOT / "config" / "rmd17.yaml"


def from_files(content: dict[str, Any], directory: Path) -> None:
    """Let the datasets of a config be read from files in a directory."""

    def find(name: str) -> str | None:
        found = sorted(directory.resolve().glob(f"{name}.extxyz*"))
        return str(found[0]) if found else None

    chosen = content["downstream"]["datasets"]
    for name in [name for name, made in content["datasets"].items() if "name" in made]:
        if name not in chosen:
            del content["datasets"][name]
    for name in chosen:
        train, test = find(f"{name}-train"), find(f"{name}-test")
        if train is None or test is None:
            sys.exit(f"{directory}: there is no {name}-train.extxyz or no {name}-test.extxyz")
        content["datasets"][name] = {
            "source": "files",
            "paths": [train],
            "test_paths": [test],
            "counts": content["datasets"][name]["counts"],
            "split": {"train": 0.5, "valid": 0.5, "test": 0.0, "by": "structure"},
            "isolated_atoms": find("isolated-atoms"),
            "level_of_theory": "PBE/def2-SVP",
        }


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="a .model file of MACE")
    parser.add_argument("--frames", type=Path, help="directory of MOLECULE-{train,test}.extxyz")
    parser.add_argument("--config", type=Path, help="keys that replace those of config/rmd17.yaml")
    parser.add_argument("--cores", default="all")
    parser.add_argument("--out", type=Path, default=Path("rmd17"))
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    checkpoint = str(arguments.checkpoint.resolve())
    for reference in (content["models"]["large"], content["datasets"]["taught"]["labels"]):
        reference["checkpoint"] = checkpoint
    if arguments.config:
        _update(content, yaml.safe_load(arguments.config.read_text(encoding="utf-8")))
    if arguments.frames:
        from_files(content, arguments.frames)
    config = out / "rmd17.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")

    minutes = run_workflow([config], out, arguments.cores) / 60

    table = collect_downstream(out / "results" / content["name"], load_config(config))
    table = table[table["source"] == "this study"]
    shown = pd.DataFrame({"molecule": table["dataset"]})
    for quantity, unit in (("energy", "meV/atom"), ("forces", "meV/Å")):
        for name in (FINETUNED, SCRATCH, RESTRICTED):
            column = task_column(quantity, "mae", name)
            shown[f"{quantity} {name} [{unit}]"] = table[column]
        shown[f"{quantity} reduced by [%]"] = table[reduction_column(quantity)]
    for name in (FINETUNED, RESTRICTED):
        shown[parameters_column(name)] = table[parameters_column(name)]
    shown.to_csv(out / "rmd17.csv", index=False)
    print(shown.to_markdown(index=False, floatfmt=".3g"))
    for quantity, paper in PAPER_REDUCTIONS.items():
        found = shown.set_index("molecule")[f"{quantity} reduced by [%]"]
        print(
            f"{quantity}: {found[MEDIAN]:.1f} % less than from scratch in the median, from "
            f"{found[LOWEST]:.1f} to {found[HIGHEST]:.1f} %, mean {found[MEAN]:.1f} % (the paper's "
            f"mean, elsewhere: {paper} %)"
        )
    print(f"{minutes:.0f} minutes")


def _update(content: dict[str, Any], changes: dict[str, Any]) -> None:
    """Replace keys of nested dictionaries in place."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            _update(content[key], value)
        else:
            content[key] = value


if __name__ == "__main__":
    main()
