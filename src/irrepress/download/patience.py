"""Limits on a server: time for its answer, time for the body, and bytes on the disk.

A timeout counts from byte to byte, so a server that sends one now and then never exceeds it. The
limits are generous: whatever exceeds them would not have ended.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter

# Seconds that the head of an answer may take, and over which the rate of the body is averaged.
WINDOW = 60.0
# Bytes a second; a modem of 1990 was faster.
LEAST_RATE = 1000.0
# Bytes. No file that a config can name comes near it.
LARGEST = 10**12


class Pace:
    """Watches how fast bytes come."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._count = 0

    def too_slow(self, count: int) -> float | None:
        """Count bytes that came; at the end of a window, return the rate if it is too low.

        Returns:
            Bytes a second on average over `WINDOW`, or None if all is well.
        """
        self._count += count
        passed = time.monotonic() - self._begin
        if passed < WINDOW:
            return None
        rate, self._begin, self._count = self._count / passed, time.monotonic(), 0
        return rate if rate < LEAST_RATE else None


class ImpatientAdapter(HTTPAdapter):
    """Ends connections whose answer has no end of its head within `WINDOW`."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return a pool whose connections do not wait for ever; see `HTTPAdapter`."""
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        if not issubclass(pool.ConnectionCls, _Impatient):
            kind = type(pool.ConnectionCls.__name__, (_Impatient, pool.ConnectionCls), {})
            pool.ConnectionCls = kind
        return pool


class _Impatient:
    """Mixed into a connection of urllib3."""

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
