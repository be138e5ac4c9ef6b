"""What is printed: readable in whatever encoding a terminal has, and progress bars on it.

One process at a time draws bars.
"""

import codecs
import fcntl
import io
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

_device: str | None = None
_encoding = "utf-8"

# Name of the error handler of `readable`.
READABLE = "irrepress-readable"
# What stands for characters that Unicode takes apart into none of ASCII.
_STAND_INS = {"×": "x", "·": "*", "→": "->", "−": "-", "–": "-", "—": "-", "…": "...", "ø": "o"}


def readable(error: UnicodeError) -> tuple[str, int]:
    """Put readable characters in the place of those that an encoding lacks: ``A`` for ``Å``.

    It is an error handler of `codecs`, by the name `READABLE`.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    result = []
    for character in error.object[error.start : error.end]:
        parts = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
        if character in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹":
            parts = f"^{parts}" if parts else "^-"
        result.append(_STAND_INS.get(character, parts) or "?")
    return "".join(result), error.end


codecs.register_error(READABLE, readable)


def print_readably() -> None:
    """Print to standard output and error what their encodings have, and readable stand-ins."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None if it was closed, another type in tests
            stream.reconfigure(errors=READABLE)


def encodes(text: str) -> bool:
    """Whether standard output can print a text as it is."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def draw_on(descriptor: int) -> None:
    """Draw on the terminal of a file descriptor from now on, in place of standard error.

    For processes whose standard error goes to a log. Nothing changes if it is no terminal. Its
    encoding is that of standard error.
    """
    global _device, _encoding
    if os.isatty(descriptor):
        _device = os.ttyname(descriptor)
        _encoding = getattr(sys.stderr, "encoding", None) or "utf-8"


def draws_elsewhere() -> bool:
    """Say whether bars are drawn on another device than standard error, such as a log is."""
    return _device is not None


@contextmanager
def claimed() -> Iterator[Console | None]:
    """Give the console to draw on while the block lasts.

    It is None if nobody watches, or if another process draws on the same terminal: bars of
    several jobs would overwrite each other.
    """
    if _device is None:
        console = Console(stderr=True)
        yield console if console.is_terminal else None
        return
    try:
        stream = open(_device, "w", encoding=_encoding, errors=READABLE)
    except OSError:  # the terminal was closed
        yield None
        return
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        yield Console(file=stream, force_terminal=True)
