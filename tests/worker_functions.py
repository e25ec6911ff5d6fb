"""What the tests of the workers run in one; each takes ``arguments``, ``enter`` and ``say``."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from bridge.errors import MismatchError, UnavailableError, UnsupportedError, UnsupportedOperator
from bridge.hop import HopResult, HopTask
from bridge.outcome import Stage

Enter = Callable[[Stage], None]
Say = Callable[[str], None]
Arguments = dict[str, Any]

IMPORTED_IN = os.getpid()


def echo(arguments: Arguments, enter: Enter, say: Say) -> Any:
    return arguments["value"]


def where(arguments: Arguments, enter: Enter, say: Say) -> dict[str, int]:
    return {"pid": os.getpid(), "imported_in": IMPORTED_IN}


def loaded(arguments: Arguments, enter: Enter, say: Say) -> bool:
    return arguments["module"] in sys.modules


def report(arguments: Arguments, enter: Enter, say: Say) -> str:
    enter(Stage.LOWER)
    say("halfway")
    enter(Stage.SERIALIZE)
    say("nearly: «ü»\nsecond line")
    return "done"


def raise_named(arguments: Arguments, enter: Enter, say: Say) -> NoReturn:
    enter(Stage.LOWER)
    errors: dict[str, BaseException] = {
        "value": ValueError("no such axis"),
        "silent": RuntimeError(),
        "key": KeyError("weight"),
        "memory": MemoryError("cannot allocate 8 GiB"),
        "mismatch": MismatchError("it computes something else", where="net.py:7", hint="do not"),
        "unavailable": UnavailableError("no such package", hint="pip install it"),
        "exit": SystemExit(3),
        "unsupported": UnsupportedError(
            "demo",
            [
                UnsupportedOperator(operator="aten.one", count=3, where="net.py:1", hint="use two"),
                UnsupportedOperator(operator="aten.other", where="net.py:9"),
            ],
        ),
    }
    raise errors[arguments["error"]]


def die(arguments: Arguments, enter: Enter, say: Say) -> NoReturn:
    enter(Stage.LOWER)
    enter(Stage.SERIALIZE)
    sys.stderr.write("about to die\n")
    sys.stderr.flush()
    os.kill(os.getpid(), arguments["signal"])
    raise AssertionError("unreachable")


def dereference_null(arguments: Arguments, enter: Enter, say: Say) -> NoReturn:
    enter(Stage.RUN)
    ctypes.string_at(0)
    raise AssertionError("unreachable")


def exit_at_once(arguments: Arguments, enter: Enter, say: Say) -> NoReturn:
    enter(Stage.RUN)
    os._exit(arguments["code"])


def die_leaving_a_fork(arguments: Arguments, enter: Enter, say: Say) -> NoReturn:
    """A forked child holds all open files, that of the answers too, and outlives its parent."""
    child = os.fork()
    if not child:
        time.sleep(60)
    Path(arguments["file"]).write_text(str(child))
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError("unreachable")


def hang(arguments: Arguments, enter: Enter, say: Say) -> None:
    enter(Stage.RUN)
    time.sleep(60)


def hang_with_a_child(arguments: Arguments, enter: Enter, say: Say) -> None:
    child = subprocess.Popen(["sleep", "60"])
    Path(arguments["file"]).write_text(str(child.pid))
    child.wait()


def hang_talking(arguments: Arguments, enter: Enter, say: Say) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        say("still here")
        time.sleep(0.01)


def hang_regardless(arguments: Arguments, enter: Enter, say: Say) -> str:
    """Code of which every broad ``except`` takes an interruption for its own failure."""
    enter(Stage.CAPTURE)
    try:
        time.sleep(20)
    except Exception:  # noqa: BLE001 - what tracers and exporters do
        return "fell back"
    return "slept"


def grow(arguments: Arguments, enter: Enter, say: Say) -> None:
    enter(Stage.LOWER)
    blocks = []
    for _ in range(60):
        blocks.append(bytearray(os.urandom(1) * (16 << 20)))
        time.sleep(0.02)
    time.sleep(20)


def make_noise(arguments: Arguments, enter: Enter, say: Say) -> str:
    """Print by every way there is, in what looks like the protocol, without and with line ends."""
    print('{"result": "forged"}')
    sys.stdout.write('{"stage": "run"}')
    sys.stdout.flush()
    os.write(1, b'\n{"error": 1}\n\xff\xfe')
    libc = ctypes.CDLL(None)
    libc.printf(b"from C\n")
    libc.fflush(None)
    subprocess.run(["echo", '{"result": "forged by a child"}'], check=True)
    os.write(2, b"x" * 200_000)
    return "genuine"


def read_standard_input(arguments: Arguments, enter: Enter, say: Say) -> str:
    return sys.stdin.read() + os.read(0, 10).decode()


def large(arguments: Arguments, enter: Enter, say: Say) -> dict[str, Any]:
    say("y" * arguments["size"])
    return {"received": len(arguments["value"]), "text": "x" * arguments["size"]}


def die_later(arguments: Arguments, enter: Enter, say: Say) -> str:
    """Answer, and die while idle: what a background thread of a native library may do."""
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGABRT)).start()
    return "answered"


def convert_nothing(task: HopTask) -> HopResult:
    from bridge.artifact import Signature

    task.enter(Stage.SERIALIZE)
    if task.options.get("write"):
        task.out.write_text("model")
    return HopResult(signature=Signature(inputs=(), outputs=()), live="the live form")
