"""What recorded tables say in words: sentences that change with their figures."""

from collections.abc import Callable, Iterator, Mapping

import pandas as pd

# Less is lost in the noise of a shared machine.
_WORTH = 1.1
# Of the largest force; more is seen in whatever is computed with the model.
_HARMFUL = 1e-3
_EXACT, _SINGLE = "float64", "float32"


def precision(table: pd.DataFrame) -> str:
    """Say for every model and runtime what lower precisions bring and cost."""
    lines = []
    for (model, runtime), rows in table.groupby(["model", "runtime"], sort=False):
        said = "; ".join(_precisions(rows))
        lines.append(f"- **{model}, {runtime}:** {said}.")
    return "\n".join(lines)


def _precisions(rows: pd.DataFrame) -> Iterator[str]:
    single = rows.loc[rows["precision"] == _SINGLE, "faster"].max()  # NaN if it did not run
    for row in rows.to_dict("records"):
        name, faster = row["precision"], row["faster"]
        if name == _EXACT:
            continue
        if isinstance(row["note"], str):
            yield f"{name} does not run"
            continue
        error = f"forces off by {row['error of forces']:.1g} of the largest"
        if pd.isna(faster):
            yield f"{name}: {error}"
            continue
        speed = f"{faster:.2g} times as fast as {_EXACT}"
        if faster < _WORTH:
            speed = f"brings no speed ({faster:.2g} times that of {_EXACT})"
        elif name != _SINGLE and faster < _WORTH * single:
            speed = f"brings no speed beyond {_SINGLE} ({speed})"
        else:
            speed = f"is {speed}"
        harm = ", of no use" if row["error of forces"] > _HARMFUL else ""
        yield f"{name} {speed}, {error}{harm}"


def memory(table: pd.DataFrame) -> str:
    """Say how many atoms fit, and how many times as many as in the first row."""
    (column,) = (name for name in table.columns if name.startswith("atoms in "))
    where, first = column.removeprefix("atoms in "), table[column].iloc[0]
    lines: list[str] = []
    for row in table.to_dict("records"):
        line = f"- **{row['model']}, {row['runtime']}:** {_rounded(row[column]):,} atoms in {where}"
        lines.append(f"{line}, {_rounded(row[column] / first)} times as many" if lines else line)
    return "\n".join(f"{line}." for line in lines)


def _rounded(number: float) -> float:
    """Return a number with two digits that count.

    >>> _rounded(12345.0), _rounded(2.345)
    (12000, 2.3)
    """
    rounded = float(f"{number:.2g}")
    return int(rounded) if rounded == int(rounded) else rounded


SAYINGS: Mapping[str, Callable[[pd.DataFrame], str]] = {"precision": precision, "memory": memory}
