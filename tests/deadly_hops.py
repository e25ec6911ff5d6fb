"""Conversions that end badly, at a stage of their choice; they run in a worker."""

from __future__ import annotations

import os
import re
import signal
import time
import zipfile

from bridge.artifact import Signature
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


def operators_of(task: HopTask) -> set[str]:
    """The operators of a captured program, read without its library."""
    assert task.source is not None
    with zipfile.ZipFile(task.source.path) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith("models/model.json"))
        text = archive.read(name).decode()
    return set(re.findall(r'"torch\.ops\.aten\.(\w+)\.', text))


def die_on_a_pair(task: HopTask) -> HopResult:
    """Die if the program has both a cumulative sum and a sigmoid, as native code may."""
    assert task.source is not None
    task.enter(Stage.LOWER)
    if {"cumsum", "sigmoid"} <= operators_of(task):
        os.kill(os.getpid(), signal.SIGSEGV)
    task.out.write_bytes(b"converted")
    return HopResult(signature=task.source.signature)


def refuse_tanh(task: HopTask) -> HopResult:
    """Raise if an ONNX file has a Tanh."""
    import onnx

    assert task.source is not None
    task.enter(Stage.LOWER)
    nodes = onnx.load(task.source.path).graph.node
    for number, node in enumerate(nodes):
        if node.op_type == "Tanh":
            raise ValueError(
                f"node {number} of {len(nodes)} has no kernel (value {node.output[0]!r})"
            )
    task.out.write_bytes(b"converted")
    return HopResult(signature=task.source.signature)


def refuse_tanh_in_a_module(task: HopTask) -> HopResult:
    """Raise if a live module calls tanh."""
    task.enter(Stage.CAPTURE)
    if "tanh" in str(task.live.module.graph):
        raise ValueError("no tanh here")
    task.out.write_bytes(b"converted")
    return HopResult(signature=Signature(inputs=(), outputs=()))
