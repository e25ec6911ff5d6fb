"""A runtime that dies when it runs."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from bridge.artifact import Artifact
from bridge.formats import ONNX
from bridge.validators.runtime import Arrays, Runtime, Session


class Deadly(Runtime):
    """Opens ONNX files, and does not survive a run of one."""

    name = "deadly"
    title = "dies when it runs"
    formats = (ONNX,)
    packages = ("onnxruntime",)

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        return _DeadlySession(artifact.signature)


class _DeadlySession(Session):
    def _run(self, inputs: Arrays) -> NoReturn:
        os.kill(os.getpid(), signal.SIGSEGV)
        raise AssertionError("it survived")
