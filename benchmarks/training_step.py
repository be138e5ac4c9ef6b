"""What a training step costs on the CPU, with e3nn's code and ours, and with memory that is kept.

    python benchmarks/training_step.py --checkpoint 7net-l3i5 --atoms 64

A step is a prediction with stress, a loss on energy, forces and stress, and its derivatives by all
parameters. Both codes take turns in one process; once more in a second process, which keeps the
memory that it freed, as all jobs on the CPU do. Times are CPU times, which other processes on the
machine change least.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import pandas as pd
import torch

from irrepress.core.devices import keep_freed_memory
from irrepress.evaluation.timing import reference_crystal
from irrepress.families import get_family


def step(model, batch, native: bool) -> float:
    """Return the CPU seconds of a step."""
    begin = time.process_time()
    prediction = model.predict(batch, create_graph=True, native=native)
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
    model = get_family(arguments.family).load(arguments.checkpoint)
    batch = model.batch([reference_crystal(model.elements, arguments.atoms)])
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for repeat in range(arguments.repeats + 1):
        for native, values in seconds.items():
            value = step(model, batch, native)
            if repeat:  # the first step compiles
                values.append(value)
    return {
        "package's code": statistics.median(seconds[True]),
        "faster products": statistics.median(seconds[False]),
    }


def main() -> None:
    """Measure in two processes; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="sevennet")
    parser.add_argument("--checkpoint", default="7net-l3i5")
    parser.add_argument("--atoms", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.json:
        print(json.dumps(measure(arguments)))
        return
    rows = []
    for name, option in (("memory given back", []), ("memory kept", ["--keep"])):
        command = [sys.executable, __file__, *sys.argv[1:], "--json", *option]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for code, seconds in json.loads(printed.splitlines()[-1]).items():
            rows.append({"": f"{code}, {name}", "seconds": seconds})
    table = pd.DataFrame(rows)
    table["times faster"] = table["seconds"][0] / table["seconds"]
    print(table.to_markdown(index=False, floatfmt=".3g"))


if __name__ == "__main__":
    main()
