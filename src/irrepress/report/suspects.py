"""Sentences about suspicious structures for the page."""

from dataclasses import dataclass

from irrepress.data.summary.suspects import KINDS
from irrepress.report.study import Study
from irrepress.report.text import listing


@dataclass(frozen=True)
class SuspectNote:
    """How many structures look wrong in one way.

    Attributes:
        title: name of the kind.
        meaning: what makes a structure one of this kind, a phrase.
        counts: how many in which dataset, for the datasets that have any.
    """

    title: str
    meaning: str
    counts: str


def suspect_notes(study: Study) -> list[SuspectNote]:
    """Return a note for each kind of suspicious structures, those without any as well."""
    notes = []
    for key, kind in KINDS.items():
        counts = [
            f"{found.count:,} in {name}"
            for name, card in study.data.items()
            for found in card.summary.suspects
            if found.kind == key
        ]
        notes.append(SuspectNote(kind.title, kind.meaning, listing(counts) or "none"))
    return notes
