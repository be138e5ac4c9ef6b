"""Which columns of which tables the page shows, and under which heads."""

import pandas as pd

from irrepress.report import data_tables, tables
from irrepress.report.markup import Table, make_table
from irrepress.report.study import Study
from irrepress.report.text import listing
from irrepress.structures.summary.suspects import LISTED


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
    shown = [
        make_table(
            "sweep",
            "Every plan right after pruning, before any training. Ratios are relative to the "
            "parent; errors are mean absolute errors against the labels and against the parent.",
            sweep,
            [
                "model",
                *(["family"] if sweep["family"].nunique() > 1 else []),
                *("plan", "blocks kept [%]", "parameters", "parameter ratio"),
                *("FLOPs ratio", "time ratio", *mae["labels"][:2], *mae["parent"][:2]),
                *("filter lmax", "irreps"),
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
            [*who, *mae["labels"], *mae["parent"]],
            csv="errors.csv",
            titles=short,
            marked=errors["plan"] == "parent",
        ),
        make_table(
            "cost",
            "Size and time at every stage. Time is that of one call for energy, forces and "
            "stress, measured in turn with the parent.",
            cost,
            [
                *who,
                *("parameters", "parameter ratio", "FLOPs per atom [MFLOP]", "FLOPs ratio"),
                *("file [MB]", "packed file [MB]", "time per call [ms]", "time ratio", "speed-up"),
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
    downstream = tables.downstream_table(study)
    if not downstream.empty:
        shown.append(_downstream_table(downstream, tables.trainings_of(study.config)))
    shown.append(_data_table(data_tables.data_table(study)))
    suspects = data_tables.suspects_table(study)
    if not suspects.empty:
        shown.append(_suspects_table(suspects))
    return {table.name: table for table in shown}


def _data_table(frame: pd.DataFrame) -> Table:
    return make_table(
        "data",
        "What each dataset holds. The CSV file has the elements, how many structures are crystals, "
        "slabs, wires and molecules, and the whole checksums, too.",
        frame.assign(checksum=frame["checksum"].str[:12].replace("", None)),
        [
            *("dataset", "structures", "atoms", "elements", "compositions"),
            *("train", "valid", "test", "suspicious"),
            *("labelled", "level of theory", "licence", "checksum"),
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


def _downstream_table(frame: pd.DataFrame, trainings: list[str]) -> Table:
    columns = ["model", "plan", "dataset"]
    titles = {}
    for quantity in tables.PAPER_REDUCTIONS:
        unit, _ = tables.UNITS[quantity]
        reduction = tables.reduction_column(quantity)
        names = (tables.SCRATCH, "from scratch"), (tables.FINETUNED, "compressed")
        names = (*names, (tables.PARENT, "parent"), (tables.RESTRICTED, "restricted parent"))
        for name, short in names:
            column = tables.task_column(quantity, "mae", name)
            columns.append(column)
            titles[column] = f"{quantity}, {short} [{unit}]"
        columns.append(reduction)
        titles[reduction] = f"{quantity} reduced by [%]"
    for name, short in (
        (tables.WHOLE, "parent"),
        (tables.RESTRICTED, "restricted parent"),
        (tables.FINETUNED, "compressed"),
    ):
        column = tables.parameters_column(name)
        columns.append(column)
        titles[column] = f"parameters, {short}"
    is_paper = frame["source"] == tables.PAPER_SOURCE
    shown = frame.assign(
        plan=frame["plan"].where(~is_paper, "the paper's"),
        dataset=frame["dataset"].where(~is_paper, "mean of 8"),
    )
    caption = f"Mean absolute errors on the test splits of {listing(trainings)}."
    if frame[tables.parameters_column(tables.RESTRICTED)].notna().any():
        caption += (
            " The restricted parent is the uncompressed one without the elements that the dataset "
            "lacks: it predicts the same and is not trained, only its energies are shifted by a "
            "constant per element."
        )
    if is_paper.any():
        caption += (
            " Reductions are those of the compressed model against the network from scratch. The "
            "last row repeats the figures of arXiv:2605.08885, from other models and datasets."
        )
    return make_table(
        "downstream",
        caption,
        shown,
        columns,
        csv="downstream.csv",
        titles=titles,
        marked=(frame["dataset"] == tables.MEAN) | is_paper,
    )
