"""What rounding weights to 4 or 8 bits costs, with and without training for it.

    python benchmarks/quantization.py MODEL FRAMES --out benchmarks/results/quantization.csv

trains a small model on labelled frames for the same steps with weights as they are and with rounded
ones (``bits``), rounds what comes out, and measures errors on the test part of the frames.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from no_labels import errors_on

import irrepress
from irrepress.api import Potential


def main() -> None:
    """Train, round, judge, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a file or a keyword")
    parser.add_argument("frames", help="frames with labels: files, or a study's store")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--max-atoms", type=int, default=96)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    frames = irrepress.read(arguments.frames)
    test = list(frames.store.iterate(frames.store.splits["test"]))
    start = irrepress.load(arguments.model)
    settings = {
        "steps": arguments.steps,
        "learning_rate": arguments.learning_rate,
        "max_atoms": arguments.max_atoms,
        "validate_every": max(1, arguments.steps // 5),
    }
    rows: list[dict[str, Any]] = []

    def judge(trained: str, potential: Potential, weights: tuple[int | None, ...]) -> None:
        for bits in weights:
            rounded = potential if bits is None else potential.quantize(bits)
            errors = errors_on(rounded, test)
            rows.append({"trained with": trained, "weights": _named(bits), **errors})

    judge("not trained further", start, (None, 8, 4))
    for bits in (None, 8, 4):
        trained = start.finetune(frames, bits=bits, **settings)
        judge(_named(bits), trained, (None, 8, 4) if bits is None else (bits,))
    table = pd.DataFrame(rows)
    print(table.to_markdown(index=False, floatfmt=".3g"))
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(arguments.out, index=False, float_format="%.4g")


def _named(bits: int | None) -> str:
    return "as they are" if bits is None else f"{bits} bits"


if __name__ == "__main__":
    main()
