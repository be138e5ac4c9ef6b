"""The tables of the datasets: contents and suspicious structures."""

import pandas as pd
from ase.data import chemical_symbols

from irrepress.data.summary.records import SYSTEMS, DatasetSummary
from irrepress.data.summary.suspects import KINDS
from irrepress.report.datasets import DataCard
from irrepress.report.study import Study

_SUSPECTS = ("dataset", "kind", "structure", "part", "group", "value", "unit", "reason")


def data_table(study: Study) -> pd.DataFrame:
    """One row per dataset: what it holds, how it is split, and where it comes from."""
    return pd.DataFrame([_data_row(name, card) for name, card in study.data.items()])


def suspects_table(study: Study) -> pd.DataFrame:
    """One row per suspicious structure that is listed, kind by kind, the worst first.

    Without any the table is empty, but has its columns.
    """
    rows = [
        {
            "dataset": name,
            "kind": KINDS[found.kind].title,
            "structure": suspect.index,
            "part": suspect.part,
            "group": suspect.group or None,
            "value": suspect.value,
            "unit": KINDS[found.kind].unit,
            "reason": suspect.reason,
        }
        for name, card in study.data.items()
        for found in card.summary.suspects
        for suspect in found.listed
    ]
    return pd.DataFrame(rows, columns=list(_SUSPECTS))


def coverage(summary: DatasetSummary) -> str:
    """Return the labels of the structures as text: ``energy, forces, stress on 93 %``."""
    texts = []
    for label, count in summary.labelled.items():
        if count == summary.structures:
            texts.append(label)
        elif count:
            texts.append(f"{label} on {percentage(count, summary.structures)}")
    return ", ".join(texts) or "none"


def percentage(count: int, total: int) -> str:
    """Return a share in per cent that says 0 or 100 only where it is exactly that."""
    if 0 < count < total:
        return f"{min(max(100 * count / total, 0.1), 99.9):.1f} %"
    return f"{100 * count // total} %"


def _data_row(name: str, card: DataCard) -> dict[str, object]:
    summary, origin = card.summary, card.summary.origin
    parts = {part.part: part.structures for part in summary.parts}
    return {
        "dataset": name,
        "used for": ", ".join(card.uses),
        "structures": summary.structures,
        "atoms": summary.atoms,
        "elements": len(summary.elements),
        "symbols": " ".join(chemical_symbols[e.number] for e in summary.elements),
        "compositions": summary.compositions,
        "train": parts["train"],
        "valid": parts["valid"],
        "test": parts["test"],
        "in no part": parts.get("none", 0),
        **{kind: summary.periodicity[n] for n, kind in SYSTEMS.items()},
        **{f"with {label}": count for label, count in summary.labelled.items()},
        "labelled": coverage(summary),
        "labels": origin.labels,
        "level of theory": origin.level_of_theory,
        "licence": origin.licence,
        "source": origin.source,
        "citation": origin.citation,
        "checksum": origin.checksum,
        "suspicious": summary.suspicious,
    }
