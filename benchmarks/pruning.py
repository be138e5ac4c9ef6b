"""Which criterion, which allocation, with and without compensation: one-shot pruning compared.

    python benchmarks/pruning.py --frames mptrj.extxyz --out pruning

No model is trained. Frames are divided by reduced composition into calibration frames, which
scores and compensation see, and test frames, on which pruned models are compared with the
unpruned one; the division is written to OUT/split.csv.

OUT/ranks.csv: how well scores rank blocks, as Spearman's correlation with the damage that the
removal of each block alone does on the test frames, over a random sample of blocks.
OUT/damage.csv: what is lost when 10, 25 and 50 % of the operations are removed, as the mean
absolute difference from the unpruned model. Both are printed as tables.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.progress import track

from irrepress.core.batching import in_batches
from irrepress.core.devices import resolve_device
from irrepress.core.labels import Labels
from irrepress.core.loss_weights import LossWeights
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.data.config import Files, Split
from irrepress.data.convert import store_files
from irrepress.data.store import StructureStore
from irrepress.evaluation.errors import compute_errors
from irrepress.evaluation.predictions import label
from irrepress.families import get_family
from irrepress.pruning.allocation import Limits
from irrepress.pruning.budget import Costs, Measure, plan_for_fraction
from irrepress.pruning.compensation import compensate
from irrepress.pruning.damage import Damage
from irrepress.pruning.iterated import plan_iterated
from irrepress.pruning.measured import plan_measured
from irrepress.pruning.normalization import normalize
from irrepress.pruning.objectives import squared_loss
from irrepress.pruning.scoring import CRITERIA, compute_scores

WEIGHTS = LossWeights()


@dataclass(frozen=True)
class Setting:
    """What all measurements have in common.

    Attributes:
        model: the unpruned model.
        calibration: labelled frames for scores and compensation.
        test: other frames, with the unpruned model's predictions for labels.
        batch_size: frames in a batch.
    """

    model: Model
    calibration: Sequence[Structure]
    test: Sequence[Structure]
    batch_size: int

    def scores(self, model: Model, criteria: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
        """Return normalised scores of a model: criterion -> group -> scores."""
        scores = compute_scores(
            model,
            self.calibration,
            total=len(self.calibration),
            batch_size=self.batch_size,
            weights=WEIGHTS,
            criteria=criteria,
        )
        return {
            name: normalize(values, scores.groups, "auto", name)
            for name, values in scores.values.items()
        }

    def losses(self, gates: Mapping[str, torch.Tensor]) -> float:
        """Return the mean squared loss on the test frames of the model with gates."""
        total = 0.0
        for chunk in in_batches(self.test, self.batch_size):
            batch = self.model.batch(chunk)
            labels = Labels.of(chunk, self.model.dtype).to(self.model.device)
            with self.model.gated(gates):
                prediction = self.model.predict(batch)
            total += float(squared_loss(prediction, batch, labels, WEIGHTS).sum())
        return total / len(self.test)


def rank_correlations(
    setting: Setting, scores: Mapping[str, Mapping[str, np.ndarray]], blocks: int, seed: int
) -> pd.DataFrame:
    """Compare scores with the damage of removing single blocks.

    Returns:
        One row per criterion: Spearman's correlation over the sample.
    """
    groups = [g for g in setting.model.groups() if g.axis == "channel"]
    every = [(g, channel) for g in groups for channel in range(g.channels)]
    chosen = np.random.default_rng(seed).permutation(len(every))[:blocks]
    rows = []
    for group, channel in track([every[i] for i in chosen], "leaving out one block"):
        gate = torch.ones(group.channels, dtype=setting.model.dtype, device=setting.model.device)
        gate[channel] = 0
        row = {"damage": setting.losses({group.name: gate})}
        rows.append(row | {name: values[group.name][channel] for name, values in scores.items()})
    correlations = pd.DataFrame(rows).corr(method="spearman")["damage"].drop("damage")
    return correlations.rename("Spearman").rename_axis("criterion").reset_index()


def plans(
    setting: Setting,
    scores: Mapping[str, Mapping[str, np.ndarray]],
    kept: Sequence[float],
    iterated: Sequence[str],
    measured: Sequence[str],
    trial_frames: int,
    cutoffs: Sequence[float],
) -> Iterator[tuple[str, str, float, Plan]]:
    """Yield criterion, allocation, share of the operations that stays, and plan."""
    model = setting.model
    groups = model.groups()
    unpruned = Costs.of(model)
    measure = Measure(groups, unpruned, "flops")
    for budget in kept:
        for (criterion, values), cutoff in product(scores.items(), cutoffs):
            model.check_cutoff(cutoff)
            shorter = Measure(groups, Costs.of(model, cutoff=cutoff), "flops", measure.whole)
            plan = plan_for_fraction(groups, values, shorter, budget=budget, limits=Limits())
            yield criterion, "greedy", budget, replace(plan, cutoff=cutoff)
        for criterion, values in scores.items():
            for allocation in ("uniform", "greedy"):
                plan = plan_for_fraction(
                    groups, values, measure, budget=budget, allocation=allocation, limits=Limits()
                )
                yield criterion, allocation, budget, plan
        for criterion in iterated:
            plan = plan_iterated(
                model,
                lambda narrowed, c=criterion: setting.scores(narrowed, [c])[c],
                measure,
                budget=budget,
                step=0.1,
                limits=Limits(),
            )
            yield criterion, "iterated", budget, plan
        for criterion in (name for name in measured if name in scores):
            damage = Damage(
                model,
                setting.calibration[:trial_frames],
                batch_size=setting.batch_size,
                weights=WEIGHTS,
            )
            plan = plan_measured(
                model,
                scores[criterion],
                damage,
                measure,
                budget=budget,
                step=0.1,
                limits=Limits(),
            )
            print(plan.provenance, flush=True)
            yield criterion, "measured", budget, plan


def damages(
    setting: Setting,
    found: Iterator[tuple[str, str, float, Plan]],
    compensated: Sequence[str],
) -> pd.DataFrame:
    """Prune by every plan; return one row per pruned model, compensated ones among them."""
    rows = []
    for criterion, allocation, budget, plan in found:
        plan, _ = setting.model.native_plan(plan)
        narrowed = setting.model.narrow(plan)
        for compensation in (False, True):
            if compensation:
                if f"{criterion}/{allocation}" not in compensated:
                    continue
                compensate(
                    setting.model,
                    narrowed,
                    plan,
                    setting.calibration,
                    batch_size=setting.batch_size,
                )
            (errors,) = compute_errors(
                narrowed,
                setting.test,
                batch_size=setting.batch_size,
            )
            rows.append(
                {
                    "criterion": criterion,
                    "allocation": allocation,
                    "cutoff [Å]": setting.model.cutoff if plan.cutoff is None else plan.cutoff,
                    "compensated": compensation,
                    "operations removed [%]": round(100 * (1 - budget)),
                    "parameters": narrowed.parameter_count(),
                    "energy [meV/atom]": 1e3 * errors["energy_mae"],
                    "forces [meV/Å]": 1e3 * errors["forces_mae"],
                }
            )
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def read_frames(
    paths: Sequence[str], max_atoms: int, calibration: int, test: int, seed: int, out: Path
) -> tuple[list[Structure], list[Structure]]:
    """Divide frames by composition; write which frame is where."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "frames.h5"
        split = Split(train=0.7, valid=0.0, test=0.3, by="composition")
        store_files(path, Files(source="files", paths=list(paths), split=split, seed=seed))
        store = StructureStore(path)
        rows, parts = [], []
        for name, count in (("train", calibration), ("test", test)):
            order = np.random.default_rng(seed).permutation(store.splits[name])
            small = [int(i) for i in order if store.num_atoms[i] <= max_atoms][:count]
            parts.append(list(store.read(np.array(sorted(small)))))
            for index, structure in zip(sorted(small), parts[-1], strict=True):
                formula = structure.to_atoms().get_chemical_formula()
                part = "calibration" if name == "train" else name
                rows.append({"frame": index, "part": part, "formula": formula})
    pd.DataFrame(rows).to_csv(out / "split.csv", index=False)
    return parts[0], parts[1]


def table(damage: pd.DataFrame) -> pd.DataFrame:
    """Return one row per way of pruning, with a column per share and quantity."""
    wide = damage.pivot_table(
        index=["criterion", "allocation", "cutoff [Å]", "compensated"],
        columns="operations removed [%]",
        values=["energy [meV/atom]", "forces [meV/Å]"],
    )
    wide.columns = [f"{quantity}, {share} % removed" for quantity, share in wide.columns]
    return wide.sort_values(wide.columns[-1]).reset_index()


def main() -> None:
    """Measure, write the CSV files and print them as tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", nargs="+", required=True, help="labelled, such as extxyz")
    parser.add_argument("--out", type=Path, default=Path("pruning"))
    parser.add_argument("--family", default="sevennet")
    parser.add_argument("--checkpoint", default="7net-0")
    parser.add_argument("--modal")
    parser.add_argument("--max-atoms", type=int, default=24)
    parser.add_argument("--calibration", type=int, default=96)
    parser.add_argument("--test", type=int, default=40)
    parser.add_argument("--blocks", type=int, default=60)
    parser.add_argument("--kept", type=float, nargs="+", default=[0.9, 0.75, 0.5])
    parser.add_argument("--criteria", nargs="+", default=list(CRITERIA), choices=CRITERIA)
    parser.add_argument("--iterated", nargs="*", default=["fisher"])
    parser.add_argument("--measured", nargs="*", default=["taylor"])
    parser.add_argument("--trial-frames", type=int, default=24, help="of each measured removal")
    parser.add_argument(
        "--cutoffs", type=float, nargs="*", default=[], help="shorter ones for greedy plans, in Å"
    )
    parser.add_argument(
        "--compensated",
        nargs="*",
        default=["magnitude/uniform", "fisher/greedy", "fisher/iterated", "taylor/measured"],
        help="criterion/allocation",
    )
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    calibration, test = read_frames(
        arguments.frames,
        arguments.max_atoms,
        arguments.calibration,
        arguments.test,
        arguments.seed,
        out,
    )
    model = get_family(arguments.family).load(arguments.checkpoint, modal=arguments.modal)
    model.to(resolve_device(arguments.device))
    test = list(label(model, test))
    setting = Setting(model, calibration, test, arguments.batch_size)
    scores = setting.scores(model, arguments.criteria)
    ranks = rank_correlations(setting, scores, arguments.blocks, arguments.seed)
    ranks.to_csv(out / "ranks.csv", index=False)
    damage = damages(
        setting,
        plans(
            setting,
            scores,
            arguments.kept,
            arguments.iterated,
            arguments.measured,
            arguments.trial_frames,
            arguments.cutoffs,
        ),
        arguments.compensated,
    )
    damage.to_csv(out / "damage.csv", index=False)
    for frame in (ranks, table(damage)):
        print(frame.to_markdown(index=False, floatfmt=".3g"), end="\n\n")


if __name__ == "__main__":
    main()
