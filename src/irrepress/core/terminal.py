"""Output that is readable in any terminal encoding, and a terminal for progress bars.

Only one process at a time draws bars.
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
# Replacements for characters that Unicode does not decompose into ASCII.
_STAND_INS = {"×": "x", "·": "*", "→": "->", "−": "-", "–": "-", "—": "-", "…": "...", "ø": "o"}


def readable(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks by readable ones, such as ``A`` for ``Å``.

    This is an error handler of `codecs`, registered under the name `READABLE`.
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
    """Make standard output and error replace characters that their encodings lack."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None if closed, another type in tests
            stream.reconfigure(errors=READABLE)


def encodes(text: str) -> bool:
    """Return whether standard output can print a string without replacements."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def draw_on(descriptor: int) -> None:
    """Draw on the terminal of a file descriptor instead of standard error from now on.

    This is for processes whose standard error is a log file. It has no effect if the descriptor is
    not a terminal. The encoding is that of standard error.
    """
    global _device, _encoding
    if os.isatty(descriptor):
        _device = os.ttyname(descriptor)
        _encoding = getattr(sys.stderr, "encoding", None) or "utf-8"


def draws_elsewhere() -> bool:
    """Return whether bars are drawn on a terminal other than standard error."""
    return _device is not None


@contextmanager
def claimed() -> Iterator[Console | None]:
    """Yield the console to draw on.

    It is None without a terminal, or if another process is drawing on the same one, because bars of
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
