"""Fast models of systems without labels: what `irrepress compress` makes of a structure.

    python benchmarks/no_labels.py --out no_labels

For every system and tier of benchmarks/no_labels.yaml, `irrepress new` writes the config from the
structure and the speed that is asked for, and the workflow runs as a user would run it. The models
are judged on whole runs of the large one that they were neither trained nor chosen on. Times are of
processors, which other work on the machine hardly changes. The same command goes on where it was;
`--systems quartz --tiers fast` takes some. These tables are kept in OUT: no_labels.csv,
no_labels_stages.csv with what each stage brought, no_labels_times.csv, and no_labels_proof.csv with
the verdicts, in which figures that are not within their tolerance have an exclamation mark.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pandas as pd
import yaml
from ase import units
from ase.spacegroup import crystal
from workflow_run import run_workflow

import irrepress
from irrepress.api import Potential
from irrepress.core.files import atomic_path
from irrepress.core.structure import Structure
from irrepress.data.store import StructureStore
from irrepress.evaluation.physics.verdicts import Validated
from irrepress.evaluation.predictions import label
from irrepress.study.config import Config
from irrepress.study.paths import ModelFolder, StudyPaths
from irrepress.study.reading import load_config

SETTINGS = Path(__file__).with_suffix(".yaml")
# Parts of a run whose times are told, by the jobs that they consist of.
PARTS = {
    "sampling": ("data/sampled", "data/strained", "data/all"),
    "scores and plan": ("{model}/scores", "{model}/shapes", "{model}/{plan}/plan"),
    "compensation": ("{model}/{plan}/compensated/model",),
    "distillation": ("{model}/{plan}/distilled/model",),
    "refinement": ("{model}/{plan}/refined/model",),
    "validation": (
        "{model}/parent/original/validation-reference",
        "{model}/{plan}/{stage}/validation",
    ),
}


def write_structure(system: dict[str, Any], path: Path) -> None:
    """Build the crystal of a system and write it as CIF."""
    build = system["build"]
    atoms = crystal(
        build["symbols"], build["sites"], spacegroup=build["spacegroup"], cellpar=build["cell"]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    ase.io.write(path, atoms)


def write_config(settings: dict[str, Any], name: str, tier: str, out: Path) -> Path:
    """Let irrepress write the config of a tier of a system, as for a user who asks for its speed.

    The tiers of a system are configs of one study, so that they share its data and scores.

    Returns:
        The config.
    """
    folder, structure = out / name, out / "structures" / f"{name}.cif"
    written = folder / "written" / tier / "config.yaml"
    if not written.exists():
        write_structure(settings["systems"][name], structure)
        temperatures = map(str, settings["systems"][name]["temperatures"])
        command = [Path(sys.executable).with_name("irrepress"), "new", written.parent, structure]
        command += ["--model", settings["model"], "--temperature", *temperatures]
        command += ["--speedup", settings["tiers"][tier]]
        subprocess.run(list(map(str, command)), check=True)
    content = yaml.safe_load(written.read_text(encoding="utf-8")) | {"name": name}
    for section, changes in settings["changes"].items():
        kept = content.get(section)
        content[section] = {**kept, **changes} if isinstance(kept, dict) else changes
    for dataset, changes in settings["datasets"].items():
        content["datasets"][dataset] |= changes
    path = folder / f"{tier}.yaml"
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def held_out_runs(
    store: StructureStore, temperatures: Sequence[float]
) -> dict[float, list[Structure]]:
    """Return frames of the runs that no model was trained or chosen on, by temperature in K.

    Those at higher temperatures than the model is to be used at are left out.
    """
    found: dict[float, list[Structure]] = {temperature: [] for temperature in temperatures}
    for frame in store.iterate(store.splits["test"]):
        _, _, temperature, _ = frame.group.rsplit("/", 3)
        if (kelvin := float(temperature.removesuffix("K"))) in found:
            found[kelvin].append(frame)
    return found


def errors_on(small: Potential, reference: Sequence[Structure]) -> dict[str, float]:
    """Return errors beside the large model on frames that it labelled.

    Returns:
        Mean absolute errors of energy in meV/atom, of force components in meV/Å, of stress
        components in GPa; and the mean length of force errors in % of the mean force.
    """
    predicted = list(label(small.model, [each.without_labels() for each in reference]))
    pairs = list(zip(predicted, reference, strict=True))
    off = np.concatenate([one.forces - other.forces for one, other in pairs])
    size = np.linalg.norm(np.concatenate([other.forces for other in reference]), axis=1).mean()
    energies = [abs(one.energy - other.energy) / len(other) for one, other in pairs]
    return {
        "energy [meV/atom]": 1e3 * float(np.mean(energies)),
        "forces [meV/Å]": 1e3 * float(np.abs(off).mean()),
        "forces [%]": 100 * float(np.linalg.norm(off, axis=1).mean() / size),
        "stress [GPa]": float(np.mean([np.abs(a.stress - b.stress) for a, b in pairs])) / units.GPa,
    }


def minutes_of(logs: Path, made: ModelFolder) -> dict[str, float]:
    """Return the processor time of the parts of a run, from Snakemake's benchmarks of jobs."""
    minutes = {}
    names = {"model": made.model, "plan": made.plan, "stage": made.stage}
    for part, jobs in PARTS.items():
        if part == "refinement" and made.stage != "refined":
            continue
        paths = [logs / f"{job.format(**names)}.benchmark.tsv" for job in jobs]
        tables = [pd.read_csv(path, sep="\t") for path in paths if path.is_file()]
        if tables:
            seconds = sum(float(table["cpu_time"].sum()) for table in tables)
            minutes[f"{part} [CPU min]"] = seconds / 60
    return minutes


def errors_of(
    names: dict[str, str], model: Path, runs: dict[float, list[Structure]]
) -> list[dict[str, Any]]:
    """Return what a model is and its errors, a row for each temperature of the runs."""
    small = irrepress.load(model)
    about = {
        **names,
        "shape": irreps_of(small),
        "layers": small.model.layers,
        "parameters": small.model.parameter_count(),
    }
    return [about | {"temperature [K]": t} | errors_on(small, runs[t]) for t in runs]


def tables_of(
    names: dict[str, str],
    stages: list[ModelFolder],
    directory: Path,
    temperatures: Sequence[float],
) -> dict[str, list[dict[str, Any]]]:
    """Return what a tier of a system became.

    Args:
        names: the first columns: system and tier.
        stages: the folders of its trained stages.
        directory: where the study was run.
        temperatures: in K, of the runs that models are judged on.

    Returns:
        Table -> rows.
    """
    made = stages[-1]
    study = made.results.name
    sampled = StructureStore(directory / StudyPaths.of(study).data("sampled"))
    runs = held_out_runs(sampled, temperatures)
    by_stage = [errors_of(names, directory / each.model_file, runs) for each in stages]
    cost = json.loads((directory / made.metrics).read_text(encoding="utf-8"))["cost"]
    last = [{**row, "times faster": 1 / cost["time_ratio"]} for row in by_stage[-1]]
    staged = [
        {**names, "stage": each.stage, **dict(list(row.items())[len(names) :])}
        for each, rows in zip(stages, by_stage, strict=True)
        for row in rows
    ]
    took: dict[str, Any] = {**names, "ends": made.stage}
    took |= minutes_of(directory / "logs" / study, made)
    tables = {"no_labels": last, "no_labels_stages": staged, "no_labels_times": [took]}
    if (validated := directory / made.validation).is_file():
        took["validation"] = str(Validated.load(validated).result)
        tables["no_labels_verdicts"] = verdicts_of(names, validated)
    return tables


def merged(path: Path, names: dict[str, str], rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Put rows of a tier of a system into a table, in place of earlier ones."""
    kept = pd.read_csv(path).to_dict("records") if path.is_file() else []
    kept = [row for row in kept if any(row[key] != value for key, value in names.items())]
    table = pd.DataFrame([*kept, *rows])
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
    return table


def stages_of(config: Config) -> list[ModelFolder]:
    """Return the folders of the models of a tier, from the first that was fitted to its last."""
    (model,), (plan,) = config.compressed_models(), config.train_plans
    names = [stage.name for stage in config.stages_of(plan)][1:]
    return [StudyPaths.of(config.name).stage(model, plan, name) for name in names]


def irreps_of(small: Potential) -> str:
    """Return the widest irreps among the layers of a model."""
    irreps = small.model.shape()["irreps"]
    return irreps if isinstance(irreps, str) else max(map(str, irreps), key=len)


def verdicts_of(names: dict[str, str], path: Path) -> list[dict[str, Any]]:
    """Return what was judged of a model, a row a quantity."""
    return [
        {
            **names,
            "quantity": verdict.quantity,
            "allowed": verdict.allowed,
            "figure": (verdict.figure or verdict.word) + ("" if verdict.within else " !"),
        }
        for verdict in Validated.load(path).verdicts
        if verdict.within is not None
    ]


def side_by_side(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts of a system's tiers beside one another.

    What is allowed may depend on the model, such as on how long its run was.
    """
    keys = ["system", "quantity"]
    verdicts = verdicts.fillna("")
    of_quantity = verdicts.groupby(keys, sort=False)
    allowed = of_quantity["allowed"].agg(lambda texts: " or ".join(dict.fromkeys(texts)))
    table = verdicts.pivot(index=keys, columns="tier", values="figure").loc[allowed.index]
    table.insert(0, "allowed", allowed)
    return table.reset_index()


def main() -> None:
    """Run, judge, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    parser.add_argument("--systems", nargs="+", help="by default all")
    parser.add_argument("--tiers", nargs="+", help="by default all")
    parser.add_argument("--out", type=Path, default=Path("no_labels"))
    parser.add_argument("--cores", default="all")
    parser.add_argument("--validate", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    settings = yaml.safe_load(arguments.settings.read_text(encoding="utf-8"))
    out, tiers = arguments.out.resolve(), arguments.tiers or list(settings["tiers"])
    for name in arguments.systems or settings["systems"]:
        temperatures = settings["systems"][name]["temperatures"]
        for tier in tiers:
            path = write_config(settings, name, tier, out)
            config = load_config(path)
            stages = stages_of(config)
            targets = [stages[-1].metrics]
            if config.validation is not None and arguments.validate:
                targets.append(stages[-1].validation)
            run_workflow([path], path.parent, arguments.cores, targets)
            names = {"system": name, "tier": tier}
            tables = tables_of(names, stages, path.parent, temperatures)
            for row in tables["no_labels"]:
                row["learning rate"] = config.distillation.learning_rate
            for table, rows in tables.items():
                kept = merged(out / f"{table}.csv", names, rows)
                if table == "no_labels_verdicts":
                    kept = side_by_side(kept)
                    kept.to_csv(out / "no_labels_proof.csv", index=False)
                print(kept.to_markdown(index=False, floatfmt=".3g"))


if __name__ == "__main__":
    main()
