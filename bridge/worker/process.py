"""One worker process: started on first use, kept for the whole job, replaced when it dies."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from ..outcome import Stage, Symptom
from .failure import WorkFailure, failure
from .limits import Limits

_CHILD = Path(__file__).with_name("child.py")
_POLL_SECONDS = 0.2
_LOG_TAIL = 2000


class WorkerProcess:
    """A process that runs functions by name, one at a time.

    Args:
        python: Interpreter to start.
        path: Folders to add to its import path; none for a toolchain.
        environment: Its environment variables; ``None`` for a copy of ours.

    Attributes:
        turn: Held by the thread whose job it runs.
    """

    def __init__(
        self,
        *,
        python: str = sys.executable,
        path: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as we do
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._ended = False
        self._process = subprocess.Popen(
            [python, "-P", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            env=environment,
            start_new_session=True,  # a Ctrl-C in the terminal is ours to handle
        )
        self._preloads = 0
        self.turn = threading.Lock()
        self._send({"path": list(path)})
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can take a job."""
        return self._process.poll() is None

    def preload(self, modules: Sequence[str]) -> None:
        """Let it import modules before there is a job for them; what fails then fails again."""
        self._send(
            {"function": "bridge.worker.preload:preload", "arguments": {"modules": list(modules)}}
        )
        self._preloads += 1

    def call(
        self,
        function: str,
        arguments: dict[str, Any],
        *,
        limits: Limits,
        first_stage: Stage = Stage.LOAD,
        progress: Callable[[str], None] = lambda text: None,
    ) -> dict[str, Any]:
        """Run ``function`` ("module:name") with JSON arguments and return its JSON result.

        Raises:
            WorkFailure: It raised, crashed, hung or outgrew its memory; the worker is dead after
                all of these but the first.
        """
        self._send({"function": function, "arguments": arguments})
        try:
            return self._follow(limits, first_stage, progress)
        except WorkFailure:
            raise
        except BaseException:
            self._end()  # the answer of an abandoned job would be taken for that of the next
            raise

    def _follow(
        self, limits: Limits, stage: Stage, progress: Callable[[str], None]
    ) -> dict[str, Any]:
        """Take messages until the result."""
        end = time.monotonic() + limits.seconds
        while True:
            self._enforce(limits, end, stage)
            try:
                message = self._messages.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if message is None:
                raise self._death(stage)
            if "stage" in message:
                stage = Stage(message["stage"])
            elif "progress" in message:
                progress(message["progress"])
            elif self._preloads and ("error" in message or "result" in message):
                self._preloads -= 1
            elif "error" in message:
                raise failure(message["error"], stage)
            else:
                result: dict[str, Any] = message["result"]
                return result

    def close(self) -> None:
        """End the process at once, and whatever it started."""
        self._end()
        if self._process.stdin:
            # a broken pipe on closing is the death that was asked for
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._log.close()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if hasattr(os, "killpg"):  # its children too: a fork of it holds its streams open
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        # a dead worker shows as the end of its messages, with the signal that killed it
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        # a process that dies while it writes leaves half a line
        with self._process.stdout as answers, contextlib.suppress(ValueError):
            for line in answers:
                self._messages.put(json.loads(line))
        self._messages.put(None)

    def _enforce(self, limits: Limits, end: float, stage: Stage) -> None:
        if not self.alive:
            self._end()  # what it said before is still to come, and then the end of its messages
        if time.monotonic() > end:
            self._end()
            raise WorkFailure(
                f"no result after {limits.seconds:g} s",
                stage=stage,
                symptom=Symptom.TIMEOUT,
                hint="a longer time limit is set with --timeout",
            )
        if limits.memory is not None and (used := self._resident_bytes()) > limits.memory:
            self._end()
            raise WorkFailure(
                f"it used {used / 2**20:.0f} MiB, more than the {limits.memory / 2**20:.0f} MiB "
                "allowed",
                stage=stage,
                symptom=Symptom.OUT_OF_MEMORY,
            )

    def _resident_bytes(self) -> int:
        import psutil

        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def _death(self, stage: Stage) -> WorkFailure:
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may have closed its stream only
            self._process.wait(_POLL_SECONDS)
        self._end()
        code = self._process.wait()
        self._log.seek(0)
        tail = self._log.read()[-_LOG_TAIL:].decode(errors="replace").strip()
        if code < 0:
            how = f"killed by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        return WorkFailure(
            f"the worker process was {how}" if code < 0 else f"the worker process {how}",
            stage=stage,
            symptom=Symptom.CRASH,
            traceback=tail,
        )
