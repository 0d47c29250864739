"""A server on 127.0.0.1 that misbehaves as told, and remembers what it was asked."""

from __future__ import annotations

import os
import re
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock

Behaviour = Callable[["Handler", bytes], None]


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients that go away are part of the tests


class FileServer:
    """`files` by path; `script[path]`: behaviours of the next requests for it, after which it serves well.
    `requests`: (path, Range).
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.script: dict[str, deque[Behaviour]] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.silent: set[Any] = set()
        self.patience: set[float] = set()
        self.released = threading.Event()
        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.files = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def will(self, path: str, *behaviours: Behaviour) -> None:
        self.script[path] = deque(behaviours)

    def ranges(self, path: str) -> list[str | None]:
        return [asked for name, asked in self.requests if name == path]


@contextmanager
def no_wait_in_vain(server: FileServer) -> Iterator[None]:
    """Clients of this process time out as soon as the server is silent, and never because a machine is busy."""
    real = socket.socket.recv_into

    def recv_into(self: socket.socket, *arguments: Any) -> int:
        if (timeout := self.gettimeout()) is not None:
            server.patience.add(timeout)
        while True:
            silent = (
                self.fileno() >= 0 and self.getsockname() in server.silent
            )  # before the look at what came
            if select.select([self], [], [], 0 if silent else 0.005)[0]:
                return real(self, *arguments)
            if silent:
                raise TimeoutError("timed out")

    with mock.patch.object(socket.socket, "recv_into", recv_into):
        yield


@contextmanager
def running() -> Iterator[FileServer]:
    server = FileServer()
    thread = threading.Thread(
        target=server._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    before = os.environ.get("no_proxy")
    os.environ["no_proxy"] = "127.0.0.1"
    try:
        with no_wait_in_vain(server):
            yield server
    finally:
        server.released.set()
        server._server.shutdown()
        server._server.server_close()
        thread.join()
        os.environ.pop("no_proxy")
        if before is not None:
            os.environ["no_proxy"] = before


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: FileServer = self.server.files  # type: ignore[attr-defined]
        server.requests.append((self.path, self.headers.get("Range")))
        script = server.script.get(self.path)
        behaviour = script.popleft() if script else served()
        if self.path not in server.files and not script and behaviour.__name__ == "serve":
            behaviour = status(404)
        behaviour(self, server.files.get(self.path, b""))

    def log_message(self, *args: object) -> None:
        pass

    def begin(self, body: bytes, ranges: bool = True) -> bytes:
        """Send the head of the right answer; returns the body to send."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "") if ranges else None
        if asked and int(asked[1]) >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return b""
        start = int(asked[1]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        return body[start:]


def served(instead: bytes | None = None, ranges: bool = True) -> Behaviour:
    def serve(handler: Handler, body: bytes) -> None:
        handler.wfile.write(handler.begin(body if instead is None else instead, ranges))

    return serve


def truncated(n: int, ranges: bool = True) -> Behaviour:
    def truncate(handler: Handler, body: bytes) -> None:
        handler.wfile.write(handler.begin(body, ranges)[:n])

    return truncate


def stalled(n: int) -> Behaviour:
    def stall(handler: Handler, body: bytes) -> None:
        handler.wfile.write(handler.begin(body)[:n])
        handler.wfile.flush()
        server: FileServer = handler.server.files  # type: ignore[attr-defined]
        server.silent.add(handler.client_address)
        server.released.wait()

    return stall


def reset(n: int) -> Behaviour:
    """Send `n` bytes, then abort the connection with a TCP reset."""

    def abort(handler: Handler, body: bytes) -> None:
        rest = handler.begin(body)
        handler.wfile.write(rest[:n])
        handler.wfile.flush()
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    return abort


def without_length(n: int | None = None) -> Behaviour:
    def send(handler: Handler, body: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(body[:n])

    return send


def wrong_range() -> Behaviour:
    def send(handler: Handler, body: bytes) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 1-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(body) - 1))
        handler.end_headers()
        handler.wfile.write(body[1:])

    return send


def status(code: int, **headers: str) -> Behaviour:
    def send(handler: Handler, body: bytes) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return send


def redirected(to: str) -> Behaviour:
    return status(302, Location=to)


def nonsense() -> Behaviour:
    def send(handler: Handler, body: bytes) -> None:
        handler.wfile.write(b"no HTTP at all\r\n\r\n")

    return send
