"""What reading a source noticed and did: said once for every kind, with a count.

A note is a short sentence without file and frame, such as "virial taken as -stress x volume", so
that the same thing in many frames is one note. Where a sentence holds numbers of its own, every
frame would make a note of its own; leave them out, or round them to what frames share.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Who has more kinds has another problem; the store and the log stay small.
_MOST_KINDS = 50
_OTHERS = "other remarks, which are not listed"


@dataclass(frozen=True)
class Note:
    """One kind of remark.

    Attributes:
        text: what was noticed or done, a sentence without file and frame.
        count: how often.
        first: file and frame of the first time; of a frame that was left out, also why.
    """

    text: str
    count: int
    first: str

    def __str__(self) -> str:
        times = "once," if self.count == 1 else f"{self.count:,} times, first"
        return f"{self.text} ({times} in {self.first})"


class Notes:
    """Counts remarks by their texts, in the order of their first occurrence.

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
            text: see `Note`.
            where: file and frame; of several at once, the first.
            times: how many they are.
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
    """Log every note as a warning: what was changed or left out is for the user to judge."""
    for note in notes:
        logger.warning("%s", note)
