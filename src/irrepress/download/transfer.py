"""HTTP transfer of a file to a partial file that later runs can resume."""

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
_CHECKED = 1 << 26  # bytes between checks of the free space
_MOST_DIGITS = 18

# 202: figshare's response while it retrieves a file from cold storage, or suspects a robot.
RETRIED = frozenset({202, 408, 425, 429, 500, 502, 503, 504})

# Magic bytes by suffix, to detect error pages early.
MAGIC = {
    ".zip": b"PK",
    ".gz": b"\x1f\x8b",
    ".tgz": b"\x1f\x8b",
    ".bz2": b"BZh",
    ".xz": b"\xfd7zXZ\x00",
}

HEADERS = {
    "User-Agent": f"irrepress/{__version__}",
    # No compression, because size and checksum refer to the file itself.
    "Accept-Encoding": "identity",
}

Show = Callable[[int, int | None], None]


class AddressError(Exception):
    """Raised if an address does not provide the file; another one may.

    Attributes:
        no_network: whether its host never responded.

    Example:
        >>> AddressError("HTTP 404 Not Found").no_network
        False
    """

    def __init__(self, reason: str, no_network: bool = False):
        super().__init__(reason)
        self.no_network = no_network


class _Interrupted(Exception):
    """Raised if a transfer was interrupted and may be retried.

    Attributes:
        heard: whether the host responded.
        wait: seconds to wait, if the host requests it.
        slow: whether bytes were received, but too slowly to count.
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

    An interrupted transfer is resumed (HTTP Range). One that would never finish is stopped; see
    `patience`.

    Args:
        url: address (http or https).
        partial: the partial file.
        size: length of the file in bytes, if known.
        blind_resume: whether to resume without a validator, because the checksum is known.
        retries: number of further attempts after one without new bytes.
        timeout: timeout in seconds without receiving data.
        show: called with the number of bytes so far and in total, if known.

    Raises:
        AddressError: if this address does not provide the file.
        UserError: if it cannot be written.
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
                # A host that never responded is probably unreachable: do not wait long for each
                # mirror.
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
    """Request the missing bytes; return a response with status 200, 206 or 416."""
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
    """Write the body of a response to the partial file."""
    chunks = _body(response, timeout)
    most = size or patience.LARGEST
    if response.status_code == 200:
        total = _number(response.headers.get("Content-Length"))
        first = _beginning(chunks)
        # Check everything before discarding bytes of an earlier attempt.
        _check_first(response, first, partial.target.name)
        if None not in (size, total) and size != total:
            raise AddressError(f"the remote file has {total:,} bytes instead of {size:,}")
        if total is not None and total > most:
            raise AddressError(f"the remote file has {total:,} bytes, which is unreasonable")
        partial.restart(_validator(response.headers), total)
        partial.check_room(size)
        partial.append(first)
    else:
        begin, total = _content_range(response)
        if response.status_code == 416 and total == partial.size:
            return
        if begin != partial.size or (partial.total is not None and total != partial.total):
            partial.restart()
            raise _Interrupted("the remote file has changed")
        partial.total = total
        partial.check_room()
    show(partial.size, partial.total)
    for chunk in chunks:
        if partial.size + len(chunk) > (partial.total or most):
            partial.restart()
            raise AddressError(f"more than {partial.total or most:,} bytes were received")
        partial.append(chunk)
        show(partial.size, partial.total)
        if partial.total is None and size is None and partial.size % _CHECKED < len(chunk):
            partial.check_reserve()
    if partial.total is not None and partial.size < partial.total:
        raise _Interrupted(f"the transfer was interrupted at byte {partial.size:,}")


def _body(response: requests.Response, timeout: float) -> Iterator[bytes]:
    """Yield the bytes as sent, without decoding Content-Encoding: gzip."""
    pace = Pace()
    try:
        # Bytes are read as they arrive: on a slow line, waiting for a full chunk may take forever.
        while data := response.raw.read1(CHUNK, decode_content=False):
            yield data
            if (rate := pace.too_slow(len(data))) is not None:
                raise _Interrupted(
                    f"only {rate:.0f} bytes per second were received over {patience.WINDOW:.0f} s",
                    slow=True,
                )
    except HTTPError as error:
        raise _Interrupted(_reason(error, timeout)) from error


def _beginning(chunks: Iterator[bytes]) -> bytes:
    """Return the beginning of a body, enough to recognise its kind."""
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) >= _BEGINNING:
            break
    return data


def _check_first(response: requests.Response, first: bytes, name: str) -> None:
    """Reject web pages (a login, an error) and anything else that is not the file."""
    page = response.headers.get("Content-Type", "").startswith("text/html")
    if page or first.lstrip()[:1] == b"<":
        raise AddressError("a web page was received instead of the file (a login or an error page)")
    if not first:
        raise AddressError("an empty file was received")
    magic = MAGIC.get(Path(name).suffix, b"")
    if not first.startswith(magic):
        raise AddressError(f"the received data are not a {Path(name).suffix} file")


def _validator(headers: Mapping[str, str]) -> str | None:
    """Return the value for If-Range: a strong ETag, otherwise the modification date."""
    etag = headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("Last-Modified")


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """Return first byte and total length from ``bytes 5-9/10`` or ``bytes */10``."""
    text = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)", text)
    return (_number(match[1]), _number(match[2])) if match else (None, None)


def _number(text: str | None) -> int | None:
    if not text or not text.isdecimal():
        return None
    if len(text) > _MOST_DIGITS:
        raise AddressError(f"the length that it sent has {len(text):,} digits")
    return int(text)


def _wished_wait(response: requests.Response) -> float | None:
    try:
        wait = Retry().get_retry_after(response.raw)
        return None if wait is None else float(wait)
    except (HTTPError, ValueError, OverflowError):  # neither a number nor a valid date
        return None


def _reason(error: Exception, timeout: float) -> str:
    root = _root(error)
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {timeout:g} s"
    if isinstance(error, requests.Timeout) or isinstance(root, ReadTimeoutError):
        return f"no data for {timeout:g} s"
    if isinstance(root, NameResolutionError):
        return "the name of its host cannot be resolved"
    if isinstance(root, IncompleteRead):
        return "the transfer was interrupted"
    if isinstance(root, OSError):
        return f"the connection failed ({root.strerror or root})"
    return str(root)


def _root(error: BaseException) -> BaseException:
    """Return the innermost exception wrapped by requests and urllib3."""
    while True:
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        inner = next((a for a in error.args if isinstance(a, BaseException)), inner)
        known = isinstance(error, NameResolutionError | ReadTimeoutError | IncompleteRead)
        if known or not isinstance(inner, BaseException):
            return error
        error = inner
