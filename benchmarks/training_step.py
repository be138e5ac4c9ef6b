"""What a training step costs on the CPU, with e3nn's code and ours, and with memory that is kept.

    python benchmarks/training_step.py --atoms 64 --out benchmarks/results/training_step.csv
    python benchmarks/training_step.py --family mace --out benchmarks/results/training_step_mace.csv

For SevenNet-0, SevenNet-l3i5 and l3i5 cut to 64x0e+32x1e+16x2e; in an environment with mace-torch
for MACE networks of four shapes, with random weights, since what the weights are does not matter
here; or for ``--checkpoint``. A step is a prediction with stress, a loss on energy, forces and
stress, and its derivatives by all parameters: by the package's own code, by its network with faster
products, and as trainings run it (`Model.predict_for_loss`). The codes take turns in one process;
once more in a second process, which keeps the memory that it freed, as all jobs on the CPU do.
Numbers are float32, as in trainings. Times are CPU times, which other processes on the machine
change least.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from irrepress.core.devices import keep_freed_memory
from irrepress.core.statistics import DataStatistics
from irrepress.core.target import Explicit
from irrepress.evaluation.timing import reference_crystal
from irrepress.families import get_family
from irrepress.pruning.budget import plan_for_irreps

MODELS = {
    "sevennet": [("7net-0", ""), ("7net-l3i5", ""), ("7net-l3i5", "64x0e+32x1e+16x2e")],
    "mace": [
        (f"untrained: {shape}, correlation {correlation}", "")
        for shape, correlation in (
            ("64x0e", 3),
            ("64x0e+64x1o", 2),
            ("96x0e", 3),
            ("128x0e+128x1o", 3),
        )
    ],
}
# Elements of SPICE, for which MACE-OFF is made, and those of the crystal that MACE runs on.
SPICE, SILICON = [1, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53], 14
MIXED = [14, 6, 8, 1]
CODES = {
    "package's code": lambda model, batch: model.predict(batch, create_graph=True, native=True),
    "faster products": lambda model, batch: model.predict(batch, create_graph=True),
    "for losses": lambda model, batch: model.predict_for_loss(batch),
}


def load(family: str, checkpoint: str):
    """Return a published model, a file's, or one with random weights for the elements of SPICE."""
    if not checkpoint.startswith("untrained: "):
        return get_family(family).load(checkpoint)
    irreps, correlation = checkpoint.removeprefix("untrained: ").split(", correlation ")
    settings = {
        "hidden_irreps": irreps,
        "correlation": int(correlation),
        "max_ell": 3,
        "radial_MLP": [64, 64, 64],
    }
    references = dict.fromkeys(SPICE, 0.0)
    sample = [reference_crystal([SILICON], 8)]
    data = DataStatistics(references, shift=0.0, scale=1.0, sample=sample)
    return get_family(family).untrained(settings, data, seed=0)


def step(model, batch, code: str) -> float:
    """Return the CPU seconds of a step."""
    begin = time.process_time()
    prediction = CODES[code](model, batch)
    loss = sum(each.square().mean() for each in (prediction.energy, prediction.forces))
    (loss + prediction.stress.square().mean()).backward()
    for parameter in model.parameters():
        parameter.grad = None
    return time.process_time() - begin


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Return the median seconds of a step by either code."""
    torch.set_num_threads(1)
    if arguments.keep:
        keep_freed_memory()
    model = load(arguments.family, arguments.checkpoint)
    if arguments.irreps:  # which channels stay does not matter here
        groups = model.groups()
        scores = {group.name: np.arange(group.channels, 0, -1.0) for group in groups}
        shape = Explicit(irreps=arguments.irreps, filter_lmax=2)
        model = model.narrow(model.native_plan(plan_for_irreps(groups, scores, shape))[0])
    crystal = reference_crystal(model.elements, arguments.atoms)
    if set(MIXED) <= set(model.elements) and arguments.family == "mace":
        # Its products are made element by element.
        crystal = replace(crystal, numbers=np.resize(MIXED, len(crystal)))
    batch = model.batch([crystal])
    seconds: dict[str, list[float]] = {code: [] for code in CODES}
    for repeat in range(arguments.repeats + 2):
        for code, values in seconds.items():
            value = step(model, batch, code)
            if repeat > 1:  # the first steps compile
                values.append(value)
    return {code: statistics.median(values) for code, values in seconds.items()}


def compare(arguments: argparse.Namespace, checkpoint: str, irreps: str) -> pd.DataFrame:
    """Measure a model in two processes."""
    rows = []
    for memory, option in (("given back", []), ("kept", ["--keep"])):
        command = [sys.executable, __file__, "--family", arguments.family, "--json", *option]
        command += ["--checkpoint", checkpoint, "--irreps", irreps]
        command += ["--atoms", str(arguments.atoms), "--repeats", str(arguments.repeats)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for code, seconds in json.loads(printed.splitlines()[-1]).items():
            rows.append({"code": code, "memory": memory, "seconds": seconds})
    table = pd.DataFrame(rows)
    table.insert(0, "model", f"{checkpoint}, {irreps}" if irreps else checkpoint)
    table["times_faster"] = table["seconds"][0] / table["seconds"]
    return table


def main() -> None:
    """Measure; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="sevennet")
    parser.add_argument("--checkpoint", help="another model than those")
    parser.add_argument("--irreps", default="", help="what that model is cut to")
    parser.add_argument("--atoms", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="CSV file for the table")
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.json:
        print(json.dumps(measure(arguments)))
        return
    models = MODELS[arguments.family]
    if arguments.checkpoint:
        models = [(arguments.checkpoint, arguments.irreps)]
    table = pd.concat([compare(arguments, *model) for model in models])
    table.insert(1, "atoms", arguments.atoms)
    if arguments.out:
        table.round(4).to_csv(arguments.out, index=False)
    print(table.to_markdown(index=False, floatfmt=".3g"))


if __name__ == "__main__":
    main()
