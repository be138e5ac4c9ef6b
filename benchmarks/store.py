"""How fast and how small the store is, against MACE's HDF5, and at 100,000 frames.

    python benchmarks/store.py --frames data/mptrj.extxyz.xz --out benchmarks/results/store.csv

Both formats hold the same frames, and are written and read in turn, so that the ratios hold on
a noisy machine. Without ``--frames`` the frames are made up, like MPtrj's. Then a large extxyz
file is converted by several processes, whose memory is watched, and a model is trained for some
steps from the store, to see what share of a step waits for data.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ase.io
import mace_hdf5
import numpy as np
import pandas as pd
import psutil
from mptrj_like import mptrj_like

from irrepress.core.batching import in_batches
from irrepress.core.structure import Structure
from irrepress.data.config import Files, LabelKeys, Split
from irrepress.data.convert import store_files
from irrepress.data.layout import StoreInfo
from irrepress.data.reading import read_files
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store

INFO = StoreInfo("benchmark", "", "", "", "", "")
KEYS = LabelKeys(group="material")


def compare(frames: Sequence[Structure], repeats: int, directory: Path) -> dict[str, Any]:
    """Write and read the same frames in both formats; return frames a second and the ratios."""
    mace, ours = directory / "mace.h5", directory / "ours.h5"
    order = np.random.default_rng(0).permutation(len(frames))
    rates: dict[str, list[float]] = {}

    def measure(name: str, work: Callable[[], Any]) -> None:
        start = time.perf_counter()
        work()
        rates.setdefault(name, []).append(len(frames) / (time.perf_counter() - start))

    for _ in range(repeats):
        measure("mace written", lambda: mace_hdf5.write(mace, frames))
        measure("ours written", lambda: write_store(ours, frames, INFO, Split(), 0))
        reader, store = mace_hdf5.Reader(mace), StructureStore(ours)
        measure("mace read", lambda r=reader: [r[int(index)] for index in order])
        measure("ours read", lambda s=store: [s.read([index], groups=False) for index in order])
        measure(
            "ours read in batches of 32",
            lambda s=store: [
                s.read(order[start : start + 32], groups=False)
                for start in range(0, len(order), 32)
            ],
        )
        reader.close()
        store.close()
    size = {"mace": mace.stat().st_size / len(frames), "ours": ours.stat().st_size / len(frames)}
    pairs = {"write": "written", "random read": "read"}
    ratios = {
        name: [
            fast / slow
            for fast, slow in zip(rates[f"ours {verb}"], rates[f"mace {verb}"], strict=True)
        ]
        for name, verb in pairs.items()
    }
    return {
        "frames": len(frames),
        "atoms per frame": float(np.mean([len(frame) for frame in frames])),
        "mace by": mace_hdf5.implementation(),
        "frames per second": {name: statistics.median(values) for name, values in rates.items()},
        "bytes per frame": size,
        "ratio": {
            **{name: statistics.median(values) for name, values in ratios.items()},
            "size": size["mace"] / size["ours"],
        },
    }


def convert(count: int, workers: int, directory: Path) -> dict[str, Any]:
    """Convert a large extxyz file in a process of its own; return its speed and memory."""
    source, target = directory / "large.extxyz", directory / "large.h5"
    with source.open("a") as stream:
        for chunk in in_batches(mptrj_like(count), 256):
            ase.io.write(stream, [_with_material(frame) for frame in chunk], format="extxyz")
    command = [sys.executable, __file__, "--convert", source, target, "--workers", workers]
    start = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)))
    most = largest = 0
    while process.poll() is None:
        used = _memory(process.pid)
        most, largest = max(most, sum(used)), max([largest, *used])
        time.sleep(0.1)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(process.returncode)
    store = StructureStore(target)
    order = np.random.default_rng(0).permutation(len(store))[:2000]
    start = time.perf_counter()
    for index in order:
        store.read([index], groups=False)
    return {
        "frames": len(store),
        "workers": workers,
        "frames per second": len(store) / seconds,
        "read at random per second": len(order) / (time.perf_counter() - start),
        "most memory in all, MiB": most / 2**20,
        "most memory of a process, MiB": largest / 2**20,
        "source, MiB": source.stat().st_size / 2**20,
        "store, MiB": target.stat().st_size / 2**20,
    }


def _with_material(frame: Structure) -> ase.Atoms:
    atoms = frame.to_atoms()
    atoms.info["material"] = frame.group
    return atoms


def _memory(pid: int) -> list[int]:
    """Memory of a process and its children that they do not share, in bytes."""
    used = []
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            used.append(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        pass
    return used


def waiting(
    path: Path, checkpoint: str, batch_size: int, steps: int, workers: Sequence[int]
) -> dict[str, Any]:
    """Train from a store; return the share of the time in which training waits for batches."""
    import torch

    from irrepress.core.loss_weights import LossWeights
    from irrepress.families import get_family
    from irrepress.training.data import BatchStream, GraphDataset, GraphLoader
    from irrepress.training.losses import compare as compare_labels

    torch.set_num_threads(1)
    family = get_family("sevennet")
    model = family.load(checkpoint).train()
    store = StructureStore(path)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    shares = {}
    for count in workers:
        stream = BatchStream(store.splits["train"], batch_size, steps + 2, 0, lambda: 0)
        loader = iter(GraphLoader(GraphDataset(model, store), stream, count))
        next(loader)  # the processes begin
        waited = worked = 0.0
        for _ in range(steps):
            start = time.perf_counter()
            batch = next(loader)
            middle = time.perf_counter()
            prediction = model.predict(batch.graph, create_graph=True)
            weights = LossWeights()
            loss = compare_labels(
                prediction, batch.labels, batch.graph.num_atoms, weights.huber_delta
            ).loss(weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            waited += middle - start
            worked += time.perf_counter() - middle
        shares[f"{count} workers"] = waited / (waited + worked)
    return {"checkpoint": checkpoint, "batch size": batch_size, "share of step": shares}


def table(result: dict[str, Any]) -> pd.DataFrame:
    """Return what the documentation shows of a result."""
    compared = result["against MACE's HDF5"]
    rates, sizes, ratios = (compared[k] for k in ("frames per second", "bytes per frame", "ratio"))
    read = rates["mace read"], rates["ours read"], ratios["random read"]
    rows = [
        ("written [frames/s]", rates["mace written"], rates["ours written"], ratios["write"]),
        ("read at random [frames/s]", *read),
        ("size [bytes/frame]", sizes["mace"], sizes["ours"], ratios["size"]),
    ]
    if conversion := result.get("conversion"):
        gigabytes = conversion["most memory in all, MiB"] * 2**20 / 1e9
        converted = f"{conversion['frames']:,} frames of extxyz"
        rows += [
            (f"{converted}, converted [frames/s]", None, conversion["frames per second"], None),
            (f"{converted}, memory of all processes [GB]", None, gigabytes, None),
        ]
    if waits := result.get("training waits"):
        share = 100 * waits["share of step"]["0 workers"]
        rows.append(("share of a training step that waits for data [%]", None, share, None))
    return pd.DataFrame(rows, columns=["measure", "MACE's HDF5", "store", "ratio"])


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", help="a file of labelled frames; default: made up")
    parser.add_argument("--count", type=int, default=700, help="of frames that are compared")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--large", type=int, default=100_000, help="of frames; 0: none")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--checkpoint", default="7net-0", help="trained for a few steps")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10, help="of training; 0: none")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="the table as CSV")
    parser.add_argument("--convert", nargs=2, metavar=("FROM", "TO"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.convert:
        source, target = arguments.convert
        config = Files(source="files", paths=[source], keys=KEYS)
        store_files(target, config, arguments.workers)
        return
    if arguments.frames:
        config = Files(source="files", paths=[arguments.frames], limit=arguments.count)
        frames = list(read_files(config))
    else:
        frames = list(mptrj_like(arguments.count))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        result = {"against MACE's HDF5": compare(frames, arguments.repeats, directory)}
        if arguments.steps:
            result["training waits"] = waiting(
                directory / "ours.h5",
                arguments.checkpoint,
                arguments.batch_size,
                arguments.steps,
                [0, 1, 2],
            )
        if arguments.large:
            result["conversion"] = convert(arguments.large, arguments.workers, directory)
    if arguments.out:
        table(result).to_csv(arguments.out, index=False)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        _print(result)


def _print(result: dict[str, Any], indent: str = "") -> None:
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"{indent}{name}")
            _print(value, indent + "  ")
        else:
            print(f"{indent}{name:32s} {f'{value:,.4g}' if isinstance(value, float) else value}")


if __name__ == "__main__":
    main()
