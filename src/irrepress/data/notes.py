"""Notes on what was noticed or changed when reading a source, counted by kind.

A note is a short sentence without file and frame, such as "virial taken as -stress x volume", so
that the same thing in many frames is a single note. Texts should not contain numbers that differ
between frames, which would make each a separate note.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# The limit keeps store and log small; more kinds indicate another problem.
_MOST_KINDS = 50
_OTHERS = "other remarks, which are not listed"


@dataclass(frozen=True)
class Note:
    """One kind of remark.

    Attributes:
        text: a sentence on what was noticed or done, without file and frame.
        count: number of occurrences.
        first: file and frame of the first occurrence; for a frame that was left out, also the
            reason.

    Example:
        >>> print(Note("D taken as hydrogen", count=2, first="a.xyz: frame 0"))
        D taken as hydrogen (2 times, first in a.xyz: frame 0)
    """

    text: str
    count: int
    first: str

    def __str__(self) -> str:
        times = "once," if self.count == 1 else f"{self.count:,} times, first"
        return f"{self.text} ({times} in {self.first})"


class Notes:
    """Counts remarks by text, in the order of their first occurrence.

    Example:
        >>> notes = Notes()
        >>> notes.add("D taken as hydrogen", "a.xyz: frame 0")
        >>> notes.add("D taken as hydrogen", "a.xyz: frame 7")
        >>> [str(note) for note in notes]
        ['D taken as hydrogen (2 times, first in a.xyz: frame 0)']
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, text: str, where: str, times: int = 1) -> None:
        """Count a remark.

        Args:
            text: text of the note; see `Note`.
            where: file and frame of the first of them.
            times: number of occurrences.
        """
        if text not in self._found and len(self._found) >= _MOST_KINDS:
            text = _OTHERS
        count, first = self._found.get(text, (0, where))
        self._found[text] = (count + times, first)

    def __iter__(self) -> Iterator[Note]:
        return (Note(text, count, first) for text, (count, first) in self._found.items())

    def __len__(self) -> int:
        return len(self._found)


def log_notes(notes: Iterable[Note], logger: logging.Logger) -> None:
    """Log every note as a warning, for the user to judge."""
    for note in notes:
        logger.warning("%s", note)
