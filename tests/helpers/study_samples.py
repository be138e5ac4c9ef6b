"""A small study on disk, in the formats that the workflow writes, with round numbers.

Errors and costs follow from the plan and the stage by simple rules, so that tests can compute
what the report must say by hand.
"""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase.build import bulk, molecule

from irrepress.core.groups import Group
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.data.config import Split
from irrepress.data.layout import StoreInfo
from irrepress.data.store import StructureStore
from irrepress.data.summary.scan import summarize
from irrepress.data.writing import write_store
from irrepress.deploy.records import Deployment, Time
from irrepress.evaluation.physics.records import MeasuredDynamics
from irrepress.evaluation.records import Metrics, StageMetrics
from irrepress.pruning.scores import Scores
from irrepress.study.cards import Card
from irrepress.study.config import Config
from irrepress.study.deployments import deployment_runs
from irrepress.study.dynamics import dynamics_runs
from irrepress.study.models import StudyModel
from irrepress.study.paths import StudyPaths
from irrepress.study.reading import parse_config
from irrepress.study.recipes import Recipe
from irrepress.study.stages import (
    COMPENSATED,
    DISTILLED,
    ORIGINAL,
    PRUNED,
    RECOVERED,
    REFINED,
    Stage,
)
from irrepress.training.module import COLUMNS

MODEL_LABELS = "SevenNet-l3i5 (7net-l3i5)"
PARENT_PARAMETERS = 800_000
PARENT_SECONDS = 0.2
PARENT_FLOPS = 4e6
DEVIATIONS = {
    "rotation": 2e-13,
    "inversion": None,
    "translation": 1e-14,
    "permutation": 3e-15,
    "finite_difference": 4e-7,
}
LAYERS = {0: {"0e": 32}, 1: {"0e": 32, "1e": 16, "2e": 8}, 2: {"0e": 32, "1e": 16, "2e": 8}}
FILTER = ("0e", "1e", "2e")
# What families have beside features and messages: name, layer, irrep, channels, axis.
OTHER_GROUPS = {
    "sevennet": [],
    "mace": [
        ("radial.0.0", 0, "0e", 64, "width"),
        ("radial.0.1", 0, "0e", 32, "width"),
        ("radial.1.0", 1, "0e", 64, "width"),
        ("correlation.0", 0, "0e", 3, "correlation"),
    ],
    "escn": [("component.1e", 0, "1e", 1, "component"), ("update.1", 1, "0e+1e+2e", 32, "channel")],
}
# forces MAE in eV/Å right after pruning: the criteria's quality
PRUNED_FORCES = {"taylor": 0.1, "fisher": 0.09, "magnitude": 0.3, "activation": 0.2, "random": 0.4}
STAGE_FACTOR = {
    "pruned": 1.0,
    "compensated": 0.75,
    "recovered": 0.5,
    "distilled": 0.4,
    "refined": 0.3,
    "recovered-int8": 0.55,
    "recovered-float32": 0.5,
}
PARENT_FORCES = 0.03
# Of a refinement, as far as the report tells them.
ROUNDS = [
    {"number": 0, "frames": 12, "runs": 4, "broke": ["lost"], "departure": 0.17, "forces_mae": 0.1},
    {"number": 1, "frames": 12, "runs": 4, "broke": [], "departure": 0.04, "forces_mae": 0.02},
]
# energy MAE in eV/atom and forces MAE in eV/Å: scratch, fine-tuned compressed, fine-tuned parent
DOWNSTREAM = {
    "silicon": {"scratch": (0.02, 0.2), "finetuned": (0.004, 0.1), "parent": (0.003, 0.08)}
    | {"restricted": (0.03, 0.3)},
    "ethanol": {"scratch": (0.01, 0.4), "finetuned": (0.004, 0.1), "parent": (0.002, 0.05)}
    | {"restricted": (0.02, 0.2)},
}

# What a user's own study is like: one dataset, which everything is about.
ONE_SYSTEM = {
    "scoring": {"dataset": "silicon"},
    "sweep": {"criteria": ["taylor"], "budgets": [0.5], "axes": ["both"]},
    "train_plans": ["taylor-0.50"],
    "recovery": {"dataset": "silicon", "steps": 300},
    "distillation": None,
    "quantization": None,
    "downstream": {"datasets": ["silicon"], "stage": "recovered", "baselines": ["parent"]},
    "evaluation": {"dataset": "silicon"},
}


def make_config(**changes: object) -> Config:
    """The configuration of the study; ``changes`` replace sections, None leaves one out."""
    files = {"source": "files", "paths": ["frames.xyz"], "level_of_theory": "PBE"}
    content = {
        "name": "synthetic",
        "seed": 7,
        "datasets": {
            "foundation": {
                "source": "generated",
                "systems": ["crystals"],
                "labels": {"family": "sevennet", "checkpoint": "7net-l3i5"},
            },
            "silicon": files,
            "ethanol": files,
        },
        "models": {"sevennet-0": {"family": "sevennet", "checkpoint": "7net-0"}},
        "scoring": {"dataset": "foundation", "structures": 16},
        "sweep": {
            "criteria": ["taylor", "magnitude"],
            "budgets": [0.5, 0.25],
            "explicit": {"small": {"irreps": "16x0e+8x1e", "filter_lmax": 1}},
        },
        "train_plans": ["taylor-0.50", "taylor-0.25"],
        "recovery": {"dataset": "foundation", "steps": 300},
        "distillation": {"dataset": "foundation", "steps": 300},
        "quantization": {"bits": 8, "stages": ["recovered"]},
        "downstream": {"datasets": ["silicon", "ethanol"], "stage": "recovered"},
        "evaluation": {"dataset": "foundation"},
    }
    content |= changes
    return parse_config({key: value for key, value in content.items() if value is not None})


def write_study(root: Path, config: Config) -> Path:
    """Write every record that the workflow leaves for ``config``; return the study's directory."""
    study = root / config.name
    _write_stores(study / "data", config)
    for model, reference in config.models.items():
        base, family = study / model, reference.family
        if reference.compress:
            _write_scores(base / "scores.h5", config, family)
        _write_run(base / "parent" / "original", model, "parent", ORIGINAL, None, config)
        if not reference.compress:
            continue
        for plan, recipe in config.plans().items():
            _write_plan(base / plan / "plan.json", kept_fraction(recipe), family)
            for stage in config.stages_of(plan):
                _write_run(base / plan / stage.name, model, plan, stage, recipe, config)
        if config.downstream:
            _write_downstream(base, model, config)
    _write_dynamics(StudyPaths.at(study), config)
    _write_deployments(StudyPaths.at(study), config)
    return study


def kept_fraction(recipe: Recipe | None) -> float:
    """Fraction of channels that a plan keeps: its budget; the explicit plan keeps half."""
    return recipe.budget if recipe and recipe.budget else 0.5


def forces_mae(recipe: Recipe | None, stage: str) -> float:
    """Forces MAE against labels in eV/Å."""
    if not recipe:
        return PARENT_FORCES
    return PRUNED_FORCES[recipe.criterion] / kept_fraction(recipe) * STAGE_FACTOR[stage]


def time_ratio(recipe: Recipe | None) -> float:
    """Time relative to the parent: pruning orders saves more than channels alone."""
    if not recipe:
        return 1.0
    return kept_fraction(recipe) * (0.8 if recipe.axes == "both" else 1.1)


def cost(recipe: Recipe | None, *, kept: float | None = None, quantized: bool = False) -> dict:
    """Size and time of a model that keeps some of its parent, by default as its plan says."""
    if kept is None:
        kept = kept_fraction(recipe) if recipe else 1.0
    return {
        "parameters": int(PARENT_PARAMETERS * kept),
        "flops_per_atom": PARENT_FLOPS * kept,
        "file_bytes": int(4 * PARENT_PARAMETERS * kept),
        "packed_bytes": int(PARENT_PARAMETERS * kept) if quantized else None,
        "kept_blocks": int(1000 * kept),
        "total_blocks": 1000,
        "timing_atoms": 64,
        "timing_rounds": 5,
        "code": "sevenn 0.13.0",
        "seconds": PARENT_SECONDS * time_ratio(recipe),
        "seconds_spread": 0.03,
        "parent_seconds": PARENT_SECONDS,
        "parent_seconds_spread": 0.04,
        "time_ratio": time_ratio(recipe),
        "time_ratio_spread": 0.02 if recipe else 0.0,
        "busy": None,
        "device": "cpu",
        "threads": 1,
    }


def checks(dataset: str) -> dict:
    """Checks that a model has passed, by both codes."""
    return {
        "structure": {
            "source": f"structure 3 of {dataset} (test split)",
            "changes": "",
            "formula": "Na4Cl4",
            "atoms": 8,
            "edges": 144,
            "largest_force": 0.7,
        },
        "reflections": False,
        "own": {"code": "sevenn 0.13.0", **DEVIATIONS},
        "faster": {"code": "irrepress 0.1.0", **DEVIATIONS},
    }


def _write_stores(folder: Path, config: Config) -> None:
    """Ten structures a dataset; silicon has no labels, foundation an explosion and a copy."""
    rng = np.random.default_rng(0)
    systems = {
        "foundation": [
            bulk("NaCl", "rocksalt", a=5.64, cubic=True),
            bulk("Cu", cubic=True),
            bulk("Fe", cubic=True),
            bulk("MgO", "rocksalt", a=4.21, cubic=True),
            bulk("Al", cubic=True),
            bulk("Ag", cubic=True),
        ],
        "silicon": [bulk("Si", cubic=True)],
        "ethanol": [molecule("CH3CH2OH")],
    }
    for name in config.datasets:
        structures = []
        for i in range(10):
            atoms = systems[name][i % len(systems[name])].copy()
            atoms.rattle(0.05, rng=rng)
            structure = Structure.unlabelled(atoms, group=f"{name}-{i}")
            structures.append(structure if name == "silicon" else _labelled(structure, rng))
        generated = name == "foundation"
        if generated:
            structures[1] = replace(structures[1], forces=np.full((4, 3), 60.0))
            structures[9] = structures[3]
        info = StoreInfo(
            source="generated with ASE" if generated else "frames.xyz",
            licence="MIT" if generated else "CC-BY-4.0",
            citation="",
            level_of_theory="as SevenNet-l3i5" if generated else "PBE",
            labels=MODEL_LABELS if generated else "PBE",
            checksum="0123456789abcdef" * 4,
            reference_energies={},
        )
        store = folder / f"{name}.h5"
        write_store(store, structures, info, Split(), 0)
        summary = summarize(StructureStore(store))
        summary.save(folder / f"{name}.summary.json")


def _labelled(structure: Structure, rng: np.random.Generator) -> Structure:
    return replace(
        structure,
        energy=-4.0 * len(structure) + rng.normal(scale=0.1),
        forces=rng.normal(size=(len(structure), 3)),
        stress=rng.normal(scale=0.01, size=6) if structure.pbc.all() else structure.stress,
    )


def _groups(family: str) -> list[tuple[str, int, str, int, str]]:
    groups = [(f"filter.{irrep}", 0, irrep, 1, "order") for irrep in FILTER]
    for layer, irreps in LAYERS.items():
        for irrep, channels in irreps.items():
            groups.append((f"features.{layer}.{irrep}", layer, irrep, channels, "channel"))
            if layer < max(LAYERS):
                groups.append((f"messages.{layer}.{irrep}", layer, irrep, channels, "channel"))
    return groups + OTHER_GROUPS[family]


def _write_scores(path: Path, config: Config, family: str) -> None:
    rng = np.random.default_rng(1)
    groups = [
        Group(name, layer, irrep, channels, width=name, axis=axis)
        for name, layer, irrep, channels, axis in _groups(family)
    ]
    values = {
        criterion: {
            g.name: 10.0 ** -(g.l + 0.3 * g.layer) * rng.uniform(0.5, 1.5, g.channels)
            for g in groups
        }
        for criterion in config.sweep.criteria
    }
    Scores(groups, values).save(path)


def _write_plan(path: Path, fraction: float, family: str) -> None:
    keep, channels = {}, {}
    for name, _, irrep, count, _ in _groups(family):
        kept = 0 if irrep == "2e" else max(int(fraction * count), 1)
        keep[name], channels[name] = tuple(range(kept)), count
    path.parent.mkdir(parents=True, exist_ok=True)
    Plan(keep, channels).save(path)


def _errors(energy: float, forces: float, stress: float | None = None) -> dict:
    errors = {"energy_mae": energy, "forces_mae": forces, "stress_mae": stress}
    doubled = {
        key.replace("mae", "rmse"): None if value is None else 2 * value
        for key, value in errors.items()
    }
    return errors | doubled


def _write_run(
    folder: Path, model: str, plan: str, stage: Stage, recipe: Recipe | None, config: Config
) -> None:
    reference = config.models[model]
    kept = kept_fraction(recipe) if recipe else 1.0
    forces = forces_mae(recipe, stage.name)
    folder.mkdir(parents=True, exist_ok=True)
    StageMetrics(
        dataset=config.evaluation.dataset,
        split="test",
        labels=MODEL_LABELS if config.evaluation.dataset == "foundation" else "PBE",
        structures=2,
        atoms=6,
        errors={
            "labels": _errors(forces / 4, forces, forces / 10),
            "parent": _errors(forces / 5, forces / 2, forces / 20) if recipe else _errors(0, 0, 0),
        },
        cost=cost(recipe, quantized=stage.bits is not None),
        checks=checks(config.evaluation.dataset),
    ).save(folder / "metrics.json")
    done = [{"stage": "pruned", "plan": plan}] if recipe else []
    if reference.training is not None:
        training = reference.training
        done.insert(0, {"stage": "trained", "dataset": training.dataset, "steps": training.steps})
    if stage not in (ORIGINAL, PRUNED):
        size = {"structures": 16} if stage == COMPENSATED else {"steps": 300}
        done.append({"stage": stage.name, "dataset": "foundation", "seed": 7, **size})
    if stage == REFINED:
        done[-1] |= {"rounds": ROUNDS, "ended": "the last round is done", "kept_round": 1}
    _write_card(folder / "card.json", f"{model}/{plan}/{stage.name}", kept, done, reference)
    if stage in (RECOVERED, DISTILLED, REFINED):
        _write_training(folder / "training.csv", forces)


def _write_card(
    path: Path, name: str, kept: float, stages: list[dict], reference: StudyModel
) -> None:
    widths = [{k: int(n * kept) for k, n in irreps.items()} for irreps in LAYERS.values()]
    Card(
        name=name,
        family=reference.family,
        checkpoint=reference.checkpoint or "trained from scratch",
        parent_sha256="a" * 64,
        sha256="b" * 64,
        licence="GPL-3.0",
        shape={
            "irreps": ["+".join(f"{n}x{k}" for k, n in layer.items()) for layer in widths],
            "filter_lmax": 2,
        },
        parameters=int(PARENT_PARAMETERS * kept),
        stages=stages,
        versions={"irrepress": "0.1.0", "torch": "2.13.0", "sevenn": "0.13.0"},
        seed=7,
        created="2026-11-22T12:00:00+00:00",
    ).save(path)


def _write_downstream(base: Path, model: str, config: Config) -> None:
    stage, baselines = config.downstream.stage, config.downstream.baselines
    places = [("parent", "original", "finetuned", "parent")] if "parent" in baselines else []
    starts = ["finetuned", "scratch"] if "scratch" in baselines else ["finetuned"]
    for plan in config.train_plans:
        places += [(plan, stage, start, start) for start in starts]
    if "restricted" in baselines:
        places.append(("parent", "original", "restricted", "restricted"))
    for plan, at, start, key in places:
        for dataset in config.downstream.datasets:
            energy, forces = DOWNSTREAM[dataset][key]
            folder = base / plan / at / "downstream" / dataset / start
            folder.mkdir(parents=True, exist_ok=True)
            measured = {}
            if start == "finetuned":
                measured = {"cost": cost(config.plans().get(plan)), "checks": checks(dataset)}
            Metrics(
                dataset=dataset,
                split="test",
                labels="PBE",
                structures=2,
                errors={"labels": _errors(energy, forces)},
                **measured,
            ).save(folder / "metrics.json")
            name = f"{model}/{plan}/{at}/{dataset}/{start}"
            kept = 0.8 if start == "restricted" else 1.0
            _write_card(folder / "card.json", name, kept, [], config.models[model])
            if start != "restricted":
                _write_training(folder / "training.csv", forces)


def dynamics(dataset: str, *, parent: bool, **changes: object) -> MeasuredDynamics:
    """Half a picosecond, which the compressed model does five times as fast as the parent."""
    measured = {
        "dataset": dataset,
        "source": "structure 3 (test split)",
        "formula": "Si16",
        "atoms": 16,
        "wanted_temperature": 300.0,
        "timestep": 1.0,
        "steps": 500,
        "equilibration": 100,
        "seed": 7,
        "code": "sevenn 0.13.0",
        "device": "cpu",
        "threads": 1,
        "broke": None,
        "drift": -1e-6 if parent else 2e-6,
        "fluctuation": 4e-6,
        "kinetic_fluctuation": 4e-3,
        "temperature": 310.0 if parent else 305.0,
        "temperature_fluctuation": 40.0,
        "steps_per_second": 4.0 if parent else 20.0,
        "trace": {
            "picoseconds": [0.0, 0.25, 0.5],
            "energy": [0.0, 1e-6, 2e-6],
            "temperature": [300.0, 350.0, 280.0],
        },
    }
    return MeasuredDynamics(**measured | changes)


def _write_dynamics(paths: StudyPaths, config: Config) -> None:
    for run in dynamics_runs(config):
        folder = paths.stage(run.model, run.plan, run.stage.name)
        if run.fine_tuned:
            folder = folder.of_task(run.dataset, "finetuned")
        path = folder.dynamics(run.dataset)
        path.parent.mkdir(exist_ok=True)
        dynamics(run.dataset, parent=run.plan == "parent").save(path)


def _write_deployments(paths: StudyPaths, config: Config) -> None:
    """Twice as fast as the parent on 8 atoms, four times on 1,000; nothing timed for LAMMPS."""
    for run in deployment_runs(config):
        seconds = {(8, "deployed"): 0.01, (8, "parent"): 0.02}
        seconds |= {(1000, "deployed"): 0.1, (1000, "parent"): 0.4}
        timed = run.target != "lammps"
        path = run.folder(paths).deployment(run.target)
        path.parent.mkdir(parents=True, exist_ok=True)
        Deployment(
            target=run.target,
            runtime=run.target,
            family="sevennet",
            model="model.pt",
            source="m",
            sha256="b" * 64,
            elements=["Si"],
            cutoff=5.0,
            tested={"sevenn": "0.13.0"},
            tolerance={"energy": 1e-5, "forces": 1e-4, "stress": 1e-5},
            golden=["Si8"],
            checked="by check.py in sevenn 0.13.0" if timed else "in torch; no LAMMPS is here",
            device="cpu",
            threads=1 if timed else None,
            machine="a processor",
            times=[
                Time(atoms=n, model=who, seconds=s, spread=0.01, calls=3, memory_mb=500)
                for (n, who), s in (seconds.items() if timed else ())
            ],
            stopped="5,000 atoms would take longer than the time limit" if timed else None,
        ).save(path)


def _write_training(path: Path, forces: float) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for i in range(1, 7):
            now = forces * (1 + 3 * np.exp(-i))
            row = [50 * i, i, now, now / 4, now, 1.1 * now, now / 4, now, "", 1e-3 / i, 20.0 * i]
            writer.writerow(row)
