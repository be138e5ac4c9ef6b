"""How long Snakemake takes to plan a whole study: jobs and seconds of a dry run.

    python benchmarks/dry_run.py --models 3

The study has every stage, ten pairs of criterion and budget, eight downstream sets and three
seeds (three studies: a study has one). No file is read or written but the config.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
PARENTS = ("7net-l3i5", "7net-0", "7net-0_22may2024")
SYSTEMS = ("silicon", "copper", "titanium", "nacl", "mgo", "tio2", "ethanol", "benzene")


def study(models: int, seed: int) -> dict:
    """Return the config of a study with so many models."""
    labels = {"family": "sevennet", "checkpoint": "7net-mf-0", "modal": "PBE"}
    datasets = {
        name: {"source": "generated", "systems": [name], "labels": labels} for name in SYSTEMS
    }
    datasets["foundation"] = {"source": "generated", "systems": ["crystals"], "labels": labels}
    training = {"dataset": "foundation", "steps": 1000}
    return {
        "name": f"full-{seed}",
        "seed": seed,
        "models": {
            f"model-{i}": {"family": "sevennet", "checkpoint": PARENTS[i % len(PARENTS)]}
            for i in range(models)
        },
        "datasets": datasets,
        "scoring": {"dataset": "foundation"},
        "sweep": {
            "criteria": ["taylor", "fisher", "hessian", "magnitude", "random"],
            "budgets": [0.5, 0.25],
        },
        "train_plans": [
            f"{criterion}-{budget}"
            for criterion in ("taylor", "fisher", "hessian", "magnitude", "random")
            for budget in ("0.50", "0.25")
        ],
        "compensation": {"dataset": "foundation"},
        "recovery": training,
        "distillation": training,
        "quantization": {"bits": 8, "stages": ["recovered", "distilled"]},
        "downstream": {"datasets": list(SYSTEMS)},
        "evaluation": {"dataset": "foundation"},
    }


def dry_run(config: Path, directory: Path) -> tuple[int, float]:
    """Return the number of jobs and the seconds of a dry run."""
    begun = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "all", "--dry-run", "--quiet", "rules"),
            *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory)),
            *("--profile", str(ROOT / "profiles/local"), "--configfile", str(config)),
        ],
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - begun
    if done.returncode:
        sys.exit(done.stderr)
    return int(re.search(r"^total +(\d+)", done.stdout + done.stderr, re.MULTILINE)[1]), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="CSV file that keeps the sums")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        ThreadPoolExecutor(max_workers=os.cpu_count()) as pool,
    ):
        configs = [Path(directory) / f"{seed}.yaml" for seed in range(1, arguments.seeds + 1)]
        for seed, config in enumerate(configs, 1):
            config.write_text(yaml.safe_dump(study(arguments.models, seed)))
        begun = time.monotonic()
        planned = list(pool.map(lambda config: dry_run(config, Path(directory)), configs))
        seconds = time.monotonic() - begun
    for seed, (jobs, took) in enumerate(planned, 1):
        print(f"seed {seed}: {jobs} jobs in {took:.1f} s")
    jobs = sum(jobs for jobs, _ in planned)
    print(f"in all: {jobs} jobs in {seconds:.1f} s")
    if arguments.out is not None:
        row = {"models": arguments.models, "seeds": arguments.seeds, "jobs": jobs}
        pd.DataFrame([row | {"seconds": seconds}]).to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
