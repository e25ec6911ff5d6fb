"""One model of the zoo, measured: compiled, run on both sets of kernels, compared layer by layer.

It runs in a process of its own (see coverage.py), and notes each stage before it is entered.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import zoo
from direct import (
    Array,
    Compiled,
    LiteRT,
    compile_program,
    distance,
    in_order,
    input_nodes,
    kind_of,
    tensors_in,
)

from bridge.converters._capture import capture
from bridge.errors import BridgeError, UnsupportedError
from bridge.layers import Absence, Place
from bridge.validators.taps.exported import NodeRunner
from bridge.validators.taps.tflite import expose

T = TypeVar("T")
LEAST_OF_A_LAYER = 80.0  # dB: a layer's own rounding and that of all before it are far above


class Measurement:
    """The measurement of one model, kept in a file so that a crash leaves what was known.

    Args:
        model: The model.
        report: The file of JSON to keep.
        folder: Where the compiled file goes.
    """

    def __init__(self, model: zoo.Model, report: Path, folder: Path) -> None:
        self.model = model
        self.report = report
        self.path = folder / "model.tflite"
        self.result: dict[str, Any] = {
            "name": model.name,
            "group": model.group,
            "source": model.source,
            "extra": model.extra,
            "status": "crashed",
            "seconds": {},
        }

    def run(self) -> None:
        """Measure; whatever goes wrong is part of the result."""
        try:
            self._measure()
            self.result["status"] = "done"
        except UnsupportedError as error:
            self.result["status"] = "unsupported"
            self.result["unsupported"] = [
                {
                    "operator": each.operator,
                    "count": each.count,
                    "where": each.where,
                    "hint": each.hint,
                }
                for each in error.operators
            ]
        except zoo.MissingPackage as error:
            self.result.update(status="unavailable", error=str(error))
        except Exception as error:  # noqa: BLE001 - that is what is measured
            text = str(error).strip() or type(error).__name__
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            self.result.update(
                status="failed", error=f"{type(error).__name__} at {where}: {text}"[:2000]
            )
        self._write()

    def _measure(self) -> None:
        module = self._stage("load", self.model.load)
        given = self.model.inputs("random")
        self._stage("warm up", _warm_up)
        program = self._stage("export", lambda: capture(module, given.args, given.kwargs))
        compiled = self._stage("compile", lambda: compile_program(program, self.path))
        self._describe(compiled)
        inputs: dict[str, Any] = {}
        for kind in zoo.KINDS:
            call = self.model.inputs(kind)
            with torch.no_grad():
                expected = [each.numpy() for each in tensors_in(module(*call.args, **call.kwargs))]
            inputs[kind] = in_order(program, call.args, call.kwargs), expected
        for name, plain in (("xnnpack", False), ("plain", True)):
            self._stage(name, lambda plain=plain, name=name: self._compare(name, plain, inputs))
        tensors, expected = inputs["random"]
        self._stage("rounding", lambda: self._measure_rounding(program, tensors, expected))
        self._stage("layers", lambda: self._check_layers(program, compiled, tensors))

    def _stage(self, name: str, call: Callable[[], T]) -> T:
        self.result["stage"] = name
        self._write()
        started = time.perf_counter()
        made = call()
        self.result["seconds"][name] = round(time.perf_counter() - started, 3)
        return made

    def _write(self) -> None:
        self.report.write_text(json.dumps(self.result))

    def _describe(self, compiled: Compiled) -> None:
        kinds = Counter(op.kind for op in compiled.graph.ops)
        for inner in dict.fromkeys(compiled.graph.subgraphs()):
            kinds.update(op.kind for op in inner.ops)
        self.result["operators"] = kinds.total()
        self.result["kinds"] = dict(kinds.most_common())
        self.result["transposes"] = kinds["TRANSPOSE"]
        self.result["bytes"] = compiled.path.stat().st_size

    def _compare(self, name: str, plain: bool, inputs: Mapping[str, Any]) -> None:
        runtime = LiteRT(self.path, plain=plain)
        if not plain:
            partitions, left_out = runtime.partitions()
            self.result["partitions"] = partitions
            self.result["left_out"] = dict(Counter(left_out).most_common())
        figures = self.result.setdefault("sqnr", {}).setdefault(name, {})
        for kind, (tensors, expected) in inputs.items():
            actual = runtime.run(tensors)
            if len(actual) != len(expected):
                raise ValueError(f"{len(actual)} outputs instead of {len(expected)}")
            pairs = zip(expected, actual, strict=True)
            figures[kind] = min((distance(*pair) for pair in pairs), default=math.inf)

    def _measure_rounding(
        self,
        program: torch.export.ExportedProgram,
        tensors: list[torch.Tensor],
        expected: list[Array],
    ) -> None:
        """How far PyTorch's own float32 is from float64: no file can be expected to be nearer."""
        try:
            runner = NodeRunner(program, path=self.path, double=True)
            named = dict(zip(input_nodes(program), _copies(tensors), strict=True))
            exact = [each.numpy() for each in tensors_in(runner.run(named).outputs)]
        except BridgeError:  # an operator that has no float64 kernel
            self.result["rounding"] = None
            return
        pairs = [each for each in zip(exact, expected, strict=True) if kind_of(each[0]) == "f"]
        figures = (distance(one, other.astype(one.dtype)) for one, other in pairs)
        self.result["rounding"] = min(figures, default=math.inf)

    def _check_layers(
        self, program: torch.export.ExportedProgram, compiled: Compiled, tensors: list[torch.Tensor]
    ) -> None:
        places = compiled.layer_map.mapped()
        taps = list(dict.fromkeys(str(place.tensor) for place in places.values()))
        shown = expose(self.path, taps)
        runtime = LiteRT(shown.content, plain=False)
        values = runtime.run(tensors, shown.tensors.values())[-len(taps) :] if taps else []
        actual = dict(zip(shown.tensors, values, strict=True))
        runner = NodeRunner(program, taps=list(places), path=self.path)
        named = dict(zip(input_nodes(program), _copies(tensors), strict=True))
        eager = runner.run(named).taps
        figures = {
            layer: _layer_distance(eager[layer], actual[str(place.tensor)], place)
            for layer, place in places.items()
        }
        worst = sorted(figures.items(), key=lambda each: each[1])
        absent = Counter(compiled.layer_map.place(layer).absence for layer in compiled.spine.ids())
        self.result["layers"] = {
            "total": len(compiled.spine.layers),
            "mapped": len(places),
            "worst": worst[0][1] if worst else math.inf,
            "low": [
                [layer, _operator_of(compiled, layer), figure]
                for layer, figure in worst
                if figure < LEAST_OF_A_LAYER
            ],
            "absent": {str(reason): count for reason, count in absent.items() if reason},
            "unexplained": [
                [layer.id, layer.op]
                for layer in compiled.spine.layers
                if compiled.layer_map.place(layer.id).absence is Absence.UNEXPLAINED
            ],
            "constant": [layer for layer, value in eager.items() if _is_constant(value)],
        }


def _copies(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """Tensors that a program may write to."""
    return [each.clone() for each in tensors]


def _operator_of(compiled: Compiled, layer: str) -> str:
    """Return the operator of a layer."""
    return {each.id: each.op for each in compiled.spine.layers}[layer]


def _layer_distance(eager: Array, actual: Array, place: Place) -> float:
    """Compare a layer with its tensor, by the permutation and the reshaping alone."""
    if place.permutation is not None:
        if len(place.permutation) != actual.ndim:
            return -math.inf
        actual = actual.transpose(np.argsort(place.permutation))
    if place.reshaped:
        if actual.size != eager.size:
            return -math.inf
        actual = actual.reshape(eager.shape)
    return distance(eager, actual)


def _is_constant(value: Array) -> bool:
    """Whether a layer of the zoo is dead: it is the same everywhere."""
    return bool(kind_of(value) == "f" and value.size > 1 and value.min() == value.max())


def _warm_up() -> None:
    """Compile a small network, so that imports are not part of what is timed."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()).eval()
    with tempfile.TemporaryDirectory() as folder:
        program = capture(module, (torch.ones(1, 3, 8, 8),), {})
        compile_program(program, Path(folder) / "warm.tflite")


def main(name: str, report: str) -> None:
    """Measure a model and write its report."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        Measurement(zoo.find(name), Path(report), Path(folder)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
