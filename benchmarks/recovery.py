"""How to train a pruned model on few frames in few steps: recipes compared, scratch among them.

    python benchmarks/recovery.py --frames ethanol-train.extxyz --test ethanol-test.extxyz

A large model is pruned to one shape. Every recipe then takes the same number of optimizer steps
on the same frames, except for training from scratch with more of them. Recipes should be chosen
by the errors on the valid frames; those on the test frames, which no training saw, say what the
choice is worth. OUT/recovery.csv holds the table, OUT/curves the learning curves.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from rich.console import Console

from irrepress.core.devices import resolve_device
from irrepress.core.loss_weights import LossWeights
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.target import Explicit
from irrepress.data.config import Files, Split
from irrepress.data.convert import store_files
from irrepress.data.sources.config import Perturbed
from irrepress.data.sources.perturb import Perturbations
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.evaluation.errors import compute_errors
from irrepress.evaluation.predictions import label
from irrepress.families import get_family
from irrepress.pruning.budget import plan_for_irreps
from irrepress.pruning.compensation import compensate
from irrepress.pruning.scoring import compute_scores
from irrepress.training.config import Distillation, Training
from irrepress.training.energy_shifts import fit_energy_shifts
from irrepress.training.features import FeatureGuide
from irrepress.training.trainer import train


@dataclass(frozen=True)
class Recipe:
    """What a training does otherwise than the plain one.

    Attributes:
        start: the pruned model, the compensated one, or new weights.
        settings: what differs from the common settings.
        taught: share of the steps that come first and follow the parent on perturbed copies.
        features: weight of the parent's features in these steps.
        gradual: whether the first third of the steps trains the shape between.
        longer: factor of the number of steps.
    """

    start: str = "compensated"
    settings: dict[str, Any] = field(default_factory=dict)
    taught: float = 0.0
    features: float = 0.0
    gradual: bool = False
    longer: int = 1


def recipes(rate: float, longer: int) -> dict[str, Recipe]:
    """Return the recipes by name; ``rate`` is the plain one's learning rate."""
    plain = Recipe()
    return {
        "plain": plain,
        "without compensation": Recipe(start="pruned"),
        "a quarter of the rate": replace(plain, settings={"learning_rate": rate / 4}),
        "twice the rate": replace(plain, settings={"learning_rate": 2 * rate}),
        "four times the rate": replace(plain, settings={"learning_rate": 4 * rate}),
        "no averaging": replace(plain, settings={"ema": 0.0}),
        "radial networks fixed": replace(plain, settings={"relative_rates": {"radial": 0.0}}),
        "radial networks slower": replace(plain, settings={"relative_rates": {"radial": 0.1}}),
        "readout faster": replace(plain, settings={"relative_rates": {"readout": 5.0}}),
        "forces ten times": replace(plain, settings={"weights": LossWeights(forces=10.0)}),
        "taught first": Recipe(taught=0.4),
        "taught first, by features, too": Recipe(taught=0.4, features=1.0),
        "gradual": Recipe(gradual=True),
        "from scratch": Recipe(start="scratch"),
        f"from scratch, {longer} times the steps": Recipe(start="scratch", longer=longer),
    }


class Study:
    """The models that recipes begin with, and the frames.

    Args:
        parent: the large model; the others lie where it does.
        store: labelled frames with train, valid and test parts.
        perturbed: copies of the train and valid frames, labelled by the parent.
        irreps: of the small shape.
        between: irreps of the shape that gradual pruning stops at on its way.
        filter_lmax: highest order of the filter of both.
        common: settings of the plain training.
        seed: of everything.
    """

    def __init__(
        self,
        parent: Model,
        store: StructureStore,
        perturbed: StructureStore,
        irreps: str,
        between: str,
        filter_lmax: int,
        common: Training,
        seed: int,
    ):
        self.parent, self.store, self.perturbed = parent, store, perturbed
        self.irreps, self.between, self.filter_lmax = irreps, between, filter_lmax
        self.common = common
        self.seed = seed
        self.plan, self.pruned = self._prune(parent, irreps)
        self.compensated = self._compensated(parent, self.plan)

    def run(self, recipe: Recipe, curves: Path, work: Path) -> Model:
        """Train by a recipe; curves are written to files that begin with ``curves``."""
        steps = recipe.longer * self.common.steps
        if recipe.gradual:
            return self._gradual(recipe, steps, curves, work)
        if recipe.start == "scratch":
            model = self.pruned.fresh(self.seed)
        else:
            model = {"pruned": self.pruned, "compensated": self.compensated}[recipe.start]
        taught = round(recipe.taught * steps)
        if taught:
            settings = Distillation(
                **self._settings(recipe, taught).model_dump(), features=recipe.features
            )
            guide = FeatureGuide(self.parent, self.plan)
            model = self._train(
                model,
                self.perturbed,
                settings,
                curves.with_suffix(".taught.csv"),
                work,
                guide=guide if recipe.features else None,
            )
        return self._on_labels(
            model, self._settings(recipe, steps - taught), curves.with_suffix(".csv"), work
        )

    def _gradual(self, recipe: Recipe, steps: int, curves: Path, work: Path) -> Model:
        plan, _ = self._prune(self.parent, self.between)
        model = self._compensated(self.parent, plan)
        first = steps // 3
        between = self._on_labels(
            model, self._settings(recipe, first), curves.with_suffix(".between.csv"), work
        )
        plan, _ = self._prune(between, self.irreps)
        model = self._compensated(between, plan)
        return self._on_labels(
            model, self._settings(recipe, steps - first), curves.with_suffix(".csv"), work
        )

    def _prune(self, model: Model, irreps: str) -> tuple[Plan, Model]:
        indices = self.store.splits["train"][:8]
        scores = compute_scores(
            model,
            self.store.read(indices),
            total=len(indices),
            batch_size=4,
            weights=LossWeights(),
            criteria=["fisher"],
        )
        target = Explicit(irreps=irreps, filter_lmax=self.filter_lmax)
        plan = plan_for_irreps(scores.groups, scores.values["fisher"], target)
        plan, _ = model.native_plan(plan)
        return plan, model.narrow(plan)

    def _compensated(self, parent: Model, plan: Plan) -> Model:
        narrowed = parent.narrow(plan)
        chosen = self.store.splits["train"][:24]
        compensate(
            parent, narrowed, plan, self.store, chosen, batch_size=4, seed=self.seed
        )  # fmt: skip
        return narrowed

    def _settings(self, recipe: Recipe, steps: int) -> Training:
        every = max(steps // 6, 1)
        return self.common.model_copy(
            update={**recipe.settings, "steps": steps, "validate_every": every}
        )

    def _on_labels(self, model: Model, settings: Training, csv: Path, work: Path) -> Model:
        model = self._copy(model)
        shifts = fit_energy_shifts(model, self.store)
        model.shift_energies(shifts)
        return self._train(model, self.store, settings, csv, work)

    def _copy(self, model: Model) -> Model:
        return model.narrow(Plan.identity(model.groups()))

    def _train(
        self,
        model: Model,
        store: StructureStore,
        settings: Training,
        csv: Path,
        work: Path,
        guide: FeatureGuide | None = None,
    ) -> Model:
        with TemporaryDirectory(dir=work) as directory:
            return train(
                model,
                store,
                settings,
                seed=self.seed,
                device=str(self.parent.device),
                work_dir=Path(directory),
                metrics_csv=csv,
                guide=guide,
            ).model.to(self.parent.device)

    def errors(self, model: Model) -> dict[str, float]:
        """Return the errors of energies and forces on the valid and the test frames."""
        row = {}
        for part in ("valid", "test"):
            frames = self.store.iterate(self.store.splits[part])
            (found,) = compute_errors(model, frames, batch_size=8)
            row[f"energy {part} [meV/atom]"] = 1e3 * found["energy_mae"]
            row[f"forces {part} [meV/Å]"] = 1e3 * found["forces_mae"]
        return row


def chosen(names: Iterable[str], every: dict[str, Recipe]) -> dict[str, Recipe]:
    """Return the recipes whose names begin with one of ``names``; all, if there are none."""
    names = tuple(names)
    return {k: v for k, v in every.items() if not names or k.startswith(names)}


def main() -> None:
    """Run all recipes; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", nargs="+", required=True, help="to train and validate on")
    parser.add_argument("--test", nargs="+", required=True, help="frames that only judge")
    parser.add_argument("--isolated-atoms")
    parser.add_argument("--limit", type=int, help="read at most this many frames to train on")
    parser.add_argument("--family", default="sevennet")
    parser.add_argument("--checkpoint", default="7net-l3i5")
    parser.add_argument("--irreps", default="64x0e+32x1e+16x2e")
    parser.add_argument("--between", default="128x0e+64x1e+32x2e")
    parser.add_argument("--filter-lmax", type=int, default=2)
    parser.add_argument("--perturbed", type=int, default=256)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--longer", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--recipes", nargs="*", default=[], help="beginnings of their names")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("recovery"))
    arguments = parser.parse_args()
    curves = arguments.out / "curves"
    curves.mkdir(parents=True, exist_ok=True)

    parent = get_family(arguments.family).load(arguments.checkpoint)
    parent.to(resolve_device(arguments.device))
    store, perturbed = datasets(arguments, parent)
    common = Training(
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        steps=arguments.steps,
    )
    study = Study(
        parent,
        store,
        perturbed,
        arguments.irreps,
        arguments.between,
        arguments.filter_lmax,
        common,
        arguments.seed,
    )
    rows = []
    table = arguments.out / "recovery.csv"
    for name, recipe in chosen(
        arguments.recipes, recipes(arguments.learning_rate, arguments.longer)
    ).items():
        with Console(stderr=True).status(name):
            model = study.run(recipe, curves / name.replace(" ", "-"), arguments.out)
        rows.append({"recipe": name, "seed": arguments.seed, **study.errors(model)})
        pd.DataFrame(rows).to_csv(table, index=False)
        print(rows[-1], flush=True)
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".3g"))


def datasets(arguments: argparse.Namespace, parent: Model) -> tuple[StructureStore, StructureStore]:
    """Store the frames, and perturbed copies labelled by the parent."""
    frames, copies = arguments.out / "frames.h5", arguments.out / "perturbed.h5"
    store_files(
        frames,
        Files(
            source="files",
            paths=arguments.frames,
            test_paths=arguments.test,
            isolated_atoms=arguments.isolated_atoms,
            limit=arguments.limit,
            split=Split(train=0.9, valid=0.1, test=0.0),
            seed=arguments.seed,
        ),
    )
    store = StructureStore(frames)
    perturbations = Perturbations(
        store,
        Perturbed(
            source="perturbed",
            of="frames",
            count=arguments.perturbed,
            keep_unperturbed=False,
            labels={"family": arguments.family, "checkpoint": arguments.checkpoint},
        ),
    )
    labelled = label(parent, perturbations)
    write_store(copies, labelled, store.info, perturbations.splits, arguments.seed)
    return store, StructureStore(copies)


if __name__ == "__main__":
    main()
