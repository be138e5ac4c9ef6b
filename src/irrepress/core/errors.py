"""Errors that a user can cause, and the hint of the nearest right name."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something that the user can mend: bad input, bad config, a missing package.

    The message is one sentence or two that name the file or key, the value, and the mend.
    The command line and the workflow's scripts print it without a traceback.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest of the known names, and what is known.

    Args:
        name: what the user wrote.
        known: the names that would have been right.

    Returns:
        Text such as ``"did you mean 'taylor'? Known: fisher, taylor"``.
    """
    known = sorted(known)
    # Names that differ in the case of letters only are the nearest.
    lower = {each.lower(): each for each in reversed(known)}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    hint = f"did you mean '{lower[close[0]]}'? " if close else ""
    return f"{hint}Known: {', '.join(known)}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
