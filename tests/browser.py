"""A real browser for the tests: Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)


def executable() -> str | None:
    """The browser's command, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab: what it logs, what it asks the network for, and what a user can do in it."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self.socket = socket
        self.sent = 0
        self.complaints: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Performance.enable", timeDomain="threadTicks")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.sent:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        kind, content = message["method"], message["params"]
        if kind == "Runtime.exceptionThrown":
            details = content["exceptionDetails"]
            self.complaints.append(
                details.get("exception", details).get("description", str(details))
            )
        elif kind == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning"):
            self.complaints.append(" ".join(str(each.get("value")) for each in content["args"]))
        elif kind == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
            self.complaints.append(content["entry"]["text"])
        elif kind == "Network.requestWillBeSent":
            self.requests.append(content["request"]["url"])

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; what it throws is an error of the test."""
        got = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in got, got["exceptionDetails"]
        return got["result"].get("value")

    def open(self, file: Path, *, scripts: bool = True, ready: str = "true") -> float:
        """Open a file, wait until an expression is true, and return how many seconds that took."""
        self.complaints.clear()
        self.requests.clear()
        self.call("Page.navigate", url="about:blank")
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        begun = time.perf_counter()
        self.call("Page.navigate", url=file.as_uri())
        self.wait(
            f"document.readyState === 'complete' && location.href !== 'about:blank' && {ready}"
        )
        return time.perf_counter() - begun

    def wait(self, expression: str, seconds: float = 20.0) -> None:
        end = time.perf_counter() + seconds
        while not self.evaluate(expression):
            assert time.perf_counter() < end, f"never came true: {expression}; {self.complaints}"
            time.sleep(0.02)

    def busy(self) -> float:
        """Seconds of processor time that the page's main thread has taken so far."""
        metrics = self.call("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))

    def size(self, width: int, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def scheme(self, name: str) -> None:
        """``light`` or ``dark``."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def drag(self, x: float, y: float, to_x: float) -> None:
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        for step in range(1, 6):
            self.mouse("mouseMoved", x + (to_x - x) * step / 5, y, button="left", buttons=1)
        self.mouse("mouseReleased", to_x, y, button="left", clickCount=1)

    def press(self, *keys: str) -> None:
        codes = {"Enter": (13, "\r"), "Tab": (9, ""), "ArrowDown": (40, ""), "ArrowUp": (38, "")}
        codes |= {"ArrowRight": (39, ""), "ArrowLeft": (37, ""), "Home": (36, ""), "End": (35, "")}
        for key in keys:
            code, text = codes.get(key, (ord(key[0].upper()), key if len(key) == 1 else ""))
            press = {"key": key, "windowsVirtualKeyCode": code, "text": text}
            self.call("Input.dispatchKeyEvent", type="keyDown", **press)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def picture(self, file: Path, *, whole: bool = False) -> None:
        got = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(got["data"]))


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Callable[[], Page]]:
    """Run a browser with an empty profile; what is yielded opens a new tab."""
    command = executable()
    assert command is not None
    process = subprocess.Popen(
        [command, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    sockets = []
    try:
        port = _port(profile / "DevToolsActivePort", process)

        def tab() -> Page:
            with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
                pages = [each for each in json.load(answer) if each["type"] == "page"]
            url = pages[0]["webSocketDebuggerUrl"]
            socket = websocket.create_connection(url, timeout=30)
            sockets.append(socket)
            return Page(socket)

        yield tab
    finally:
        for socket in sockets:
            socket.close()
        process.terminate()
        process.wait(timeout=20)


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    end = time.perf_counter() + 60
    while time.perf_counter() < end:
        if file.is_file() and (text := file.read_text()):
            return int(text.splitlines()[0])
        assert process.poll() is None, f"the browser ended with {process.returncode}"
        time.sleep(0.05)
    raise AssertionError("the browser never said where it listens")
