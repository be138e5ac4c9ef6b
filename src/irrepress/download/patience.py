"""Limits on servers: time to respond, transfer rate, and size.

A timeout applies to each read, so a server that sends occasional bytes never exceeds it. The limits
are generous: anything beyond them would practically never finish.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter

# Seconds for the header of a response, and for averaging the rate of the body.
WINDOW = 60.0
# Bytes per second; a modem of 1990 was faster.
LEAST_RATE = 1000.0
# Bytes; far larger than any file in the catalogue.
LARGEST = 10**12


class Pace:
    """Monitors the rate of a transfer.

    Example:
        >>> pace = Pace()
        >>> pace.too_slow(100) is None  # too early to tell
        True
    """

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._count = 0

    def too_slow(self, count: int) -> float | None:
        """Count received bytes; at the end of a window, return the rate if it is too low.

        Returns:
            The average rate in bytes per second over `WINDOW` if it is too low, otherwise None.
        """
        self._count += count
        passed = time.monotonic() - self._begin
        if passed < WINDOW:
            return None
        rate, self._begin, self._count = self._count / passed, time.monotonic(), 0
        return rate if rate < LEAST_RATE else None


class ImpatientAdapter(HTTPAdapter):
    """Closes connections whose response header is incomplete after `WINDOW`.

    Example:
        >>> import requests
        >>> session = requests.Session()
        >>> session.mount("https://", ImpatientAdapter())
        >>> type(session.get_adapter("https://example.org")).__name__
        'ImpatientAdapter'
    """

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return a pool of connections with a time limit; see `HTTPAdapter`."""
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        if not issubclass(pool.ConnectionCls, _Impatient):
            kind = type(pool.ConnectionCls.__name__, (_Impatient, pool.ConnectionCls), {})
            pool.ConnectionCls = kind
        return pool


class _Impatient:
    """A mixin for connections of urllib3."""

    def getresponse(self, *args: Any, **kwargs: Any) -> Any:
        timer = threading.Timer(WINDOW, self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            return super().getresponse(*args, **kwargs)  # type: ignore[misc]
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        connection = getattr(self, "sock", None)
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
