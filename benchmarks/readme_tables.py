"""Write the README's result tables: of a finished study, and of benchmarks that were recorded.

    python benchmarks/readme_tables.py --study results/quickstart
    python benchmarks/readme_tables.py

Tables stand between two markers in README.md. That of a study holds what the study's CSV files
hold; ``<!-- recorded: pruning -->`` stands before what benchmarks/results/pruning.csv holds, which
is a table that a benchmark wrote.
"""

import argparse
import re
from pathlib import Path

import pandas as pd

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
README = Path(__file__).resolve().parents[1] / "README.md"
RECORDED = Path(__file__).with_name("results")
_RECORDED = re.compile(
    r"(?P<begin><!-- recorded: (?P<name>\w+) -->).*?(?P<end><!-- recorded: end -->)", re.DOTALL
)


def models_table(report: Path) -> str:
    """One row per model of the study: cost relative to the parent, and errors."""
    keys = ["model", "plan", "stage"]
    cost = pd.read_csv(report / "cost.csv")
    errors = pd.read_csv(report / "errors.csv")
    rows = cost.merge(errors, on=keys)
    lines = [
        "| model | parameters | FLOPs | time | energy | forces | stress |",
        "|---|--:|--:|--:|--:|--:|--:|",
        "| | | relative | relative | meV/atom | meV/Å | GPa |",
    ]
    for _, row in rows.iterrows():
        name = row["plan"] if row["plan"] == "parent" else f"{row['plan']}, {row['stage']}"
        lines.append(
            f"| {name} | {row['parameters']:,} | {row['FLOPs ratio']:.2f} "
            f"| {row['time ratio']:.2f} | {row['energy MAE vs labels [meV/atom]']:.1f} "
            f"| {row['forces MAE vs labels [meV/Å]']:.0f} "
            f"| {row['stress MAE vs labels [GPa]']:.2f} |"
        )
    return "\n".join(lines)


def downstream_table(report: Path) -> str:
    """One row per downstream set, and the mean reduction."""
    table = pd.read_csv(report / "downstream.csv")
    table = table[table["source"] == "this study"]
    lines = [
        "| dataset | compressed | from scratch | parent | compressed | from scratch | parent |",
        "|---|--:|--:|--:|--:|--:|--:|",
        "| | energy, meV/atom | | | forces, meV/Å | | |",
    ]
    starts = ("fine-tuned compressed", "from scratch", "fine-tuned parent")
    for _, row in table[table["dataset"] != "mean"].iterrows():
        energy = [f"{row[f'energy MAE {start} [meV/atom]']:.1f}" for start in starts]
        forces = [f"{row[f'forces MAE {start} [meV/Å]']:.0f}" for start in starts]
        lines.append(f"| {row['dataset']} | {' | '.join(energy + forces)} |")
    for _, row in table[table["dataset"] == "mean"].iterrows():
        lines += [
            "",
            f"Mean reduction against training from scratch: "
            f"{row['energy MAE reduction against scratch [%]']:.0f} % in energy and "
            f"{row['forces MAE reduction against scratch [%]']:.0f} % in forces.",
        ]
    return "\n".join(lines)


def _cell(value: object) -> str:
    """Return a value of a recorded table as it is written; nothing for what is not known."""
    if pd.isna(value):
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def with_recorded(text: str) -> str:
    """Return the README's text with every recorded table as its file is now."""

    def table(found: re.Match[str]) -> str:
        rows = pd.read_csv(RECORDED / f"{found['name']}.csv").map(_cell)
        written = rows.to_markdown(index=False, disable_numparse=True)
        return f"{found['begin']}\n{written}\n{found['end']}"

    return _RECORDED.sub(table, text)


def main() -> None:
    """Replace what stands between the markers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, help="such as results/quickstart")
    study = parser.parse_args().study
    text = with_recorded(README.read_text(encoding="utf-8"))
    if study is not None:
        before, rest = text.split(BEGIN)
        _, after = rest.split(END)
        tables = f"{models_table(study / 'report')}\n\n{downstream_table(study / 'report')}"
        text = f"{before}{BEGIN}\n{tables}\n{END}{after}"
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
