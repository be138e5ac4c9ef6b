"""The tables of the page, their columns and heads."""

import pandas as pd

from irrepress.data.summary.suspects import LISTED
from irrepress.evaluation.physics.verdicts import COLUMNS
from irrepress.report import data_tables, tables
from irrepress.report.markup import Table, make_table
from irrepress.report.study import Study
from irrepress.report.text import listing


def page_tables(study: Study) -> dict[str, Table]:
    """Return the tables of the page by name; the CSV files hold further columns."""
    mae = {
        reference: [tables.error_column(q, "mae", reference) for q in tables.UNITS]
        for reference in ("labels", "parent")
    }
    short = {
        tables.error_column(q, "mae", reference): f"{q} vs {reference} [{unit}]"
        for reference in mae
        for q, (unit, _) in tables.UNITS.items()
    }
    sweep = tables.sweep_table(study)
    errors = tables.errors_table(study)
    cost = tables.cost_table(study)
    checks = tables.checks_table(study)
    who = ["model", "plan", "stage"]
    several = ["dataset"] if errors["dataset"].nunique() > 1 else []
    shown = [
        make_table(
            "sweep",
            "Every plan right after pruning, before any training. Ratios are relative to the "
            "parent; errors are mean absolute errors against the labels and against the parent. "
            "The CSV file also has further ratios.",
            sweep,
            [
                "model",
                *(["family"] if sweep["family"].nunique() > 1 else []),
                *("plan", "irreps", "filter lmax", "parameters", "FLOPs ratio", "time ratio"),
                *(*mae["labels"][:2], *mae["parent"][:2], "edited by hand"),
            ],
            csv="sweep.csv",
            titles=short,
            marked=sweep["plan"] == "parent",
        ),
        make_table(
            "errors",
            "Mean absolute errors at every stage, against the labels and against the parent's "
            "predictions. The CSV file also has root mean square errors.",
            errors,
            [*who, *several, *mae["labels"], *mae["parent"]],
            csv="errors.csv",
            titles=short,
            marked=errors["plan"] == "parent",
        ),
        make_table(
            "cost",
            "Size and time at every stage. Time is that of one call for energy, forces and "
            "stress by the family's own code, in turn with the parent; speed-ups in another "
            "runtime are named after it; spreads are from the first to the third quartile of all "
            "rounds, relative to the median.",
            cost,
            [
                *who,
                *("parameters", "FLOPs per atom [MFLOP]", "FLOPs ratio"),
                *("file [MB]", "packed file [MB]", "time per call [ms]", "spread [%]"),
                *("time ratio", "spread of the ratio [%]", "speed-up"),
                *(column for column in cost.columns if column.startswith("speed-up in ")),
            ],
            csv="cost.csv",
            marked=cost["plan"] == "parent",
        ),
        make_table(
            "checks",
            "Largest relative deviations in float64: of the forces under each transformation, and "
            "of the forces from central differences of the energy; by the family's own code, which "
            "users of the model run, and by irrepress's.",
            checks,
            [
                *who,
                "code",
                "rotation",
                "inversion",
                "translation",
                "permutation",
                "finite_difference",
            ],
            titles={"finite_difference": "finite differences"},
            marked=checks["plan"] == "parent",
        ),
    ]
    if study.dynamics:
        shown.append(_dynamics_table(tables.dynamics_table(study)))
    if study.validations:
        shown.append(_validation_table(study))
    if study.deployments:
        shown.append(_deploy_table(tables.deploy_table(study)))
    downstream = tables.downstream_table(study)
    if not downstream.empty:
        shown += _downstream_tables(downstream, tables.trainings_of(study.config))
    shown.append(_data_table(data_tables.data_table(study)))
    suspects = data_tables.suspects_table(study)
    if not suspects.empty:
        shown.append(_suspects_table(suspects))
    return {table.name: table for table in shown}


def _dynamics_table(frame: pd.DataFrame) -> Table:
    return make_table(
        "dynamics",
        "Molecular dynamics at constant energy: its drift, its fluctuation about it, and that "
        "of the kinetic energy alone. Speeds are of runs one after another, with all that a step "
        "takes.",
        frame,
        [
            *("model", "dataset", "plan", "stage", "formula", "length [ps]", "temperature [K]"),
            *("energy drift [meV/atom/ps]", "energy fluctuation [meV/atom]"),
            *("kinetic fluctuation [meV/atom]", "steps per second", "not passed"),
        ],
        csv="dynamics.csv",
        titles={
            "energy drift [meV/atom/ps]": "drift [meV/atom/ps]",
            "energy fluctuation [meV/atom]": "fluctuation [meV/atom]",
            "kinetic fluctuation [meV/atom]": "kinetic [meV/atom]",
        },
        marked=frame["plan"] == "parent",
    )


def _validation_table(study: Study) -> Table:
    frame = pd.DataFrame(
        [
            {"model": each.title} | dict(zip(COLUMNS, row, strict=True))
            for each in study.validations
            for row in each.measured.rows()
        ],
        columns=["model", *COLUMNS],
    )
    return make_table(
        "validation",
        "What users do with a model, which runs the family's own code, measured beside its parent: "
        "one verdict a line. Where statistics limit a comparison, their noise is allowed as well.",
        frame,
        ["model", *COLUMNS],
        csv="validation.csv",
        marked=frame["verdict"] == "NOT WITHIN",
    )


def _deploy_table(frame: pd.DataFrame) -> Table:
    return make_table(
        "deploy",
        "Median time of a call for energy, forces and stress, in LAMMPS of a step of dynamics, "
        "against the number of atoms: of the deployed model and of its parent in the same runtime, "
        "which took turns. The CSV file also has versions, threads, machine and memory.",
        frame,
        [
            *("model", "plan", "stage", "target", "atoms", "time [ms]", "parent [ms]"),
            *("speed-up", "folder"),
        ],
        csv="deploy.csv",
    )


def _data_table(frame: pd.DataFrame) -> Table:
    return make_table(
        "data",
        "What each dataset holds. The CSV file has the elements, compositions, licences, how many "
        "structures are crystals, slabs, wires and molecules, and the whole checksums, too.",
        frame.assign(checksum=frame["checksum"].str[:12].replace("", None)),
        [
            *("dataset", "structures", "atoms", "elements"),
            *("train", "valid", "test", "suspicious"),
            *("labelled", "level of theory", "checksum"),
        ],
        csv="data.csv",
    )


def _suspects_table(frame: pd.DataFrame) -> Table:
    return make_table(
        "suspects",
        f"Suspicious structures by their place in the store, the worst of every kind first; at "
        f"most {LISTED} of a kind and dataset.",
        frame,
        ["dataset", "kind", "structure", "part", "group", "reason"],
        csv="suspects.csv",
    )


def _downstream_tables(frame: pd.DataFrame, trainings: list[str]) -> list[Table]:
    """Forces, energies and parameters: each table is narrow enough for a page."""
    is_paper = frame["source"] == tables.PAPER_SOURCE
    is_summary = frame["dataset"].isin(tables.SUMMARIES)
    shown = frame.assign(
        plan=frame["plan"].where(~is_paper, "the paper's"),
        dataset=frame["dataset"].where(~is_paper, "mean of 8"),
    )
    notes = ""
    if frame[tables.parameters_column(tables.RESTRICTED)].notna().any():
        notes += (
            " The untouched parent is the uncompressed one without the elements that the dataset "
            "lacks: it predicts the same and is not trained, only its energies are shifted by a "
            "constant per element."
        )
    if is_paper.any():
        notes += (
            " Reductions are those of the compressed model against the network from scratch; "
            "negative ones are increases. The last row repeats the figures of arXiv:2605.08885, "
            "from other models and datasets."
        )
    who = ["model", "plan", "dataset"]
    found = []
    for quantity, name in (("forces", "downstream"), ("energy", "downstream-energy")):
        unit, _ = tables.UNITS[quantity]
        titles = {
            tables.task_column(quantity, "mae", tables.SCRATCH): f"from scratch [{unit}]",
            tables.task_column(quantity, "mae", tables.FINETUNED): f"compressed [{unit}]",
            tables.task_column(
                quantity, "mae", tables.FINETUNED_PARENT
            ): f"parent, fine-tuned [{unit}]",
            tables.task_column(quantity, "mae", tables.RESTRICTED): f"untouched parent [{unit}]",
            tables.reduction_column(quantity): "reduced by [%]",
            tables.best_column(quantity): "lowest",
        }
        caption = f"Mean absolute errors in {quantity} on the test splits of {listing(trainings)}."
        found.append(
            make_table(
                name,
                caption + (notes if quantity == "forces" else ""),
                shown,
                [*who, *titles],
                csv="downstream.csv",
                titles=titles,
                marked=is_summary | is_paper,
            )
        )
    titles = {
        tables.parameters_column(tables.WHOLE): "parameters, parent",
        tables.parameters_column(tables.RESTRICTED): "parameters, restricted parent",
        tables.parameters_column(tables.FINETUNED): "parameters, compressed",
        tables.SPEED_UP: "speed-up, compressed",
    }
    sizes = shown[~(is_summary | is_paper)]
    caption = "Parameters and speed, relative to the whole parent, of the models on each dataset."
    size = make_table("downstream-size", caption, sizes, [*who, *titles], titles=titles)
    return [*found, size]
