"""Conversions that end badly, at a stage of their choice; they run in a worker."""

from __future__ import annotations

import os
import signal
import time

from bridge.hop import HopResult, HopTask
from bridge.outcome import Stage

STAGES = (Stage.LOAD, Stage.LOWER, Stage.SERIALIZE, Stage.COMPARE)


def _die(task: HopTask, at: Stage) -> HopResult:
    for stage in STAGES[: STAGES.index(at) + 1]:
        task.enter(stage)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def die_in_load(task: HopTask) -> HopResult:
    """Enter the first stage and die."""
    return _die(task, Stage.LOAD)


def die_in_lower(task: HopTask) -> HopResult:
    """Enter the stages up to lowering and die."""
    return _die(task, Stage.LOWER)


def die_in_serialize(task: HopTask) -> HopResult:
    """Enter the stages up to writing and die."""
    return _die(task, Stage.SERIALIZE)


def die_in_compare(task: HopTask) -> HopResult:
    """Enter all stages and die in the last."""
    return _die(task, Stage.COMPARE)


DYING = dict(
    zip(STAGES, (die_in_load, die_in_lower, die_in_serialize, die_in_compare), strict=True)
)


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
