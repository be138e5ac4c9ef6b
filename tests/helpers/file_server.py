"""A web server on loopback that misbehaves on demand."""

import itertools
import re
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """How one request is answered; the default is what a good server does."""

    status: int | None = None  # in place of 200 or 206; without a body
    headers: dict[str, str] = field(default_factory=dict)  # further ones
    break_at: int | None = None  # the connection ends after so many bytes of the body
    stall_at: int | None = None  # nothing comes after so many bytes of the body
    corrupt: bool = False  # one byte of the body is another
    body: bytes | None = None  # in place of the file
    ranges: bool = True  # whether Range is heeded
    length: bool = True  # whether the length of the body is named
    drip: float | None = None  # seconds from byte to byte of the body, without an end
    drip_head: float | None = None  # the same of the head
    endless: bool = False  # the body is sent again and again


class FileServer:
    """Serves one file under every path.

    Attributes:
        content: the file.
        etag: its validator; None: none is sent.
        answers: how the next requests are answered; then all are answered well.
        requests: path and headers of the requests so far.
    """

    def __init__(self, content: bytes):
        self.content = content
        self.etag: str | None = '"first"'
        self.answers: deque[Answer] = deque()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def ranges(self) -> list[str | None]:
        """The Range headers of the requests so far."""
        return [headers.get("range") for _, headers in self.requests]

    @contextmanager
    def running(self) -> Iterator["FileServer"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {name.lower(): value for name, value in self.headers.items()}
            server.requests.append((self.path, asked))
            answer = server.answers.popleft() if server.answers else Answer()
            if answer.drip_head is not None:
                self._drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50, answer.drip_head)
                return
            if answer.status is not None:
                self._head(answer.status, {"Content-Length": "0", **answer.headers})
                return
            content = server.content if answer.body is None else answer.body
            status, headers, body = _respond(content, server.etag, asked, answer.ranges)
            if answer.length:
                headers["Content-Length"] = str(len(body))
            self._head(status, headers | answer.headers)
            self._body(body, answer)

        def log_message(self, *args: object) -> None:
            pass

        def _head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def _drip(self, data: bytes, pause: float) -> None:
            try:
                for byte in itertools.cycle(data):
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    if server.closing.wait(pause):
                        break
            except OSError:
                pass  # the client went away

        def _body(self, body: bytes, answer: Answer) -> None:
            if answer.corrupt:
                middle = len(body) // 2
                body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
            end = next(
                (end for end in (answer.break_at, answer.stall_at) if end is not None), len(body)
            )
            try:
                self.wfile.write(body[:end])
                self.wfile.flush()
                while answer.endless and not server.closing.is_set():
                    self.wfile.write(body)
                if answer.drip is not None:
                    self._drip(body, answer.drip)
                if answer.stall_at is not None:
                    server.closing.wait(5)
            except OSError:
                pass  # the client went away

    return Handler


def _respond(
    content: bytes, etag: str | None, asked: dict[str, str], ranges: bool
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body for a request, as RFC 9110 says."""
    headers = {} if etag is None else {"ETag": etag}
    match = re.fullmatch(r"bytes=(\d+)-", asked.get("range", "")) if ranges else None
    if match is None or asked.get("if-range", etag) != etag:
        return 200, headers, content
    begin = int(match[1])
    if begin >= len(content):
        return 416, headers | {"Content-Range": f"bytes */{len(content)}"}, b""
    headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
    return 206, headers, content[begin:]
