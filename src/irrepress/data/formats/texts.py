"""Text files as lines and as UTF-8, from several encodings."""

import codecs
import io
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from irrepress.core.errors import UserError

# Maximum bytes per line; a comment line of extended XYZ has some hundred.
MOST_LINE = 1 << 24
# Bytes to decode ahead.
_BUFFER = 1 << 20


def lines_of(stream: BinaryIO, where: str) -> Iterator[bytes]:
    """Yield the lines of a text with line ends, of at most `MOST_LINE` bytes.

    Args:
        stream: the text.
        where: the name of the text in messages.

    Raises:
        UserError: if a line is longer, which would fill the memory.
    """
    while line := stream.readline(MOST_LINE):
        if len(line) == MOST_LINE and not line.endswith(b"\n"):
            raise UserError(
                f"{where}: a line is longer than {MOST_LINE >> 20} MiB; this is not a text file of "
                "structures, set format to the right one"
            )
        yield line


# Byte-order marks at the beginning of a text, and their encodings.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def encoding_of(head: bytes) -> str | None:
    """Return the encoding given by a byte-order mark; None if there is none."""
    marks = _BYTE_ORDER_MARKS.items()
    return next((encoding for mark, encoding in marks if head.startswith(mark)), None)


def in_utf8(head: bytes) -> bytes:
    """Return the beginning of a text in UTF-8 and without a byte-order mark."""
    encoding = encoding_of(head)
    if encoding is None:
        return head
    return codecs.getincrementaldecoder(encoding)("replace").decode(head).encode()


def text_in_utf8(stream: BinaryIO) -> BinaryIO:
    """Return a text as UTF-8 without a byte-order mark, which editors and shells may have written.

    Args:
        stream: text in UTF-8, or in UTF-16 or UTF-32 with their marks. One of `DAMAGE` is raised
            if it is damaged at its beginning.
    """
    # BufferedReader only needs a readable stream.
    buffered = (
        stream
        if isinstance(stream, io.BufferedReader)
        else io.BufferedReader(cast(io.RawIOBase, stream))
    )
    encoding = encoding_of(buffered.peek(4)[:4])
    if encoding is None:
        return buffered
    if encoding == "utf-8-sig":
        buffered.read(len(codecs.BOM_UTF8))
        return buffered
    return io.BufferedReader(_Recoded(buffered, encoding), _BUFFER)


class _Recoded(io.RawIOBase):
    """A text stream, recoded to UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str):
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ahead = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ahead:
            data = self._stream.read(_BUFFER)
            self._ahead = self._decoder.decode(data, final=not data).encode()
            if not data:
                break
        taken = self._ahead[: len(buffer)]
        buffer[: len(taken)] = taken
        self._ahead = self._ahead[len(taken) :]
        return len(taken)
