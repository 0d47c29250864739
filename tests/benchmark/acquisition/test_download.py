"""Transfers: resume, retries and what ends them, against a server that misbehaves."""

from __future__ import annotations

import errno
import random
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.acquisition import download
from benchmark.acquisition.download import FetchStoppedError, Network, Patience, UnavailableError, copy
from tests.support.file_server import (
    FileServer,
    nonsense,
    redirected,
    reset,
    running,
    served,
    stalled,
    status,
    truncated,
    without_length,
    wrong_range,
)
from tests.support.silent_bar import silent_bar

BODY = bytes(range(256)) * 8  # 2,048 bytes


class Waits(threading.Event):
    """A stop signal that notes how long it was asked to wait, and waits not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return self.is_set()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running() as server:
        server.files["/f"] = BODY
        yield server


@pytest.fixture
def network() -> Network:
    return Network(Patience(timeout=60.0, attempts=4, first_wait=1.0, longest_wait=5.0), Waits())


def waits(network: Network) -> list[float]:
    assert isinstance(network.stop, Waits)
    return network.stop.seconds


def test_a_file_comes_in_one_request(server: FileServer, network: Network, tmp_path: Path):
    meter = silent_bar()
    assert network.download(f"{server.url}/f", tmp_path / "part", meter) is True
    assert (tmp_path / "part").read_bytes() == BODY
    assert (server.ranges("/f"), meter.count, meter.total, waits(network)) == ([None], 2048, 2048, [])


@pytest.mark.parametrize("fault", [truncated, stalled, reset])
def test_a_broken_connection_is_continued(fault, server: FileServer, network: Network, tmp_path: Path):
    server.will("/f", fault(700))
    assert network.download(f"{server.url}/f", tmp_path / "part", silent_bar()) is False
    assert (tmp_path / "part").read_bytes() == BODY
    first, second = server.ranges("/f")
    # a reset may throw away bytes on their way
    assert first is None and (second == "bytes=700-" or (fault is reset and second in (None, "bytes=700-")))


def test_a_partial_file_of_an_earlier_run_is_continued(server: FileServer, network: Network, tmp_path: Path):
    (tmp_path / "part").write_bytes(BODY[:1500])
    meter = silent_bar()
    assert network.download(f"{server.url}/f", tmp_path / "part", meter) is False
    assert (tmp_path / "part").read_bytes() == BODY
    assert server.ranges("/f") == ["bytes=1500-"]
    assert (meter.count, meter.total, meter.first) == (2048, 2048, 1500)


@pytest.mark.parametrize(
    "behaviour", [served(ranges=False), wrong_range()], ids=["ignores ranges", "another range"]
)
def test_a_server_without_ranges_sends_the_whole_again(
    behaviour, server: FileServer, network: Network, tmp_path: Path
):
    (tmp_path / "part").write_bytes(b"x" * 1500)
    server.will("/f", behaviour)
    meter = silent_bar()
    assert network.download(f"{server.url}/f", tmp_path / "part", meter) is False
    assert (tmp_path / "part").read_bytes() == BODY
    assert (meter.count, meter.total, meter.first) == (2048, 2048, 0)


def test_a_complete_partial_file_is_left_and_one_too_long_begins_again(
    server: FileServer, network: Network, tmp_path: Path
):
    (tmp_path / "part").write_bytes(BODY)
    assert network.download(f"{server.url}/f", tmp_path / "part", silent_bar()) is False
    assert (tmp_path / "part").read_bytes() == BODY
    (tmp_path / "part").write_bytes(BODY + b"more")
    assert network.download(f"{server.url}/f", tmp_path / "part", silent_bar()) is False
    assert (tmp_path / "part").read_bytes() == BODY
    assert server.ranges("/f") == ["bytes=2048-", "bytes=2052-", None]


def test_server_errors_are_retried_with_growing_jittered_waits(
    server: FileServer, network: Network, tmp_path: Path
):
    server.will("/f", status(500), status(503), nonsense())
    assert network.download(f"{server.url}/f", tmp_path / "part", silent_bar()) is False
    assert (tmp_path / "part").read_bytes() == BODY
    assert len(server.requests) == 4
    assert [
        low <= wait <= high
        for (low, high), wait in zip([(0.5, 1), (1, 2), (2, 4)], waits(network), strict=True)
    ] == [True] * 3


def test_waits_differ_and_touch_nobodys_random_numbers(network: Network):
    state = random.getstate()
    waits = [network._delay(2, 0.0) for _ in range(40)]
    assert all(1.0 <= wait <= 2.0 for wait in waits) and max(waits) - min(waits) > 0.25
    assert random.getstate() == state


def test_retry_after_is_heeded_up_to_the_longest_wait(server: FileServer, network: Network, tmp_path: Path):
    server.will("/f", status(429, Retry_After="3"), status(503, Retry_After="3600"))
    network.download(f"{server.url}/f", tmp_path / "part", silent_bar())
    assert waits(network) == [3.0, 5.0]


@pytest.mark.parametrize("code", [408, 425, 429, 500, 599])
def test_a_server_that_asks_to_come_again_is_asked_again(
    code: int, server: FileServer, network: Network, tmp_path: Path
):
    """Also where it names a date to come again at, which is not heeded."""
    server.will("/f", status(code, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"))
    network.download(f"{server.url}/f", tmp_path / "part", silent_bar())
    [wait] = waits(network)
    assert 0.5 <= wait <= 1 and (tmp_path / "part").read_bytes() == BODY


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (401, "HTTP 401 Unauthorized"),
        (403, "HTTP 403 Forbidden"),
        (404, "HTTP 404 Not Found"),
        (410, "HTTP 410 Gone"),
        (416, "HTTP 416 Requested Range Not Satisfiable"),
    ],
)
def test_refusals_are_final(code: int, reason: str, server: FileServer, network: Network, tmp_path: Path):
    server.will("/f", status(code))
    with pytest.raises(UnavailableError) as caught:
        network.download(f"{server.url}/f", tmp_path / "part", silent_bar())
    assert str(caught.value) == reason
    assert len(server.requests) == 1
    assert not (tmp_path / "part").exists()


def test_a_redirect_keeps_the_range(server: FileServer, network: Network, tmp_path: Path):
    (tmp_path / "part").write_bytes(BODY[:100])
    server.will("/old", redirected("/f"))
    network.download(f"{server.url}/old", tmp_path / "part", silent_bar())
    assert (tmp_path / "part").read_bytes() == BODY
    assert server.requests == [("/old", "bytes=100-"), ("/f", "bytes=100-")]


def test_a_redirect_without_end_is_one_line(server: FileServer, network: Network, tmp_path: Path):
    server.will("/f", *[redirected("/f")] * 20)
    with pytest.raises(UnavailableError, match=r"^HTTP 302 .*infinite loop.*$") as caught:
        network.download(f"{server.url}/f", tmp_path / "part", silent_bar())
    assert "\n" not in str(caught.value)


def test_a_redirect_to_the_local_disk_is_refused(server: FileServer, network: Network, tmp_path: Path):
    (tmp_path / "secret").write_bytes(BODY)
    server.will("/f", redirected(f"file://{tmp_path}/secret"))
    with pytest.raises(UnavailableError, match=r"^HTTP 302 .*not allowed$"):
        network.download(f"{server.url}/f", tmp_path / "part", silent_bar())
    assert not (tmp_path / "part").exists()


def test_attempts_without_progress_end(server: FileServer, network: Network, tmp_path: Path):
    server.will("/f", *[truncated(700, ranges=False)] * 9)
    with pytest.raises(
        UnavailableError, match=r"^the connection closed after 700 of 2048 bytes \(4 attempts\)$"
    ):
        network.download(f"{server.url}/f", tmp_path / "part", silent_bar())
    assert len(server.requests) == 4
    assert (tmp_path / "part").read_bytes() == BODY[:700]


def test_progress_is_what_goes_beyond_the_best_so_far(server: FileServer, network: Network, tmp_path: Path):
    """A server without ranges breaks off now earlier, now later: no attempt brings anything new."""
    server.will("/f", *[truncated(n, ranges=False) for n in (700, 500) * 5])
    with pytest.raises(UnavailableError, match=r"\(4 attempts\)$"):
        network.download(f"{server.url}/f", tmp_path / "part", silent_bar())
    assert len(server.requests) == 4


def test_a_host_that_answers_is_asked_for_the_next_file_too(
    server: FileServer, network: Network, tmp_path: Path
):
    server.will("/f", *[status(503)] * 4)
    with pytest.raises(UnavailableError, match=r"^HTTP 503 Service Unavailable \(4 attempts\)$"):
        network.download(f"{server.url}/f", tmp_path / "f", silent_bar())
    server.files["/g"] = BODY
    assert network.download(f"{server.url}/g", tmp_path / "g", silent_bar()) is True


def test_attempts_that_progress_do_not_count(server: FileServer, network: Network, tmp_path: Path):
    server.will("/f", *[truncated(200)] * 10)
    network.download(f"{server.url}/f", tmp_path / "part", silent_bar())
    assert (tmp_path / "part").read_bytes() == BODY
    assert server.ranges("/f")[-1] == "bytes=2000-"
    assert len(server.requests) == 11


def test_a_silent_server_is_given_up(server: FileServer, network: Network, tmp_path: Path):
    server.will("/f", *[stalled(0)] * 4)
    with pytest.raises(UnavailableError, match=r"stalled \(4 attempts\)$"):
        network.download(f"{server.url}/f", tmp_path / "part", silent_bar())
    assert server.patience == {60.0}


def test_a_body_of_unknown_length_cannot_be_called_whole(
    server: FileServer, network: Network, tmp_path: Path
):
    server.will("/f", without_length())
    assert network.download(f"{server.url}/f", tmp_path / "part", silent_bar()) is False
    assert (tmp_path / "part").read_bytes() == BODY


def test_a_dead_host_is_waited_for_once(network: Network, tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    for file in "ab":
        with pytest.raises(UnavailableError, match="Connection refused"):
            network.download(f"{url}/{file}", tmp_path / file, silent_bar())
    assert len(waits(network)) == 3  # four attempts for the first file, none for the second


def test_an_unknown_host_is_named(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(
        UnavailableError,
        match=r"^the host name mrqa\.example is not known here \(no network\?\) \(4 attempts\)$",
    ):
        network.download("http://mrqa.example/f", tmp_path / "part", silent_bar())


def test_what_is_asked_for_is_the_file_as_it_lies_there(monkeypatch: pytest.MonkeyPatch):
    """Not packed anew for the way, which would give a .gz another digest."""
    asked: list[tuple[urllib.request.Request, float]] = []
    monkeypatch.setattr(
        urllib.request, "urlopen", lambda request, timeout: asked.append((request, timeout)) or "response"
    )
    assert download._open("http://host/f", {"Range": "bytes=3-"}, 7.0) == "response"
    [(request, timeout)] = asked
    assert (request.full_url, timeout) == ("http://host/f", 7.0)
    assert dict(request.header_items()) == {
        "Accept-encoding": "identity",
        "User-agent": "bmt-fetch",
        "Range": "bytes=3-",
    }


def test_a_certificate_that_is_not_valid_is_final(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired"

    def fail(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError(error)

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(
        UnavailableError, match=r"^the certificate of host:8443 is not valid: certificate has expired$"
    ):
        network.download("https://host:8443/f", tmp_path / "part", silent_bar())
    assert waits(network) == []


def test_a_fault_of_the_network_is_told_in_words():
    for error, timeout, words in (
        (TimeoutError(), 30.0, "host:1 sent nothing for 30 s"),
        (TimeoutError(), None, "host:1 stalled"),
        (socket.gaierror(-2, "Name"), 30.0, "the host name host is not known here (no network?)"),
        (OSError(errno.ENETUNREACH, "Network is\nunreachable"), 30.0, "host:1: Network is unreachable"),
        (ValueError("two\n lines"), 30.0, "host:1: two lines"),
        (ValueError(), 30.0, "host:1: ValueError"),
    ):
        assert download._words(error, "http://host:1/f", timeout) == words


def test_a_stop_leaves_the_partial_file(server: FileServer, network: Network, tmp_path: Path):
    class Interrupting(type(silent_bar())):  # type: ignore[misc]
        def advance(self, n: int = 1, note: str = "") -> None:
            network.stop.set()

    meter = silent_bar()
    meter.__class__ = Interrupting
    with pytest.raises(FetchStoppedError):
        network.download(f"{server.url}/f", tmp_path / "part", meter)
    assert BODY.startswith((tmp_path / "part").read_bytes())
    with pytest.raises(FetchStoppedError):
        network.download(f"{server.url}/f", tmp_path / "part", silent_bar())
    assert len(server.requests) == 1


def test_text_is_retried_and_decoded(server: FileServer, network: Network):
    server.files["/m"] = "größe: 1\n".encode()
    server.will("/m", truncated(4), status(502))
    assert network.text(f"{server.url}/m") == "größe: 1\n"
    server.files["/m"] = b"\xff\xfe"
    with pytest.raises(UnavailableError, match="no UTF-8"):
        network.text(f"{server.url}/m")


def test_a_local_copy_counts_its_bytes_and_a_missing_source_is_unavailable(tmp_path: Path):
    (tmp_path / "a").write_bytes(BODY)
    (tmp_path / "part").write_bytes(b"old")
    meter = silent_bar()
    copy(tmp_path / "a", tmp_path / "part", meter, threading.Event())
    assert ((tmp_path / "part").read_bytes(), meter.count, meter.total) == (BODY, 2048, 2048)
    with pytest.raises(UnavailableError, match=r"^no such file or directory$"):
        copy(tmp_path / "none", tmp_path / "part", meter, threading.Event())
    assert (tmp_path / "part").read_bytes() == BODY
    (stop := threading.Event()).set()
    with pytest.raises(FetchStoppedError):
        copy(tmp_path / "a", tmp_path / "part", meter, stop)


def test_an_error_of_the_disk_is_not_retried(server: FileServer, network: Network, tmp_path: Path):
    with pytest.raises(OSError) as caught:
        network.download(f"{server.url}/f", tmp_path / "no folder" / "part", silent_bar())
    assert (caught.value.errno, len(server.requests)) == (errno.ENOENT, 1)
