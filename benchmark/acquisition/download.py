"""Getting one file's bytes: over HTTP with resume, retries and backoff, or from the local disk.

What they should be is verified elsewhere.

Bytes go into a `.part` file beside the wanted one. It survives a broken connection, an interrupt and a killed
process, and the next attempt asks the server for the rest of it.
"""

from __future__ import annotations

import http.client
import random
import re
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from benchmark.cli.progress import Bar
from bmt.errors import DataError

BLOCK = 1 << 18
RETRIED = (408, 425, 429)  # beside all 5xx: the server asks to come again


@dataclass(frozen=True, slots=True)
class Patience:
    """How many files to ask for at a time, how long to wait for a server, and how often to ask again."""

    jobs: int = 4
    """Files at a time."""
    timeout: float = 30.0
    """Seconds without a byte after which a connection is given up."""
    attempts: int = 5
    """Attempts in a row that may bring nothing new before the file is given up."""
    first_wait: float = 1.0
    """Seconds before the second attempt; doubled for each further one, and multiplied by a random factor of
    .5 to 1.
    """
    longest_wait: float = 60.0


class UnavailableError(DataError):
    """A file cannot be had from its source now."""


class FetchStoppedError(Exception):
    """The fetch was asked to stop (interrupted, or the disk is full)."""


class _AgainError(Exception):
    """A fault that another attempt may not meet."""

    def __init__(self, reason: str, wait: float = 0.0, connected: bool = True) -> None:
        super().__init__(reason)
        self.wait, self.connected = wait, connected


class Network:
    """HTTP for one fetch.

    It remembers hosts that could not be reached, so that 18 files do not wait for the same dead host in turn.
    """

    def __init__(self, patience: Patience, stop: threading.Event | None = None) -> None:
        self.patience, self.stop = patience, stop or threading.Event()
        self._unreachable: dict[str, str] = {}
        self._jitter = random.Random()  # its own: nobody's seed is touched

    def text(self, url: str) -> str:
        """A small text file (a manifest). Raises UnavailableError."""
        chunks: list[bytes] = []

        def attempt() -> bool:
            chunks.clear()
            with _open(url, {}, self.patience.timeout) as response:
                chunks.append(_read(response, -1))
                _check_length(response, len(chunks[0]))
            return True

        self._persist(url, attempt, lambda: 0)
        try:
            return b"".join(chunks).decode()
        except UnicodeDecodeError:
            raise UnavailableError(f"{url}: it is no UTF-8 text") from None

    def download(self, url: str, part: Path, meter: Bar) -> bool:
        """Bring `part` up to the whole file at `url`, continuing where an earlier attempt ended.

        Returns:
            True when it came in one piece of announced length: if its digest is wrong then, so is the file at
                the source.

        Raises:
            UnavailableError: with the last reason. FetchStoppedError. OSError: the local disk fails.
        """
        before = _size(part)
        whole = self._persist(url, lambda: self._attempt(url, part, meter), lambda: _size(part))
        return whole and not before

    def _persist(self, url: str, attempt: Callable[[], bool], size: Callable[[], int]) -> bool:
        """Call `attempt` until it succeeds; give up after `attempts` in a row that did not bring `size`
        beyond its best.
        """
        host = urlsplit(url).netloc
        best, failures, first = size(), 0, True
        while True:
            if self.stop.is_set():
                raise FetchStoppedError
            if host in self._unreachable:
                raise UnavailableError(self._unreachable[host])
            try:
                return attempt() and first
            except _AgainError as error:
                reached, first = size(), False
                failures = 1 if reached > best else failures + 1
                best = max(best, reached)
                if failures >= self.patience.attempts:
                    if not error.connected:
                        self._unreachable[host] = str(error)
                    raise UnavailableError(f"{error} ({failures} attempts)") from None
                self.stop.wait(self._delay(failures, error.wait))

    def _delay(self, failures: int, retry_after: float) -> float:
        backoff = self.patience.first_wait * 2 ** (failures - 1) * self._jitter.uniform(0.5, 1.0)
        return min(max(backoff, retry_after), self.patience.longest_wait)

    def _attempt(self, url: str, part: Path, meter: Bar) -> bool:
        start = _size(part)
        try:
            response = _open(url, {"Range": f"bytes={start}-"} if start else {}, self.patience.timeout)
        except _RangeRefusedError as refused:
            if refused.total == start:
                return False  # it was complete already; whether it is the right file, its digest will tell
            part.unlink()
            raise _AgainError("the server refused to continue the partial file") from None
        with response:
            follows = response.status == 206
            if follows and not (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
                part.unlink(missing_ok=True)
                raise _AgainError(
                    f"the server sent the range {response.headers.get('Content-Range')!r} instead of bytes "
                    f"{start}-"
                )
            length = response.headers.get("Content-Length")
            kept = start if follows else 0
            meter.resume_at(kept, kept + int(length) if length and length.isdigit() else None)
            with part.open("ab" if follows else "wb") as stream:
                received = _pour(lambda: _read(response, BLOCK), stream, meter, self.stop)
            _check_length(response, received)
        return length is not None


def copy(source: Path, part: Path, meter: Bar, stop: threading.Event) -> None:
    """Copy a local file to `part`.

    Raises:
        UnavailableError: `source` cannot be read. FetchStoppedError. OSError: `part` cannot be written.
    """
    try:
        reader = source.open("rb")
    except OSError as error:
        raise UnavailableError((error.strerror or str(error)).lower()) from None
    with reader, part.open("wb") as stream:
        meter.resume_at(0, source.stat().st_size)
        _pour(lambda: reader.read(BLOCK), stream, meter, stop)


def _pour(read: Callable[[], bytes], stream: BinaryIO, meter: Bar, stop: threading.Event) -> int:
    """Write what `read` gives until it gives nothing; the number of bytes."""
    received = 0
    while block := read():
        stream.write(block)
        stream.flush()  # a full disk shows here, not in a later close
        received += len(block)
        meter.advance(len(block))
        if stop.is_set():
            raise FetchStoppedError
    return received


class _RangeRefusedError(Exception):
    def __init__(self, total: int | None) -> None:
        self.total = total


def _open(url: str, headers: dict[str, str], timeout: float) -> Any:
    """The response to a GET, redirects followed.

    Raises _AgainError, UnavailableError or _RangeRefusedError.
    """
    # Without `identity` some servers mark a .gz as an encoding and send it unpacked.
    headers = {"Accept-Encoding": "identity", "User-Agent": "bmt-fetch", **headers}
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and "Range" in headers:
                total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range") or "")
                raise _RangeRefusedError(int(total[1]) if total else None) from None
            # a redirect without end has a reason of two lines
            reason = f"HTTP {error.code} {' '.join(str(error.reason).split())}"
            if error.code >= 500 or error.code in RETRIED:
                retry_after = error.headers.get("Retry-After") or ""
                raise _AgainError(reason, float(retry_after) if retry_after.isdigit() else 0.0) from None
            raise UnavailableError(reason) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise UnavailableError(
                f"the certificate of {urlsplit(url).netloc} is not valid: {error.reason.verify_message}"
            ) from None
        raise _AgainError(_words(error.reason, url, timeout), connected=False) from None
    except (OSError, http.client.HTTPException) as error:
        raise _AgainError(_words(error, url, timeout)) from None


def _read(response: Any, n: int) -> bytes:
    """At most `n` bytes as they come (all for -1). Raises _AgainError."""
    try:
        return bytes(response.read() if n < 0 else response.read1(n))
    except (OSError, http.client.HTTPException) as error:
        raise _AgainError(_words(error, response.url, None)) from None


def _check_length(response: Any, received: int) -> None:
    length = response.headers.get("Content-Length")
    if length and length.isdigit() and received < int(length):
        raise _AgainError(f"the connection closed after {received} of {length} bytes")


def _words(error: object, url: str, timeout: float | None) -> str:
    """A network fault in words."""
    host = urlsplit(url).netloc
    if isinstance(error, TimeoutError):
        return f"{host} sent nothing for {timeout:g} s" if timeout else f"{host} stalled"
    if isinstance(error, socket.gaierror):
        return f"the host name {urlsplit(url).hostname} is not known here (no network?)"
    if isinstance(error, http.client.IncompleteRead):
        return f"the connection closed after {len(error.partial)} bytes"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{host}: {' '.join(str(text).split())}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
