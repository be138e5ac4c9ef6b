"""Write the documentation's figures from recorded tables, and record those of a finished study.

    python benchmarks/documentation.py --study results/quickstart
    python benchmarks/documentation.py

Tables are CSV files in benchmarks/results, which benchmarks write. In README.md and the pages in
docs/ a table stands between two markers, ``<!-- recorded: pruning -->`` for what pruning.csv holds,
and so does a single figure in the text::

    <!-- value: gst | model=parent / model=tuned | parameters | .1f -->3.5<!-- value: end -->

with table, row, column and, if it is not ``.3g``, the format. A row is described by cells,
``name=value; name=value``; two rows with a slash between them ask for their ratio. What a table
says in words stands between ``<!-- said: precision -->`` and ``<!-- said: end -->`` and is written
by a function of ``sayings.py``, so that no sentence outlives its figures. Pictures are drawn from
recorded tables, too. ``--study`` first writes quickstart.csv and the
other tables of the quickstart from the study's report; where several are named, such as those of
further seeds, quickstart_seeds.csv compares them. A test compares the pages with the tables.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pictures import PICTURES
from sayings import SAYINGS

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
RECORDED = Path(__file__).with_name("results")
END = "<!-- recorded: end -->"
_RECORDED = re.compile(rf"(?P<begin><!-- recorded: (?P<name>\w+) -->).*?(?P<end>{END})", re.DOTALL)
_SAID = re.compile(
    r"(?P<begin><!-- said: (?P<name>\w+) -->).*?(?P<end><!-- said: end -->)", re.DOTALL
)
_VALUE = re.compile(
    r"(?P<begin><!-- value: (?P<name>\w+) \| (?P<rows>[^|]+?) \| (?P<column>[^|]+?)"
    r"(?: \| (?P<format>[^|]+?))? -->)(?P<shown>[^<]*)(?P<end><!-- value: end -->)"
)
# Column of a study's report -> of the recorded table.
_COST = {
    "parameters": "parameters",
    "FLOPs ratio": "FLOPs",
    "time ratio": "time",
    "spread of the ratio [%]": "spread of the time [%]",
}
_ERRORS = {
    "energy MAE vs labels [meV/atom]": "energy [meV/atom]",
    "forces MAE vs labels [meV/Å]": "forces [meV/Å]",
    "stress MAE vs labels [GPa]": "stress [GPa]",
}
_STARTS = {
    "fine-tuned compressed": "compressed",
    "from scratch": "scratch",
    "fine-tuned parent": "parent",
    "restricted parent": "untouched parent",
}


def models_table(report: Path) -> pd.DataFrame:
    """One row per model of a study: cost relative to the parent, and errors against labels.

    Other uncompressed models, of the same family, stand beside the first one, which is the parent.
    """
    keys = ["model", "plan", "stage"]
    rows = pd.read_csv(report / "cost.csv").merge(pd.read_csv(report / "errors.csv"), on=keys)
    columns = {**_COST, **_ERRORS}
    named = rows["plan"].where(rows["plan"] == "parent", rows["plan"] + ", " + rows["stage"])
    others = (rows["plan"] == "parent") & (rows["model"] != rows["model"].iloc[0])
    named = named.mask(others, rows["model"])
    for ratio, of in (
        ("time ratio", "time per call [ms]"),
        ("FLOPs ratio", "FLOPs per atom [MFLOP]"),
    ):
        rows[ratio] = rows[ratio].mask(others, rows[of] / rows[of].iloc[0])
    spread = "spread of the ratio [%]"
    rows[spread] = rows[spread].mask(others)
    return (
        rows[list(columns)]
        .rename(columns=columns)
        .assign(model=named)[["model", *columns.values()]]
    )


def downstream_table(report: Path) -> pd.DataFrame:
    """One row per downstream set and summary of them: errors, and reductions against scratch."""
    table = pd.read_csv(report / "downstream.csv")
    table = table[table["source"] == "this study"]
    columns = {"dataset": "dataset"}
    for quantity, unit in (("energy", "meV/atom"), ("forces", "meV/Å")):
        for start, short in _STARTS.items():
            columns[f"{quantity} MAE {start} [{unit}]"] = f"{quantity} {short} [{unit}]"
    for quantity in ("energy", "forces"):
        columns[f"{quantity} MAE reduction against scratch [%]"] = f"{quantity} reduced by [%]"
    return table[list(columns)].rename(columns=columns)


def dynamics_table(report: Path) -> pd.DataFrame:
    """One row per run of molecular dynamics: what became of energy and temperature."""
    table = pd.read_csv(report / "dynamics.csv")
    named = table["plan"].where(table["plan"] == "parent", "compressed, " + table["stage"])
    columns = ["dataset", "formula", "length [ps]", "temperature [K]"]
    columns += ["energy drift [meV/atom/ps]", "energy fluctuation [meV/atom]"]
    columns += ["kinetic fluctuation [meV/atom]", "steps per second", "not passed"]
    return table[columns].assign(model=named)[["model", *columns]]


def seeds_table(studies: Sequence[Path]) -> pd.DataFrame:
    """One row per study: the compressed model beside the others, and what fine-tuning brings."""
    rows = []
    for study in studies:
        models = models_table(study / "report").set_index("model")
        tasks = downstream_table(study / "report").set_index("dataset")
        dynamics = dynamics_table(study / "report")
        last = models[models.index.str.contains(", ")].iloc[-1]
        row = {"study": study.name, "time": last["time"]}
        for column in _ERRORS.values():
            row[column] = last[column]
        for quantity in ("energy", "forces"):
            reduced = tasks[f"{quantity} reduced by [%]"]
            for summary in ("median", "lowest"):
                row[f"{quantity} reduced by, {summary} [%]"] = reduced[summary]
        row["largest drift [meV/atom/ps]"] = dynamics["energy drift [meV/atom/ps]"].abs().max()
        row["stable runs"] = f"{dynamics['not passed'].isna().sum()} of {len(dynamics)}"
        rows.append(row)
    return pd.DataFrame(rows)


def record_study(report: Path, name: str = "quickstart") -> None:
    """Keep the tables of a study's report that the documentation shows."""
    models_table(report).to_csv(RECORDED / f"{name}.csv", index=False)
    downstream_table(report).to_csv(RECORDED / f"{name}_downstream.csv", index=False)
    dynamics_table(report).to_csv(RECORDED / f"{name}_dynamics.csv", index=False)


def _cell(value: object) -> str:
    """Return a value of a recorded table as it is written; nothing for what is not known."""
    if pd.isna(value):
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def read_table(name: str) -> pd.DataFrame:
    """Return a recorded table."""
    return pd.read_csv(RECORDED / f"{name}.csv")


def _value(table: pd.DataFrame, row: str, column: str) -> float:
    """Return what stands in a column of the one row that ``name=value, ...`` describes."""
    chosen = pd.Series(True, index=table.index)
    for condition in row.split(";"):
        name, _, value = (part.strip() for part in condition.partition("="))
        chosen &= table[name].map(_cell) == value
    found = table.loc[chosen, column]
    if len(found) != 1:
        raise SystemExit(f"{len(found)} rows are {row!r}, one is needed")
    return float(found.iloc[0])


def with_recorded(text: str) -> str:
    """Return a page's text with every recorded figure as its file is now."""

    def table(found: re.Match[str]) -> str:
        rows = read_table(found["name"]).map(_cell)
        written = rows.to_markdown(index=False, disable_numparse=True)
        return f"{found['begin']}\n{written}\n{found['end']}"

    def said(found: re.Match[str]) -> str:
        text = SAYINGS[found["name"]](read_table(found["name"]))
        return f"{found['begin']}\n{text}\n{found['end']}"

    def value(found: re.Match[str]) -> str:
        whole = read_table(found["name"])
        first, *second = (_value(whole, row, found["column"]) for row in found["rows"].split(" / "))
        number = first / second[0] if second else first
        return f"{found['begin']}{number:{found['format'] or '.3g'}}{found['end']}"

    return _VALUE.sub(value, _SAID.sub(said, _RECORDED.sub(table, text)))


def main() -> None:
    """Record a study if one is named, and write the pages and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--study", type=Path, nargs="+", help="such as results/quickstart; others are compared"
    )
    arguments = parser.parse_args()
    if arguments.study is not None:
        record_study(arguments.study[0] / "report")
        seeds_table(arguments.study).to_csv(RECORDED / "quickstart_seeds.csv", index=False)
    for page in PAGES:
        page.write_text(with_recorded(page.read_text(encoding="utf-8")), encoding="utf-8")
    for picture in PICTURES:
        picture.draw(read_table(picture.table), picture.path)


if __name__ == "__main__":
    main()
