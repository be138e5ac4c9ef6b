"""A MACE model of one chemical system, made smaller: what config/gst.yaml makes of it.

    python benchmarks/gst.py --checkpoint gst.model --frames gst-valid.extxyz

Frames that are nearly the same (the root mean square of their atoms' distances is below
`--same` Å) are put into one group, so that none of them is in two parts; OUT/split.csv tells the
part of every frame. The workflow runs as a user would run it. Models are then compared on the test
frames, which nothing else has seen, and timed side by side on one of them; the table is kept in
OUT/gst.csv. Needs the environment of MACE.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pandas as pd
import torch
import yaml
from scipy.sparse.csgraph import connected_components
from workflow_run import ROOT, run_workflow

from irrepress.data.store import StructureStore
from irrepress.evaluation.timing import time_side_by_side
from irrepress.families import get_family

CONFIG = ROOT / "config" / "gst.yaml"


def groups_of(frames: list[ase.Atoms], same: float) -> np.ndarray:
    """Number the groups of frames that are nearly the same, ``[frames]``.

    Atoms are compared in their order in the file, by scaled positions in the cell of one frame.
    """
    near = np.zeros((len(frames), len(frames)), dtype=bool)
    scaled = [atoms.get_scaled_positions() for atoms in frames]
    for i, first in enumerate(frames):
        for j in range(i):
            if np.array_equal(first.numbers, frames[j].numbers):
                shift = scaled[i] - scaled[j]
                distances = (shift - np.round(shift)) @ first.cell.array
                near[i, j] = np.sqrt((distances**2).sum(axis=1).mean()) < same
    return connected_components(near, directed=False)[1]


def row(name: str, parameters: int, metrics: Path) -> dict[str, Any]:
    """Return a row of the table: errors on the test frames."""
    errors = json.loads(metrics.read_text(encoding="utf-8"))["errors"]["labels"]
    return {
        "model": name,
        "parameters": parameters,
        "energy [meV/atom]": 1e3 * errors["energy_mae"],
        "forces [meV/Å]": 1e3 * errors["forces_mae"],
    }


def main() -> None:
    """Run, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="a .model file of MACE")
    parser.add_argument("--frames", type=Path, required=True, help="labelled, such as extxyz")
    parser.add_argument("--config", type=Path, help="keys that replace those of config/gst.yaml")
    parser.add_argument("--same", type=float, default=1.0, help="Å")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--cores", default="1")
    parser.add_argument("--out", type=Path, default=Path("gst"))
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)

    prepared = out / "frames.extxyz"
    if not prepared.is_file():
        frames = ase.io.read(arguments.frames, ":")
        for atoms, group in zip(frames, groups_of(frames, arguments.same), strict=True):
            atoms.info["group"] = f"group{group}"
        ase.io.write(prepared, frames)
    content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    content["datasets"]["frames"]["paths"] = [str(prepared)]
    checkpoint = str(arguments.checkpoint.resolve())
    for reference in (content["models"]["large"], content["datasets"]["perturbed"]["labels"]):
        reference["checkpoint"] = checkpoint
    config = out / "gst.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    overrides = [arguments.config.resolve()] if arguments.config else []

    results = Path("results") / content["name"]
    plan = results / "large" / "taylor-small"
    tuned = plan / "distilled" / "downstream" / "frames" / "finetuned"
    places = {
        "parent": results / "large" / "parent" / "original",
        **{stage: plan / stage for stage in ("pruned", "compensated", "distilled")},
        "fine-tuned": tuned,
    }
    targets = [str(place / "metrics.json") for place in places.values()]
    run_workflow([config, *overrides], out, arguments.cores, targets)

    store = StructureStore(out / results / "data" / "frames.h5")
    parts = {int(i): part for part, indices in store.splits.items() for i in indices}
    groups = [atoms.info["group"] for atoms in ase.io.read(prepared, ":")]
    rows = [{"frame": i, "group": groups[i], "part": parts.get(i, "")} for i in range(len(store))]
    pd.DataFrame(rows).to_csv(out / "split.csv", index=False)

    family = get_family("mace")
    cards = {name: json.loads((out / at / "card.json").read_text()) for name, at in places.items()}
    table = pd.DataFrame(
        row(name, cards[name]["parameters"], out / at / "metrics.json")
        for name, at in places.items()
    )
    frame = store[int(store.splits["test"][0])]
    for dtype in (torch.float64, torch.float32):
        models = [
            family.load(out / places[name] / "model.pt", dtype=dtype)
            for name in ("parent", "fine-tuned")
        ]
        times = time_side_by_side(models, frame, repeats=arguments.repeats)
        seconds = times.seconds
        column = f"s for {len(frame)} atoms, {str(dtype).removeprefix('torch.')}"
        table[column] = [seconds[0], *[seconds[1]] * (len(table) - 1)]
    table.to_csv(out / "gst.csv", index=False)
    print(table.to_markdown(index=False, floatfmt=".3g"))


if __name__ == "__main__":
    main()
