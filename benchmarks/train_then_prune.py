"""Whether a model trained large and then pruned beats its small shape trained from scratch.

    python benchmarks/train_then_prune.py --frames ethanol-train.extxyz --test ethanol-test.extxyz

A large model is trained from random weights, pruned (half of the channels, highest order cut),
compensated and recovered. The small shape is trained from scratch with as much compute as all of
that together, and, to compare, with no more than the recovery took. Compute is the frames that
were trained on times what a frame costs: FLOPs of the family's cost model or, with --count seconds,
the time of energy and forces, measured on both models in turn. A frame that scores or compensation
read counts as one that the large model was trained on.
All trainings have the same settings but for the number of steps; the schedule of each spans its
own steps. OUT/train_then_prune.csv holds the table, OUT/curves the learning curves.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import torch

from irrepress.core.devices import resolve_device
from irrepress.core.family import make_untrained
from irrepress.core.groups import Group
from irrepress.core.loss_weights import LossWeights
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.statistics import measure_statistics
from irrepress.data.config import Files, Split
from irrepress.data.convert import store_files
from irrepress.data.store import StructureStore
from irrepress.evaluation.errors import compute_errors
from irrepress.evaluation.timing import time_side_by_side
from irrepress.families import get_family
from irrepress.pruning.budget import plan_for_widths
from irrepress.pruning.compensation import compensate
from irrepress.pruning.scoring import compute_scores
from irrepress.training.config import Training
from irrepress.training.trainer import train

# Of an eSCN-MD that is large for small data; other families need --settings.
LARGE = {
    "escn": {"sphere_channels": 64, "hidden_channels": 64, "edge_channels": 64, "lmax": 3},
}


def small_widths(groups: list[Group], share: float, orders: int) -> dict[str, int]:
    """Return the widths of the small shape: a share of all channels, the highest orders cut."""
    lmax = max(group.l for group in groups) - orders
    widths = {
        g.width: g.round_up(int(g.channels * share)) if g.axis == "channel" else 1 for g in groups
    }
    return widths | {g.width: 0 for g in groups if g.l > lmax}


@dataclass(frozen=True)
class Budget:
    """What the steps of each training cost, in FLOPs or seconds.

    Attributes:
        large: cost of a frame, of the large model.
        small: cost of a frame, of the small one.
        batch: frames of a step.
        calibration: frames that scores and compensation read.
    """

    large: float
    small: float
    batch: int
    calibration: int

    def pruned(self, steps: int, recovery: int) -> float:
        """Cost of training, pruning and recovery."""
        frames = steps * self.batch + self.calibration
        return frames * self.large + recovery * self.batch * self.small

    def scratch(self, steps: int) -> float:
        """Cost of training the small shape."""
        return steps * self.batch * self.small

    def steps(self, cost: float) -> int:
        """Return the steps that the small shape can take for some cost."""
        return int(cost / (self.batch * self.small))


class Race:
    """The trainings, on one store, by one family.

    Args:
        store: labelled frames with train, valid and test parts.
        arguments: of the command line.
    """

    def __init__(self, store: StructureStore, arguments: argparse.Namespace):
        self.store, self.arguments = store, arguments
        self.rows: list[dict[str, Any]] = []
        self.whole = 1.0  # what training, pruning and recovery cost together

    def train(self, model: Model, name: str, steps: int) -> tuple[Model, float]:
        """Train a model; return it and the seconds. Its curve is named after ``name``."""
        a = self.arguments
        settings = Training(
            steps=steps,
            batch_size=a.batch_size,
            learning_rate=a.learning_rate,
            validate_every=max(steps // 10, 1),
        )
        with TemporaryDirectory(dir=a.out) as directory:
            result = train(
                model,
                self.store,
                settings,
                seed=a.seed,
                device=a.device,
                work_dir=Path(directory),
                metrics_csv=a.out / "curves" / f"{name.replace(' ', '-')}.csv",
            )
        return result.model.to(resolve_device(a.device)), result.seconds

    def prune(self, large: Model) -> tuple[Plan, Model]:
        """Prune by Taylor scores."""
        a = self.arguments
        chosen = self.store.splits["train"][: a.calibration]
        scores = compute_scores(
            large,
            self.store.read(chosen),
            total=len(chosen),
            batch_size=a.batch_size,
            weights=LossWeights(),
            criteria=["taylor"],
        )
        groups = large.groups()
        widths = small_widths(groups, a.share, a.orders)
        plan = plan_for_widths(groups, scores.values["taylor"], widths)
        plan, _ = large.native_plan(plan)
        return plan, large.narrow(plan)

    def budget(self, models: Sequence[Model], neighbours: float) -> Budget:
        """Return what a frame costs the large and the small model."""
        a = self.arguments
        frames = self.store.read(self.store.splits["train"])
        atoms = sum(map(len, frames)) / len(frames)
        if a.count == "flops":
            costs = [atoms * m.cost_model(neighbours)({}).flops for m in models]
        else:
            times = time_side_by_side(models, frames[0], repeats=15, native=False)
            costs = times.seconds
        return Budget(*costs, batch=a.batch_size, calibration=2 * a.calibration)

    def tell(self, name: str, model: Model, steps: int, cost: float, seconds: float) -> None:
        """Measure a model's errors and add a row to the table."""
        row: dict[str, Any] = {
            "model": name,
            "seed": self.arguments.seed,
            "parameters": model.parameter_count(),
            "steps": steps,
            "compute": cost / self.whole,
            "wall time [s]": round(seconds),
        }
        for part in ("valid", "test"):
            frames = self.store.iterate(self.store.splits[part])
            (found,) = compute_errors(model, frames, batch_size=8)
            row[f"energy {part} [meV/atom]"] = 1e3 * found["energy_mae"]
            row[f"forces {part} [meV/Å]"] = 1e3 * found["forces_mae"]
        self.rows.append(row)
        pd.DataFrame(self.rows).to_csv(self.arguments.out / "train_then_prune.csv", index=False)
        print(row, flush=True)


def run(race: Race) -> None:
    """Train large, prune, recover; train small with the same compute."""
    a, store = race.arguments, race.store
    sample = store.read(store.splits["train"])
    references = {number: store.info.reference_energies[number] for number in store.elements}
    data = measure_statistics(references, sample)
    start = make_untrained(get_family(a.family), a.settings, data, seed=a.seed)
    neighbours = data.neighbours(start.cutoff)

    large, taken = race.train(start, "large", a.steps)
    plan, pruned = race.prune(large)
    budget = race.budget([large, pruned], neighbours)
    race.whole = budget.pruned(a.steps, a.recovery)
    print(f"a frame costs the large model {budget.large / budget.small:.2f} times as much")
    race.tell("large", large, a.steps, budget.pruned(a.steps, 0), taken)
    race.tell("pruned", pruned, a.steps, budget.pruned(a.steps, 0), taken)
    compensate(
        large,
        pruned,
        plan,
        store,
        store.splits["train"][: a.calibration],
        batch_size=a.batch_size,
        seed=a.seed,
    )
    race.tell("compensated", pruned, a.steps, budget.pruned(a.steps, 0), taken)
    recovered, seconds = race.train(pruned, "recovered", a.recovery)
    race.tell("recovered", recovered, a.steps + a.recovery, race.whole, taken + seconds)

    scratch = pruned.fresh(a.seed)
    for name, steps in (
        ("small, steps of recovery", a.recovery),
        ("small, equal compute", budget.steps(race.whole)),
    ):
        model, seconds = race.train(scratch, name.replace(",", ""), steps)
        race.tell(name, model, steps, budget.scratch(steps), seconds)


def main() -> None:
    """Run the race; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", nargs="+", required=True, help="to train and validate on")
    parser.add_argument("--test", nargs="+", required=True, help="frames that only judge")
    parser.add_argument("--limit", type=int, help="read at most this many frames of a file")
    parser.add_argument("--family", default="escn")
    parser.add_argument("--settings", type=json.loads, help="of the large model, as JSON")
    parser.add_argument("--share", type=float, default=0.5, help="of the channels that stay")
    parser.add_argument("--orders", type=int, default=1, help="orders that are cut")
    parser.add_argument("--steps", type=int, default=2000, help="of the large model")
    parser.add_argument("--recovery", type=int, default=1000, help="steps of the pruned model")
    parser.add_argument("--calibration", type=int, default=64, help="frames of scores and fits")
    parser.add_argument("--count", choices=["flops", "seconds"], default="flops")
    parser.add_argument("--batch-size", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("train_then_prune"))
    arguments = parser.parse_args()
    if arguments.settings is None:
        arguments.settings = LARGE.get(arguments.family, {})
    (arguments.out / "curves").mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    frames = arguments.out / "frames.h5"
    store_files(
        frames,
        Files(
            source="files",
            paths=arguments.frames,
            test_paths=arguments.test,
            limit=arguments.limit,
            split=Split(train=0.95, valid=0.05, test=0.0, by="structure"),
            seed=arguments.seed,
        ),
    )
    race = Race(StructureStore(frames), arguments)
    run(race)
    print(pd.DataFrame(race.rows).to_markdown(index=False, floatfmt=".3g"))


if __name__ == "__main__":
    main()
