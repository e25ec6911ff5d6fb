"""Reports as a run would write them, made up: every state that a page has to show."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]

BLOCK = (
    ("aten.conv2d", "conv"),
    ("aten.batch_norm", "bn"),
    ("aten.relu6", "act"),
    ("aten.conv2d", "project"),
    ("aten.layer_norm", "norm"),
    ("aten.add", ""),
)
RUNTIMES = {
    "onnx": ("onnx", "onnxruntime", "1.31.1"),
    "tflite": ("tflite", "litert-xnnpack", "2.3.0"),
    "tflite@litert-builtin": ("tflite", "litert-builtin", "2.3.0"),
    "torchscript": ("torchscript", "torchscript", "2.13.0"),
}
HOPS = {
    "onnx": (("torch-export", "exported"), ("torch-onnx", "onnx"), ("onnxsim", "onnx")),
    "tflite": (("torch-export", "exported"), ("tflite-direct", "tflite")),
    "torchscript": (("torch-trace", "torchscript"),),
    "saved_model": (("torch-export", "exported"), ("onnx2tf", "saved_model")),
}
FUSED = {"aten.conv2d": "fused into bn", "aten.batch_norm": "fused into act"}


def outcome(subject: str, target: str, symptom: str = "ok", detail: str = "", **more: Any) -> Json:
    stage = more.get("stage", "serialize" if symptom == "ok" else "lower")
    return {
        "subject": subject,
        "target": target,
        "stage": stage,
        "symptom": symptom,
        "detail": detail,
        "seconds": more.get("seconds", 0.4),
        "reused": more.get("reused", False),
    }


def spine(count: int) -> list[Json]:
    """Layers in blocks, each of which is added to what it read."""
    layers: list[Json] = []
    for place in range(count):
        block, step = divmod(place, len(BLOCK))
        op, name = BLOCK[step]
        stage = "stem" if block == 0 else "head" if place >= count - 3 else f"stages.{block // 4}"
        module = ".".join(part for part in (stage, str(block % 4), name) if part)
        inputs = [layers[-1]["id"]] if layers else ["image"]
        if op == "aten.add" and place >= len(BLOCK):
            inputs.append(layers[place - len(BLOCK)]["id"])
        layers.append(
            {
                "id": f"{op.removeprefix('aten.')}_{place}",
                "op": op,
                "module": module,
                "source": f"models/net.py:{20 + block}",
                "inputs": inputs,
                "shape": [1, 32, 28, 28],
                "targets": {},
            }
        )
    return layers


def metrics(ratio: float, noise: float = 1e-7, **more: Any) -> Json:
    relative = ratio * noise
    sqnr: Any = -20 * math.log10(relative) if relative else "inf"
    return {
        "sqnr_db": sqnr,
        "max_abs": 6.1 * relative,
        "mean_abs": 0.7 * relative,
        "rmse": relative,
        "relative_rms": relative,
        "cosine": 1 - relative * relative / 2,
        "max_ulp": 3 + 8 * ratio,
        "elements": 25088,
        "nonfinite_reference": 0,
        "nonfinite_actual": 0,
        "same_nonfinite": True,
        "reference_rms": 1.0,
        "actual_rms": 1.0 + relative,
        **more,
    }


def judged(ratio: float) -> str:
    return "pass" if ratio <= 3 else "warn" if ratio <= 10 else "fail"


def drift(ratio: float, **more: Any) -> Json:
    return {
        "ratio": ratio,
        "low": 0.93 * ratio,
        "high": 1.08 * ratio,
        "verdict": judged(ratio),
        **more,
    }


def row(runtime: str, alone: float | None, arrived: float, layer: str) -> Json:
    verdicts = [judged(arrived)] + ([judged(alone)] if alone is not None else [])
    worst = max(verdicts, key=("pass", "warn", "fail").index)
    return {
        "runtime": runtime,
        "mapped": True,
        "reason": "",
        "metrics": metrics(arrived),
        "verdict": worst,
        "accumulated": drift(arrived, gain=arrived / max(arrived - (alone or 0), 0.5)),
        "isolated": None if alone is None else drift(alone, metrics=metrics(alone)),
        "histogram": {"low": -2e-3, "high": 1e-3, "counts": [1, 40, 7]}
        if alone is not None and alone > 3
        else None,
        "tensor": f"net/{layer}/out",
        "cluster": [layer],
        "confidence": None,
    }


def absent(runtime: str, reason: str) -> Json:
    return {
        "runtime": runtime,
        "mapped": False,
        "reason": reason,
        "metrics": None,
        "verdict": "not run",
        "accumulated": None,
        "isolated": None,
        "histogram": None,
        "tensor": None,
        "cluster": [],
        "confidence": None,
    }


def signature() -> Json:
    return {
        "inputs": [{"name": "image", "shape": [1, 3, 224, 224], "dtype": "float32"}],
        "outputs": [{"name": "logits", "shape": [1, 10], "dtype": "float32"}],
    }


def conversion(format_: str) -> Json:
    suffix = {"torchscript": "pt", "saved_model": "savedmodel"}.get(format_, format_)
    return {
        "format": format_,
        "ok": True,
        "error": "",
        "seconds": 2.5,
        "routes": [
            {
                "name": "/".join(hop for hop, _ in HOPS[format_]),
                "outcomes": [outcome(hop, target) for hop, target in HOPS[format_]],
            }
        ],
        "artifact": {
            "path": f"model.{suffix}",
            "sha256": f"{len(format_):x}" * 64,
            "size": 13_986_112,
            "signature": signature(),
            "producer": HOPS[format_][-1][0],
            "producer_version": "0.1.0",
            "notes": [],
            "precision": "float32",
        },
    }


def target(name: str, layers: Sequence[Json]) -> Json:
    format_, runtime, version = RUNTIMES[name]
    rows = [layer["targets"][name] for layer in layers]
    failing = [layer["id"] for layer in layers if layer["targets"][name]["verdict"] == "fail"]
    alone = [
        layer["id"]
        for layer in layers
        if (layer["targets"][name]["isolated"] or {}).get("verdict") == "fail"
    ]
    last = next(each["metrics"] for each in reversed(rows) if each["metrics"])
    verdict = "fail" if failing else "pass"
    mapped = sum(each["mapped"] for each in rows)
    return {
        "format": format_,
        "sha256": f"{len(format_):x}" * 64,
        "runtime": runtime,
        "runtime_version": version,
        "outcome": outcome(runtime, format_, stage="compare"),
        "verdict": verdict,
        "reason": f"{len(failing)} layers fail" if failing else "",
        "outputs": {"logits": last},
        "top1_agreement": 0.97 if failing else 1.0,
        "accuracy": 0.9 if failing else 0.93,
        "load_seconds": 0.02,
        "run_seconds": 0.0071,
        "deterministic": True,
        "reproduction": f"reproduction/{alone[0]}/run.py" if alone else None,
        "layers": {
            "outcome": outcome(runtime, format_, stage="compare"),
            "observer_effect": False,
            "first_failure": failing[0] if failing else None,
            "introduced": alone[0] if alone else None,
            "isolation": "TorchScript has no cut models" if name == "torchscript" else "",
            "coverage": {"mapped": mapped, "explained": len(rows) - mapped, "total": len(rows)},
            "mapped": mapped,
            "unexplained": 0,
            "total": len(rows),
        },
    }


def compatibility() -> Json:
    return {
        "operators": [
            {"name": "CONV_2D", "version": 3, "count": 36, "since": "1.14.0", "needs": None},
            {"name": "ADD", "version": 1, "count": 12, "since": "1.5.0", "needs": None},
            {"name": "SOFTMAX", "version": 1, "count": 1, "since": None, "needs": None},
        ],
        "min_runtime": {"declared": "1.14.0", "needed": "1.14.0", "enough": True, "unknown": []},
        "reason": "",
        "details": {"subgraphs": "1"},
        "xnnpack": {
            "version": "2.3.0",
            "reason": "",
            "unread": [],
            "partitions": [{"operators": list(range(49)), "counts": {"CONV_2D": 36, "ADD": 12}}],
            "left": [],
        },
        "gpu": {"compatible": True, "operators": [], "analyzer": "OK", "rules": []},
        "nnapi": "NNAPI is deprecated since Android 15; use the GPU delegate or CPU.",
        "tensors": {"dynamic": [], "rank_above_4": [], "int64": []},
        "memory": {
            "file": 13986112,
            "weights": 13900000,
            "arena": 4800000,
            "peak": 21000000,
            "method": "resident memory",
        },
        "latency": {
            "machine": "Xeon, 2 cores, Linux",
            "runtime": "LiteRT 2.3.0",
            "load_ms": 12.1,
            "threads": [
                {
                    "threads": threads,
                    "load_ms": 12.1,
                    "first_ms": 14.0 / threads,
                    "median_ms": 7.2 / threads,
                    "p10_ms": 7.0 / threads,
                    "p90_ms": 7.9 / threads,
                    "runs": 50,
                }
                for threads in (1, 2, 4)
            ],
            "note": "",
        },
    }


def contract() -> Json:
    tensor = {"layout": None, "scale": None, "zero_point": None, "range": None, "labels": None}
    labels = [f"class {number}" for number in range(10)]
    return {
        "inputs": [
            {
                **tensor,
                **signature()["inputs"][0],
                "layout": "NCHW",
                "range": [0.0, 1.0],
                "meaning": "an image, each value divided by 255",
            }
        ],
        "outputs": [{**tensor, **signature()["outputs"][0], "labels": labels, "meaning": "logits"}],
    }


def report(
    count: int = 60,
    alone: Callable[[str, int], float] | None = None,
    targets: Sequence[str] = tuple(RUNTIMES),
) -> Json:
    """A report of version 2.

    Args:
        count: How many layers the model has.
        alone: What a layer introduces in a target beyond rounding, by the target and its place.
        targets: Which targets ran.
    """
    layers = spine(count)
    chance = random.Random(count)
    for name in targets:
        runtime, arrived = RUNTIMES[name][1], 1.0
        for place, layer in enumerate(layers):
            own = alone(name, place) if alone else 0.0
            reason = FUSED.get(layer["op"]) if name.startswith("tflite") else None
            if reason and not own:
                layer["targets"][name] = absent(runtime, reason)
                continue
            introduced = own or chance.uniform(0.7, 1.4)
            arrived = max(introduced, 0.97 * arrived + chance.uniform(-0.02, 0.06))
            seen = introduced if name != "torchscript" else None
            layer["targets"][name] = row(runtime, seen, arrived, layer["id"])
    found = {name: target(name, layers) for name in targets}
    formats = dict.fromkeys(RUNTIMES[name][0] for name in targets)
    verdict = "fail" if any(each["verdict"] == "fail" for each in found.values()) else "pass"
    return {
        "schema": "driftbridge/report",
        "version": 2,
        "driftbridge": "0.1.0",
        "key": None,
        "source": {
            "text": "models/net.py:Net",
            "format": "torch",
            "key": None,
            "weights": "weights/net.safetensors",
            "inputs": None,
            "images": None,
            "artifact": None,
        },
        "options": {"route": None, "validate": True, "opset": None},
        "versions": {"torch": "2.13.0", "onnx": "1.23.2", "ai-edge-litert": "2.3.0"},
        "conversions": [conversion(format_) for format_ in formats],
        "validation": {
            "verdict": verdict,
            "reference": "eager-float64",
            "reference_outcome": outcome("eager-float64", "exported", stage="run"),
            "reference_accuracy": 0.93,
            "inputs": {
                "origin": "16 drawn samples",
                "samples": 16,
                "layer_samples": 16,
                "how": {"image": "drawn uniformly from 0..1 (declared)"},
            },
            "thresholds": {
                "float32": {"warn_db": 90.0, "warn_ratio": 3.0, "fail_ratio": 10.0},
                "overrides": [],
            },
            "targets": found,
        },
        "layers": layers,
        "compatibility": {each: compatibility() for each in formats if each == "tflite"},
        "contract": {format_: contract() for format_ in formats},
    }


def wrong_epsilon(count: int = 60) -> Json:
    """A layer norm with another epsilon in the TFLite file, seen by both of its runtimes."""
    place = next(place for place in range(count // 2, count) if place % len(BLOCK) == 4)
    return report(count, lambda name, at: 38.4 if name.startswith("tflite") and at == place else 0)


def int8_collapse(count: int = 60) -> Json:
    """A saturated scale in an int8 file: all is lost from one layer on."""
    place = count // 3
    while place % len(BLOCK) != 2:
        place += 1
    document = report(count, lambda name, at: 4.2e4 if at == place else 0, targets=("tflite",))
    document["validation"]["targets"]["tflite"]["reason"] = "SQNR 7.5 dB is below 15 dB"
    return document


def gpu_refusal(count: int = 60) -> Json:
    """Nothing drifts, but the GPU delegate takes neither of two operators."""
    document = report(count)
    gpu = document["compatibility"]["tflite"]["gpu"]
    refused = {"name": "GATHER_ND", "tensor": "net/gather", "layer": "add_29"}
    refused |= {"module": "stages.1.0", "source": "models/net.py:77"}
    kernel = {"reason": "is not supported", "by": "rules", "accelerator": False}
    gpu["compatible"] = False
    gpu["operators"] = [
        {"index": 30, **refused, **kernel},
        {"index": 31, **refused, **kernel},
    ]
    document["compatibility"]["tflite"]["xnnpack"]["left"] = [
        {"index": 30, **refused, "why": "no kernel in XNNPACK"}
    ]
    return document


def troubled(count: int = 60) -> Json:
    """One of everything that can go wrong beside drift."""
    document = wrong_epsilon(count)
    targets = document["validation"]["targets"]
    failed = conversion("saved_model") | {"ok": False, "artifact": None}
    failed["routes"][0]["outcomes"][1] |= {"symptom": "crash", "detail": "SIGSEGV in _pywrap"}
    failed["routes"].append(
        {
            "name": "torch-export/other",
            "outcomes": [
                outcome("torch-export", "exported"),
                outcome("other", "saved_model", "unavailable", "the package x is not installed"),
            ],
        }
    )
    document["conversions"].append(failed)
    away = targets["torchscript"]
    away |= {
        "outcome": outcome("torchscript", "torchscript", "unavailable", "no torch", stage="load")
    }
    away |= {"verdict": "not run", "reason": "", "outputs": {}, "top1_agreement": None}
    away |= {"accuracy": None, "load_seconds": None, "run_seconds": None}
    for layer in document["layers"]:
        layer["targets"].pop("torchscript")
    lost = document["layers"][8]["targets"]["onnx"]
    broken = {"same_nonfinite": False, "nonfinite_actual": 12, "cosine": "nan"}
    lost["metrics"] |= {**broken, "sqnr_db": "-inf", "max_ulp": None}
    lost["accumulated"] |= {"ratio": "nan", "low": "nan", "high": "inf"}
    lost["accumulated"]["verdict"] = lost["verdict"] = "fail"
    targets["onnx"] |= {"verdict": "fail", "reason": "NaN where the reference has none"}
    targets["onnx"]["layers"]["first_failure"] = document["layers"][8]["id"]
    targets["tflite"]["deterministic"] = False
    doubtful = document["layers"][11]["targets"]["onnx"]
    doubtful["verdict"] = doubtful["accumulated"]["verdict"] = "inconclusive"
    document["layers"][14]["targets"]["onnx"] = absent("onnxruntime", "unexplained")
    exact = document["layers"][17]["targets"]["onnx"]
    exact["metrics"] |= metrics(0.0)
    exact["accumulated"] |= {"ratio": 0.0, "low": 0.0, "high": 0.0}
    return document


def hostile(text: str) -> Json:
    """A report in which every text that a model or a path can decide is the same bad one."""
    document = troubled(18)
    document["source"] |= {"text": text, "weights": text, "inputs": text}
    document["versions"][text] = text
    for place, layer in enumerate(document["layers"]):
        layer |= {"op": text, "module": f"{text}.{place // 6}", "source": f"{text}:7"}
        names = {other["id"]: f"{text}{at}" for at, other in enumerate(document["layers"])}
        layer["inputs"] = [names.get(each, each) for each in layer["inputs"]]
        for each in layer["targets"].values():
            each |= {"reason": text if not each["mapped"] else "", "tensor": text}
    for each in document["validation"]["targets"].values():
        each["reason"] = text
        each["layers"] |= {"introduced": None, "first_failure": None}
    for place, layer in enumerate(document["layers"]):
        layer["id"] = f"{text}{place}"
    for made in document["conversions"]:
        if made["artifact"]:
            made["artifact"]["notes"] = [text]
        for route in made["routes"]:
            route["outcomes"][-1] |= {"subject": text, "detail": text}
    for agreed in document["contract"].values():
        agreed["inputs"][0] |= {"name": text, "meaning": text, "labels": [text]}
    facts = document["compatibility"]["tflite"]
    facts["gpu"]["operators"] = [
        {"index": 1, "name": text, "tensor": text, "source": text, "reason": text}
    ]
    facts["gpu"]["analyzer"] = text
    facts["tensors"]["int64"] = [text]
    return document


def first_version(document: Mapping[str, Any]) -> Json:
    """The same as a driftbridge wrote it that knew no more than version 1."""
    old = copy.deepcopy(dict(document)) | {"version": 1}
    for part in ("compatibility", "contract"):
        del old[part]
    validation = old["validation"]
    del old["source"]["images"]
    del validation["thresholds"], validation["inputs"]["how"]
    for each in validation["targets"].values():
        del each["deterministic"], each["reproduction"]
        for key in ("introduced", "isolation", "coverage"):
            del each["layers"][key]
        for figures in each["outputs"].values():
            _without_rms(figures)
    for layer in old["layers"]:
        del layer["inputs"]
        for each in layer["targets"].values():
            each["drift_ratio"] = (each["accumulated"] or {}).get("ratio")
            for key in ("accumulated", "isolated", "histogram", "tensor", "cluster", "confidence"):
                del each[key]
            if each["metrics"]:
                _without_rms(each["metrics"])
    return old


def _without_rms(figures: Json) -> None:
    figures.pop("reference_rms", None)
    figures.pop("actual_rms", None)
