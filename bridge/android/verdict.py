"""What a report says of a TFLite artifact, to someone who must decide whether to ship it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..artifact import Artifact
from ..formats import TFLITE
from ..outcome import Symptom
from .tolerance import Drift

_BEFORE_LITERT = (2, 16)  # LiteRT 1.0 came after TensorFlow Lite 2.16
_WORST_FIRST = ("fail", "not run", "inconclusive", "warn", "pass")
_TITLES = {
    "pass": "It computes what the original model computes.",
    "warn": "It drifts more than it should.",
    "inconclusive": "It was compared with too few inputs to be sure.",
    "fail": "It is NOT the same model: do not ship it.",
    "not run": "It was NOT compared with the original model.",
}


def targets_of(report: Mapping[str, Any], artifact: Artifact) -> dict[str, Mapping[str, Any]]:
    """Return the comparisons of an artifact in a report: target → what it says."""
    validation = report.get("validation") or {}
    return {
        name: target
        for name, target in validation.get("targets", {}).items()
        if target["format"] == TFLITE.name and target["sha256"] == artifact.sha256
    }


def refusal(report: Mapping[str, Any], artifact: Artifact) -> str:
    """Say why an artifact should not be handed on, or nothing."""
    if not report.get("validation"):
        return "the model was not compared with its source"
    targets = targets_of(report, artifact)
    if not targets:
        return "the report is not of this model.tflite"
    run = _run(targets)
    if not run:
        return "no runtime of TFLite was available to compare it in"
    reasons = [
        f"{name}: {target['reason'] or target['outcome']['detail'] or target['verdict']}"
        for name, target in run.items()
        if target["verdict"] in ("fail", "not run")
    ]
    return "; ".join(reasons)


def verdict_of(report: Mapping[str, Any], artifact: Artifact) -> tuple[str, str]:
    """Return the verdict on an artifact in a sentence, and the figures that it rests on."""
    targets = targets_of(report, artifact)
    verdicts = {target["verdict"] for target in _run(targets).values()} or {"not run"}
    worst = next(each for each in _WORST_FIRST if each in verdicts)
    figures = [
        f"{target['runtime']}: "
        + (
            ", ".join(
                f"{name} SQNR {_decibels(metrics['sqnr_db'])}, off by at most "
                f"{float(metrics['max_abs']):.2g}"
                for name, metrics in target["outputs"].items()
            )
            or target["reason"]
        )
        for target in targets.values()
    ]
    origin = compared_on(report)
    text = "; ".join(figures) + (f" ({origin})" if figures and origin else "")
    return _TITLES[worst], text


def compared_on(report: Mapping[str, Any]) -> str:
    """Say what inputs a comparison was made on, if there was one."""
    validation: Mapping[str, Any] = report.get("validation") or {}
    return str(validation["inputs"]["origin"]) if validation else ""


def reported_drift(report: Mapping[str, Any], artifact: Artifact) -> dict[str, list[Drift]]:
    """Return the drift of each of an artifact's outputs, on each runtime that it was measured in.

    The report names outputs as the source does; they correspond by their order.
    """
    found: dict[str, list[Drift]] = {spec.name: [] for spec in artifact.signature.outputs}
    for target in targets_of(report, artifact).values():
        if len(target["outputs"]) != len(found):
            continue  # one whose shape was wrong has no figures: it has failed
        for drifts, metrics in zip(found.values(), target["outputs"].values(), strict=True):
            drifts.append(Drift(max_abs=float(metrics["max_abs"]), rmse=float(metrics["rmse"])))
    return found


def gpu_refusal(compatibility: Mapping[str, Any]) -> str:
    """Say which operators CompiledModel's GPU accelerator refuses, or nothing."""
    gpu = compatibility.get("gpu")
    refused = [each for each in gpu["operators"] if not each.get("accelerator")] if gpu else []
    return f"the GPU refuses {_reasons(refused)}" if refused else ""


def where_it_runs(compatibility: Mapping[str, Any]) -> list[str]:
    """Return lines on what runs where, and from which version on."""
    return [
        f"CPU, XNNPACK: {_xnnpack(compatibility.get('xnnpack'))}.",
        f"GPU: {_gpu(compatibility)}.",
        "NNAPI: deprecated since Android 15; do not use it.",
        f"Oldest runtime: {_runtime(compatibility.get('min_runtime') or {})}.",
    ]


def _run(targets: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Those whose runtime is installed."""
    return {
        name: target
        for name, target in targets.items()
        if target["outcome"]["symptom"] != Symptom.UNAVAILABLE
    }


def _xnnpack(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "not known"
    if found.get("reason"):
        return f"not known: {found['reason']}"
    partitions, left = found["partitions"], found["left"]
    taken = sum(len(each["operators"]) for each in partitions)
    text = f"{taken} operators in {len(partitions)} partition{'s' if len(partitions) != 1 else ''}"
    if not left:
        return f"{text}, all of the model"
    names = list(dict.fromkeys(each["name"] for each in left))
    return f"{text}; {len(left)} in LiteRT's own kernels: {_listed(names)}"


def _gpu(compatibility: Mapping[str, Any]) -> str:
    gpu = compatibility.get("gpu")
    if not gpu:
        return "the report does not say; the test does, on each phone"
    if gpu["compatible"]:
        return (
            "every operator, by the rules of LiteRT's GPU delegate; the test decides, on each phone"
        )
    text = f"the Interpreter's delegate leaves {_reasons(gpu['operators'])} to the CPU"
    refused = [each for each in gpu["operators"] if not each.get("accelerator")]
    return f"{text}; CompiledModel's accelerator " + (
        f"refuses {_listed(list(dict.fromkeys(each['name'] for each in refused)))}"
        if refused
        else "takes them"
    )


def _reasons(operators: Sequence[Mapping[str, Any]]) -> str:
    return _listed(list(dict.fromkeys(f"{each['name']} ({each['reason']})" for each in operators)))


def _runtime(found: Mapping[str, Any]) -> str:
    needed = found.get("needed") or found.get("declared")
    if not needed:
        return "not known"
    old = tuple(map(int, re.findall(r"\d+", needed)[:2])) <= _BEFORE_LITERT
    return f"TensorFlow Lite {needed}" + (", so every LiteRT release will do" if old else "")


def _listed(names: Sequence[str], most: int = 5) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _decibels(value: Any) -> str:
    return "exact" if value == "inf" else f"{float(value):.1f} dB"
