"""Errors caused by users, and suggestions for misspelt names."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """An error that the user can fix: bad input, a bad config, a missing package.

    The message is one or two sentences that name the file or key, the value, and the fix.
    The command line and the workflow's scripts print it without a traceback.

    Example:
        >>> raise UserError("study.yaml: seed: -1 is negative; give 0 or more")
        Traceback (most recent call last):
            ...
        irrepress.core.errors.UserError: study.yaml: seed: -1 is negative; give 0 or more
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint with the closest known name and all known names.

    Args:
        name: what the user wrote.
        known: the names that are valid.

    Returns:
        Text such as ``"did you mean 'taylor'? Known: fisher, taylor"``.

    Example:
        >>> nearest("tayler", ["taylor", "fisher"])
        "did you mean 'taylor'? Known: fisher, taylor"
    """
    known = sorted(known)
    # Names that differ only in case are closest.
    lower = {each.lower(): each for each in reversed(known)}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    hint = f"did you mean '{lower[close[0]]}'? " if close else ""
    return f"{hint}Known: {', '.join(known)}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def explained(what: str, mend: str) -> Iterator[None]:
    """Turn whatever goes wrong in code of another package into an error that the user can fix.

    For code that fails anywhere and in many ways, such as a constructor that is given a wrong
    setting or a damaged file's content.

    Args:
        what: what cannot be done; the first line of the error follows in brackets.
        mend: what to do about it.

    Raises:
        UserError: if an exception was raised; a `UserError` passes unchanged.

    Example:
        >>> with explained("config: cannot build a network", "correct it"):
        ...     raise ValueError("no width")
        Traceback (most recent call last):
            ...
        irrepress.core.errors.UserError: config: cannot build a network (no width); correct it
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{what} ({first_line(error)}); {mend}") from error
