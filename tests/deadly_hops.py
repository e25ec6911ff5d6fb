"""Conversions that end badly, at a stage of their choice; they run in a worker."""

from __future__ import annotations

import os
import signal
import time

from bridge.hop import HopResult, HopTask
from bridge.outcome import Stage

STAGES = (Stage.LOAD, Stage.LOWER, Stage.SERIALIZE, Stage.COMPARE)


def die(task: HopTask) -> HopResult:
    """Enter the stages in order and die in the one that the option ``at`` names."""
    for stage in STAGES:
        task.enter(stage)
        if stage == task.options["at"]:
            os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("no such stage")


def hang(task: HopTask) -> HopResult:
    """Never end."""
    task.enter(Stage.LOWER)
    time.sleep(600)
    raise AssertionError("nobody stopped it")


def write_nothing(task: HopTask) -> HopResult:
    """End well, without a file."""
    assert task.source is not None
    return HopResult(signature=task.source.signature)


def write_something_else(task: HopTask) -> HopResult:
    """End well, with a file of no format."""
    assert task.source is not None
    task.out.write_bytes(b"this is no ONNX file, whatever its name says")
    return HopResult(signature=task.source.signature)
