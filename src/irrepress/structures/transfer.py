"""One file over HTTP, into a partial file that a later run can go on with."""

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

import requests
from urllib3.exceptions import HTTPError, IncompleteRead, NameResolutionError, ReadTimeoutError
from urllib3.util import Retry

from irrepress import __version__
from irrepress.errors import UserError
from irrepress.files import write_json

logger = logging.getLogger(__name__)

CHUNK = 1 << 18
BACKOFF = 1.0
LONGEST_WAIT = 300.0

# 202: figshare's answer while it fetches a file from cold storage, or suspects a robot.
RETRIED = frozenset({202, 408, 425, 429, 500, 502, 503, 504})

# What files begin with, by the end of their names: an error page is noticed at its first bytes.
MAGIC = {
    ".zip": b"PK",
    ".gz": b"\x1f\x8b",
    ".tgz": b"\x1f\x8b",
    ".bz2": b"BZh",
    ".xz": b"\xfd7zXZ\x00",
}

HEADERS = {
    "User-Agent": f"irrepress/{__version__}",
    # The bytes of the file itself are wanted: their number and their checksum are known.
    "Accept-Encoding": "identity",
}

Show = Callable[[int, int | None], None]


class AddressError(Exception):
    """An address does not give the file; another one may.

    Attributes:
        no_network: nothing was ever heard from its host.
    """

    def __init__(self, reason: str, no_network: bool = False):
        super().__init__(reason)
        self.no_network = no_network


class _Interrupted(Exception):
    """A transfer ended early and is worth another attempt.

    Attributes:
        heard: the host answered.
        wait: seconds to wait, if the host asks for it.
    """

    def __init__(self, reason: str, *, heard: bool = True, wait: float | None = None):
        super().__init__(reason)
        self.heard = heard
        self.wait = wait


class Digests:
    """Several checksums of the same bytes, SHA-256 always among them."""

    def __init__(self, algorithms: Iterable[str] = ()):
        self._hashes = {
            name: hashlib.new(name, usedforsecurity=False) for name in {"sha256", *algorithms}
        }

    def update(self, data: bytes) -> None:
        """Take in the next bytes."""
        for digest in self._hashes.values():
            digest.update(data)

    def results(self) -> dict[str, str]:
        """Return algorithm -> hexadecimal text."""
        return {name: digest.hexdigest() for name, digest in self._hashes.items()}


def digest_file(path: Path, algorithms: Iterable[str] = ()) -> dict[str, str]:
    """Return the checksums of a file, read once: algorithm -> hexadecimal text.

    Raises:
        UserError: the file cannot be read.
    """
    digests = Digests(algorithms)
    try:
        with path.open("rb") as stream:
            while data := stream.read(CHUNK):
                digests.update(data)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return digests.results()


class PartialFile:
    """``NAME.partial`` beside the file that it is to become.

    ``NAME.partial.json`` says what the bytes belong to: the validator that the server named
    with them (an ETag or a date), so that a file that changed meanwhile is not patched
    together, and the length of the whole. Both outlive a killed process. While one process has
    it open, others that want the same file wait.

    Attributes:
        size: bytes that are there.
        total: length of the whole, if the server said so.
        validator: value for ``If-Range``, if the server gave any.

    Raises:
        UserError: the directory or the file cannot be written to.
    """

    def __init__(self, target: Path, algorithms: Iterable[str] = ()):
        self.target = target
        self.path = target.with_name(f"{target.name}.partial")
        self._note = target.with_name(f"{target.name}.partial.json")
        self._algorithms = tuple(algorithms)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._stream = _open_locked(self.path)
            self.size = self._stream.seek(0, os.SEEK_END)
        except OSError as error:
            raise self._unwritable(error) from error
        self.validator, self.total = self._read_note()
        # Bytes of an earlier run are hashed when it is known that they are of use.
        self._digests = None if self.size else Digests(self._algorithms)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.size and self.path.exists():
            self._note.unlink(missing_ok=True)
            self.path.unlink()
        self._stream.close()

    @property
    def complete(self) -> bool:
        """Whether all bytes are there, as far as the length of the whole is known."""
        return self.total is not None and self.size == self.total

    def restart(self, validator: str | None = None, total: int | None = None) -> None:
        """Begin anew, with what the server says of the file now."""
        try:
            self._stream.truncate(0)
            self._stream.seek(0)
        except OSError as error:
            raise self._unwritable(error) from error
        self.size, self.validator, self.total = 0, validator, total
        self._digests = Digests(self._algorithms)
        # The note is there before the bytes are: bytes without their validator are worthless.
        write_json(self._note, {"validator": validator, "total": total})

    def append(self, data: bytes) -> None:
        """Add bytes at the end; they are the system's when this returns, whatever happens next."""
        digests = self._known_digests()
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
        except OSError as error:
            raise self._unwritable(error) from error
        digests.update(data)
        self.size += len(data)

    def check_room(self) -> None:
        """Check that the rest of the file fits on the disk.

        Raises:
            UserError: it does not.
        """
        missing = (self.total or 0) - self.size
        free = shutil.disk_usage(self.path.parent).free
        if missing > free:
            raise UserError(
                f"{self.target}: {missing / 1e9:.2f} GB are still to come, but the disk has only "
                f"{free / 1e9:.2f} GB free; free some, a rerun goes on where this one stopped"
            )

    def results(self) -> dict[str, str]:
        """Return the checksums of what is there: algorithm -> hexadecimal text."""
        return self._known_digests().results()

    def finish(self) -> None:
        """Give the file its final name."""
        try:
            os.fsync(self._stream.fileno())
            # A disk that lost bytes, or a second writer where locks do not work.
            if self.path.stat().st_size != self.size:
                raise OSError(f"{self.path} holds other bytes than were written")
            os.replace(self.path, self.target)
        except OSError as error:
            raise self._unwritable(error) from error
        self._note.unlink(missing_ok=True)

    def _known_digests(self) -> Digests:
        if self._digests is None:
            digests = Digests(self._algorithms)
            self._stream.seek(0)
            while data := self._stream.read(CHUNK):
                digests.update(data)
            self._digests = digests
        return self._digests

    def _read_note(self) -> tuple[str | None, int | None]:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            return note["validator"], note["total"]
        except (OSError, ValueError, KeyError, TypeError):
            return None, None

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"{self.target}: cannot be written ({error.strerror or error}); free the place or "
            "choose another downloads.directory, a rerun goes on where this one stopped"
        )


def fetch(
    url: str,
    partial: PartialFile,
    *,
    size: int | None,
    blind_resume: bool,
    retries: int,
    timeout: float,
    show: Show,
) -> None:
    """Complete a partial file from one address.

    A transfer that breaks off goes on where it stopped (HTTP Range).

    Args:
        url: http or https.
        partial: what is there already.
        size: length of the right file in bytes, if known.
        blind_resume: go on even if the server gives no validator, because a checksum will tell.
        retries: further attempts after one that brought no bytes that were not there before.
        timeout: seconds without a byte that end an attempt.
        show: called with the bytes that are there and the length of the whole.

    Raises:
        AddressError: this address does not give the file.
        UserError: the disk does not take it.
    """
    fruitless, furthest, heard = 0, partial.size, False
    with requests.Session() as session:
        session.headers.update(HEADERS)
        while not partial.complete:
            try:
                with _ask(session, url, partial, blind_resume, timeout) as response:
                    heard = True
                    _receive(response, partial, size, timeout, show)
                return
            except _Interrupted as interruption:
                heard = heard or interruption.heard
                fruitless = 0 if partial.size > furthest else fruitless + 1
                furthest = max(furthest, partial.size)
                # A host never heard from is probably out of reach: no long wait for each mirror.
                if fruitless > (retries if heard else min(retries, 1)):
                    raise AddressError(str(interruption), no_network=not heard) from interruption
                wait = interruption.wait
                if wait is None:
                    wait = min(BACKOFF * 2 ** max(fruitless - 1, 0), LONGEST_WAIT)
                if wait > LONGEST_WAIT:
                    raise AddressError(f"{interruption}, and asks to wait {wait:.0f} s") from None
                logger.info("%s: %s; again in %.0f s", url, interruption, wait)
                time.sleep(wait)


def _ask(
    session: requests.Session, url: str, partial: PartialFile, blind: bool, timeout: float
) -> requests.Response:
    """Ask for what is missing; return a response with status 200, 206 or 416."""
    headers = {}
    if partial.size and (partial.validator or blind):
        headers["Range"] = f"bytes={partial.size}-"
        if partial.validator:
            headers["If-Range"] = partial.validator
    try:
        response = session.get(url, headers=headers, stream=True, timeout=timeout)
    except requests.exceptions.SSLError as error:
        raise AddressError(f"its certificate is not accepted ({_root(error)})") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        heard = isinstance(error, requests.ReadTimeout)
        raise _Interrupted(_reason(error, timeout), heard=heard) from error
    except requests.RequestException as error:
        raise AddressError(str(error)) from error
    if response.status_code in (200, 206, 416):
        return response
    with response:
        answer = f"HTTP {response.status_code} {response.reason}"
        if response.status_code in RETRIED:
            raise _Interrupted(answer, wait=_wished_wait(response))
        raise AddressError(answer)


def _receive(
    response: requests.Response,
    partial: PartialFile,
    size: int | None,
    timeout: float,
    show: Show,
) -> None:
    """Take in the body of a response, at the place where it belongs."""
    chunks = _body(response, timeout)
    if response.status_code == 200:
        total = _number(response.headers.get("Content-Length"))
        first = next(chunks, b"")
        # All checks come before bytes of an earlier attempt are given up.
        _check_first(response, first, partial.target.name)
        if None not in (size, total) and size != total:
            raise AddressError(f"the file there has {total:,} bytes in place of {size:,}")
        partial.restart(_validator(response.headers), total)
        partial.check_room()
        partial.append(first)
    else:
        begin, total = _content_range(response)
        if response.status_code == 416 and total == partial.size:
            return
        if begin != partial.size or (partial.total is not None and total != partial.total):
            partial.restart()
            raise _Interrupted("the file there is not the one that was begun")
        partial.total = total
        partial.check_room()
    show(partial.size, partial.total)
    for chunk in chunks:
        partial.append(chunk)
        show(partial.size, partial.total)
    if partial.total is not None and partial.size < partial.total:
        raise _Interrupted(f"the transfer broke off at byte {partial.size:,}")


def _body(response: requests.Response, timeout: float) -> Iterator[bytes]:
    """Yield the bytes as they are sent: an archive with Content-Encoding: gzip stays one."""
    try:
        yield from response.raw.stream(CHUNK, decode_content=False)
    except HTTPError as error:
        raise _Interrupted(_reason(error, timeout)) from error


def _check_first(response: requests.Response, first: bytes, name: str) -> None:
    """Refuse a web page (a login, an error) or anything else that is not the archive."""
    page = response.headers.get("Content-Type", "").startswith("text/html")
    if page or first.lstrip()[:1] == b"<":
        raise AddressError("a web page came in place of the file (a login or an error page)")
    if not first:
        raise AddressError("an empty file came")
    magic = MAGIC.get(Path(name).suffix, b"")
    if not first.startswith(magic):
        raise AddressError(f"what came is no {Path(name).suffix} file")


def _validator(headers: Mapping[str, str]) -> str | None:
    """Return what If-Range may hold: a strong ETag, else the date of the last change."""
    etag = headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("Last-Modified")


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """Return first byte and length of the whole from ``bytes 5-9/10``, or from ``bytes */10``."""
    text = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)", text)
    return (_number(match[1]), _number(match[2])) if match else (None, None)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _wished_wait(response: requests.Response) -> float | None:
    try:
        return Retry().get_retry_after(response.raw)
    except HTTPError:  # neither a number nor a date
        return None


def _reason(error: Exception, timeout: float) -> str:
    root = _root(error)
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {timeout:g} s"
    if isinstance(error, requests.Timeout) or isinstance(root, ReadTimeoutError):
        return f"no byte for {timeout:g} s"
    if isinstance(root, NameResolutionError):
        return "the name of its host is not known here"
    if isinstance(root, IncompleteRead):
        return "the transfer broke off"
    if isinstance(root, OSError):
        return f"the connection failed ({root.strerror or root})"
    return str(root)


def _root(error: BaseException) -> BaseException:
    """Return what lies at the bottom of the exceptions that requests and urllib3 wrap."""
    while True:
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        inner = next((a for a in error.args if isinstance(a, BaseException)), inner)
        known = isinstance(error, NameResolutionError | ReadTimeoutError | IncompleteRead)
        if known or not isinstance(inner, BaseException):
            return error
        error = inner


def _open_locked(path: Path) -> FileIO:
    """Open a file for reading and writing, unbuffered, and wait until no other process has it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        stream = os.fdopen(handle, "r+b", buffering=0)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("%s: waiting for another process that downloads it", path)
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks; `finish` checks the length
        try:
            # The other process may have renamed or removed the file that was waited for.
            if os.path.samestat(os.fstat(handle), path.stat()):
                return stream
        except FileNotFoundError:
            pass
        stream.close()
