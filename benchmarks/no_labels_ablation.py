"""What sources of structures and targets of distillation bring to a model without labels.

    python benchmarks/no_labels_ablation.py --out no_labels

trains one tier of one system of benchmarks/no_labels.yaml anew for each of the variants that its
section ``ablation`` names, and judges it as benchmarks/no_labels.py does. Run that first, with the
same ``--out``: this goes on in a copy of its study, so that dynamics, scores and compensation are
the same. The table is kept as OUT/no_labels_ablation.csv; variants in it are not run again.
``--system`` takes another one.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from no_labels import SETTINGS, errors_of, held_out_runs, stages_of
from workflow_run import run_workflow

from irrepress.core.files import atomic_path
from irrepress.data.store import StructureStore
from irrepress.study.paths import StudyPaths
from irrepress.study.reading import load_config

# What is there is kept, whichever version of the workflow made it.
_BY_CONTENT = ("--rerun-triggers", "mtime", "params", "input")


def changed(path: Path, ablation: dict[str, Any], changes: dict[str, Any]) -> Path:
    """Write a config beside one, with more datasets and another distillation."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["datasets"] |= ablation["datasets"]
    content["distillation"] |= changes
    content.pop("refinement", None)
    changed_path = path.with_name("ablation.yaml")
    with atomic_path(changed_path) as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return changed_path


def main() -> None:
    """Train and judge the variants, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    parser.add_argument("--system", help="by default that of the settings")
    parser.add_argument("--variants", nargs="+", help="by default all")
    parser.add_argument("--out", type=Path, default=Path("no_labels"))
    parser.add_argument("--cores", default="all")
    arguments = parser.parse_args()
    settings = yaml.safe_load(arguments.settings.read_text(encoding="utf-8"))
    ablation, out = settings["ablation"], arguments.out.resolve()
    system, tier = arguments.system or ablation["system"], ablation["tier"]
    folder = out / "ablation" / system
    if not folder.exists():
        shutil.copytree(out / system, folder)
    table = out / "no_labels_ablation.csv"
    rows = pd.read_csv(table).to_dict("records") if table.is_file() else []
    done = {row["variant"] for row in rows if row["system"] == system}
    for name in arguments.variants or ablation["variants"]:
        if name in done:
            continue
        path = changed(folder / f"{tier}.yaml", ablation, ablation["variants"][name])
        config = load_config(path)
        made = stages_of(config)[-1]
        run_workflow([path], folder, arguments.cores, [made.model_file], _BY_CONTENT)
        paths, training = StudyPaths.of(system), config.distillation
        sampled = StructureStore(path.parent / paths.data("sampled"))
        taught = StructureStore(path.parent / paths.data(training.dataset))
        runs = held_out_runs(sampled, settings["systems"][system]["temperatures"])
        log = path.parent / "logs" / system / made.model / made.plan / made.stage
        minutes = pd.read_csv(log / "model.benchmark.tsv", sep="\t")["cpu_time"].sum() / 60
        named = {"system": system, "variant": name, "frames": len(taught.splits["train"])}
        named |= {"optimizer": training.optimizer, "steps": training.steps}
        named |= {"learning rate": training.learning_rate}
        for row in errors_of(named, path.parent / made.model_file, runs):
            for key in ("shape", "layers", "parameters"):  # of the tier, in another table
                del row[key]
            rows.append(row | {"training [CPU min]": minutes})
        with atomic_path(table) as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False)
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".3g"))


if __name__ == "__main__":
    main()
