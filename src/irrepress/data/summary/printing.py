"""A summary as rows of text, for a terminal."""

from collections.abc import Iterator

from ase.data import chemical_symbols

from irrepress.data.summary.records import SYSTEMS, DatasetSummary, Distribution
from irrepress.data.summary.suspects import KINDS

_EXAMPLES = 3


def overview(summary: DatasetSummary) -> Iterator[tuple[str, str]]:
    """Yield properties of a dataset and their values."""
    origin = summary.origin
    yield "labels", f"{origin.labels} ({origin.level_of_theory})"
    yield "structures", f"{summary.structures:,} with {summary.atoms:,} atoms"
    yield "systems", _counts({SYSTEMS[n]: count for n, count in summary.periodicity.items()})
    yield "parts", _counts({p.part: p.structures for p in summary.parts})
    yield "labelled", _counts(summary.labelled)
    symbols = " ".join(chemical_symbols[e.number] for e in summary.elements)
    yield "elements", f"{len(summary.elements)}: {symbols}"
    yield "compositions", f"{summary.compositions:,}"
    for name, distribution, unit in (
        ("atoms of a structure", summary.sizes, ""),
        ("energy less references", summary.energies, " eV/atom"),
        ("force on an atom", summary.forces, " eV/Å"),
        ("pressure", summary.pressures, " GPa"),
    ):
        if distribution is not None:
            yield name, _spread(distribution, unit)
    yield "suspicious", f"{summary.suspicious:,}"


def suspects_of(summary: DatasetSummary) -> Iterator[tuple[str, str, str]]:
    """Yield kinds of suspicious structures, how many there are, and the worst of them."""
    for found in summary.suspects:
        worst = [f"{s.index} ({s.part}): {s.reason}" for s in found.listed[:_EXAMPLES]]
        yield KINDS[found.kind].title, f"{found.count:,}", "\n".join(worst)


def notes_of(summary: DatasetSummary) -> Iterator[tuple[str, str, str]]:
    """Yield the notes made when the dataset was read, how often each was made, and where first."""
    for note in summary.notes:
        yield note.text, f"{note.count:,}", note.first


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "none"


def _spread(distribution: Distribution, unit: str) -> str:
    low, median, high = (distribution.quantiles[share] for share in ("0.01", "0.5", "0.99"))
    return (
        f"median {median:.3g}{unit}, 98 % between {low:.3g} and {high:.3g}, "
        f"all between {distribution.minimum:.3g} and {distribution.maximum:.3g}"
    )
