"""What scoring costs: some or all criteria in one pass against plain training passes.

    python benchmarks/scoring.py --checkpoint 7net-0 --structures 32 --criteria taylor fisher

Both run over the same batches in turn, so that the ratio holds on a noisy machine. The
reference is one energy-force pass with a backward pass to the weights, without an optimizer.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import pandas as pd
import torch

from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.batching import in_batches
from irrepress.core.devices import resolve_device
from irrepress.core.labels import Labels
from irrepress.core.loss_weights import LossWeights
from irrepress.core.model import Model
from irrepress.core.structure import Structure
from irrepress.data.sources.config import Generated
from irrepress.data.sources.generate import generate
from irrepress.evaluation.predictions import label
from irrepress.families import get_family
from irrepress.pruning.objectives import huber_loss
from irrepress.pruning.scoring import CRITERIA, compute_scores


def training_pass(model: Model, structures: list[Structure], batch_size: int) -> None:
    """One energy-force-stress pass with gradients of the weights over all structures."""
    for chunk in in_batches(structures, batch_size):
        batch = model.batch(chunk)
        labels = Labels.of(chunk, model.dtype).to(model.device)
        prediction = model.predict(batch, create_graph=True)
        huber_loss(prediction, batch, labels, LossWeights()).mean().backward()
        model.zero_grad()


def main() -> None:
    """Time both in turn and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="sevennet")
    parser.add_argument("--checkpoint", default="7net-0")
    parser.add_argument("--structures", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--criteria", nargs="+", choices=CRITERIA, default=CRITERIA)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="CSV file that keeps the ratio")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    family = get_family(arguments.family)
    model = family.load(arguments.checkpoint).to(resolve_device(arguments.device))
    recipe = Generated(
        source="generated",
        systems=["crystals"],
        count=arguments.structures,
        max_atoms=16,
        labels=ModelRef(family=arguments.family, checkpoint=arguments.checkpoint),
    )
    # The parent's own labels would make the loss zero: move the structures after labelling.
    structures = list(label(model, generate(recipe)))
    for structure in structures:
        structure.forces[:] *= 1.1
    seconds: dict[str, list[float]] = {"training pass": [], "scoring": []}
    for repeat in range(arguments.repeats + 1):
        start = time.perf_counter()
        training_pass(model, structures, arguments.batch_size)
        middle = time.perf_counter()
        compute_scores(
            model,
            structures,
            batch_size=arguments.batch_size,
            criteria=arguments.criteria,
        )
        end = time.perf_counter()
        if repeat:  # the first round compiles
            seconds["training pass"].append(middle - start)
            seconds["scoring"].append(end - middle)
    ratios = [s / t for s, t in zip(seconds["scoring"], seconds["training pass"], strict=True)]
    result = {
        "checkpoint": arguments.checkpoint,
        "criteria": list(arguments.criteria),
        "device": str(model.device),
        "structures": len(structures),
        "atoms": sum(map(len, structures)),
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "ratio": {
            "median": statistics.median(ratios),
            "min": min(ratios),
            "max": max(ratios),
        },
    }
    if arguments.out is not None:
        row = {"model": arguments.checkpoint, "criteria": ", ".join(arguments.criteria)}
        row["structures"] = len(structures)
        row |= {f"passes, {name}": value for name, value in result["ratio"].items()}
        pd.DataFrame([row]).to_csv(arguments.out, index=False)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{result['checkpoint']} on {result['device']}, {result['atoms']} atoms")
    for name, value in result["seconds"].items():
        print(f"  {name:14s} {value:8.2f} s (median of {arguments.repeats})")
    ratio = result["ratio"]
    print(
        f"  scoring / training pass {ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})"
    )


if __name__ == "__main__":
    main()
