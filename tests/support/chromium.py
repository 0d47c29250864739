"""A headless Chromium for tests, driven over its pipe (DevTools protocol): how a page is laid out, what it
says, what it asks for.

    with Browser() as browser:
        page = browser.open(path, width=390, height=844, dark=True)
        page.evaluate("document.documentElement.scrollWidth")

Looks for chromium, chromium-browser or google-chrome; `find()` is None where there is none.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "about:blank",
)


def find() -> str | None:
    """The browser's path."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


ON_3_AND_4 = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
# The browser reads commands from descriptor 3 and writes answers to 4.


@dataclass(slots=True)
class Page:
    """An open page. requests: what it asked for; messages: what it wrote to the console, errors included."""

    browser: Browser
    session: str
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON."""
        found = self.browser.call(
            "Runtime.evaluate", self.session, expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and let go of a key, as `Tab` or `Enter`."""
        code = {"Tab": 9, "Enter": 13}[key]
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.browser.call(
                "Input.dispatchKeyEvent",
                self.session,
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **text,
            )

    def screenshot(self, path: Path, top: float = 0, height: float | None = None) -> None:
        """The page (or `height` pixels of it from `top`) as PNG."""
        size = self.browser.call("Page.getLayoutMetrics", self.session)["cssContentSize"]
        tall = min(height or size["height"], size["height"] - top)
        clip = {"x": 0, "y": top, "width": size["width"], "height": tall, "scale": 1}
        shot = self.browser.call(
            "Page.captureScreenshot", self.session, captureBeyondViewport=True, clip=clip
        )
        path.write_bytes(base64.b64decode(shot["data"]))

    def accessibility(self) -> list[dict[str, Any]]:
        """The nodes that a screen reader sees: {role, name, level}."""
        nodes = self.browser.call("Accessibility.getFullAXTree", self.session)["nodes"]
        seen = []
        for node in nodes:
            if not node.get("ignored"):
                levels = [
                    entry["value"]["value"]
                    for entry in node.get("properties", [])
                    if entry["name"] == "level"
                ]
                seen.append(
                    {
                        "role": node["role"]["value"],
                        "name": node.get("name", {}).get("value", ""),
                        "level": (levels or [None])[0],
                    }
                )
        return seen


class Browser:
    """A browser with a profile of its own, gone when the block ends."""

    def __enter__(self) -> Browser:
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        own_read, its_write = os.pipe()
        its_read, own_write = os.pipe()
        command = [sys.executable, "-S", "-c", ON_3_AND_4, str(its_read), str(its_write)]
        command += [find() or "", f"--user-data-dir={self._profile}", *OPTIONS]
        with open(Path(self._profile) / "log", "wb") as log:
            self._process = subprocess.Popen(
                command, pass_fds=(its_read, its_write), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        os.close(its_read)
        os.close(its_write)
        self._reader, self._writer, self._number = os.fdopen(own_read, "rb"), os.fdopen(own_write, "wb"), 0
        self._rest, self._pages = b"", dict[str, Page]()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()  # the browser ends with its pipe
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, path: Path, width: int, height: int, dark: bool = False, phone: bool = False) -> Page:
        """Load a file in a window of this size."""
        target = self.call("Target.createTarget", None, url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", None, targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable", session)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            session,
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", session, features=[scheme])
        self.call("Page.navigate", session, url=path.absolute().as_uri())
        page.evaluate(
            "new Promise(done => document.readyState == 'complete' ? done() : addEventListener('load', () "
            "=> done()))"
        )
        return page

    def call(self, method: str, session: str | None, **parameters: Any) -> Any:
        """One command and its answer; what happens meanwhile is noted with its page."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        self._writer.write(json.dumps(message).encode() + b"\0")
        self._writer.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._note(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._reader.fileno(), 1 << 16)
            assert more, (Path(self._profile) / "log").read_text(errors="replace")[-2000:]
            self._rest += more
        line, self._rest = self._rest.split(b"\0", 1)
        return json.loads(line)

    def _note(self, event: dict[str, Any]) -> None:
        page, told = self._pages.get(event.get("sessionId", "")), event.get("params", {})
        if page is None:
            return
        if event["method"] == "Network.requestWillBeSent":
            page.requests.append(told["request"]["url"])
        elif event["method"] == "Log.entryAdded":
            page.messages.append(told["entry"]["text"])
        elif event["method"] == "Runtime.consoleAPICalled":
            page.messages.append(str([argument.get("value") for argument in told["args"]]))
        elif event["method"] == "Runtime.exceptionThrown":
            page.messages.append(told["exceptionDetails"]["text"])
