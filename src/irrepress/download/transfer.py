"""One file over HTTP, into a partial file that a later run can go on with."""

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError, IncompleteRead, NameResolutionError, ReadTimeoutError
from urllib3.util import Retry

from irrepress import __version__
from irrepress.download import patience
from irrepress.download.partial_file import CHUNK, PartialFile
from irrepress.download.patience import ImpatientAdapter, Pace

logger = logging.getLogger(__name__)

BACKOFF = 1.0
LONGEST_WAIT = 300.0
_BEGINNING = 512  # bytes
_CHECKED = 1 << 26  # bytes after which the room on the disk is looked at
_MOST_DIGITS = 18

# 202: figshare's answer while it fetches a file from cold storage, or suspects a robot.
RETRIED = frozenset({202, 408, 425, 429, 500, 502, 503, 504})

# Beginnings of files, by the end of their names: they reveal an error page at its first bytes.
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
        slow: bytes came, but so slowly that they do not count.
    """

    def __init__(
        self, reason: str, *, heard: bool = True, wait: float | None = None, slow: bool = False
    ):
        super().__init__(reason)
        self.heard = heard
        self.wait = wait
        self.slow = slow


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

    A transfer that breaks off goes on where it stopped (HTTP Range). One that would not end is
    ended; see `patience`.

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
        for scheme in ("http://", "https://"):
            session.mount(scheme, ImpatientAdapter())
        while not partial.complete:
            try:
                with _ask(session, url, partial, blind_resume, timeout) as response:
                    heard = True
                    _receive(response, partial, size, timeout, show)
                return
            except _Interrupted as interruption:
                heard = heard or interruption.heard
                came = partial.size > furthest and not interruption.slow
                fruitless = 0 if came else fruitless + 1
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
    most = size or patience.LARGEST
    if response.status_code == 200:
        total = _number(response.headers.get("Content-Length"))
        first = _beginning(chunks)
        # All checks come before bytes of an earlier attempt are given up.
        _check_first(response, first, partial.target.name)
        if None not in (size, total) and size != total:
            raise AddressError(f"the file there has {total:,} bytes in place of {size:,}")
        if total is not None and total > most:
            raise AddressError(f"the file there has {total:,} bytes, which cannot be meant")
        partial.restart(_validator(response.headers), total)
        partial.check_room(size)
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
        if partial.size + len(chunk) > (partial.total or most):
            partial.restart()
            raise AddressError(f"more than {partial.total or most:,} bytes came, without an end")
        partial.append(chunk)
        show(partial.size, partial.total)
        if partial.total is None and size is None and partial.size % _CHECKED < len(chunk):
            partial.check_reserve()
    if partial.total is not None and partial.size < partial.total:
        raise _Interrupted(f"the transfer broke off at byte {partial.size:,}")


def _body(response: requests.Response, timeout: float) -> Iterator[bytes]:
    """Yield the bytes as they are sent: an archive with Content-Encoding: gzip stays one."""
    pace = Pace()
    try:
        # Bytes are taken as they arrive: on a slow line, waiting for a whole chunk may not end.
        while data := response.raw.read1(CHUNK, decode_content=False):
            yield data
            if (rate := pace.too_slow(len(data))) is not None:
                raise _Interrupted(
                    f"{rate:.0f} bytes a second came over {patience.WINDOW:.0f} s, which would "
                    "not end",
                    slow=True,
                )
    except HTTPError as error:
        raise _Interrupted(_reason(error, timeout)) from error


def _beginning(chunks: Iterator[bytes]) -> bytes:
    """Return enough of a body to recognise its kind, or all of it."""
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) >= _BEGINNING:
            break
    return data


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
    """Return the value for If-Range: a strong ETag, else the date of the last change."""
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
    if not text or not text.isdecimal():
        return None
    if len(text) > _MOST_DIGITS:
        raise AddressError(f"it says that the file's length has {len(text):,} digits")
    return int(text)


def _wished_wait(response: requests.Response) -> float | None:
    try:
        wait = Retry().get_retry_after(response.raw)
        return None if wait is None else float(wait)
    except (HTTPError, ValueError, OverflowError):  # neither a number nor a date that can be meant
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
    """Return the innermost of the exceptions that requests and urllib3 wrap."""
    while True:
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        inner = next((a for a in error.args if isinstance(a, BaseException)), inner)
        known = isinstance(error, NameResolutionError | ReadTimeoutError | IncompleteRead)
        if known or not isinstance(inner, BaseException):
            return error
        error = inner
