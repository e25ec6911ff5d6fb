"""Whether a fault matters: the good and the faulted file side by side in the native runtime.

All that comes before the fault is the same in both files, so that the tensors at which it first
shows differ by nothing but the fault. Nothing of the validator is used.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.artifact import Artifact, TensorSpec
from bridge.samples import Samples
from bridge.validators.cutting.tflite import packed, unpacked
from bridge.validators.tensors import one_thread

from .edits import ONNX, TFLITE, TORCHSCRIPT

Array = NDArray[Any]
Arrays = Mapping[str, Array]

# Relative RMS; 64 units of float32's roundoff (2^-24) are well above the rounding of any one piece
# of a network and far below what would be noticed at its end.
BEYOND_ROUNDING = 2.0**-18
# Of the error that quantization makes in a tensor of integers: less is lost in that.
BEYOND_COST = 3.0


def run(artifact: Artifact, content: bytes, source: Sequence[TensorSpec], samples: Samples,
        tensors: Sequence[str]) -> dict[str, list[Array]]:  # fmt: skip
    """Run a file natively on every sample.

    Args:
        artifact: The good artifact, for format and signature.
        content: The file.
        source: The source's inputs, in the order of the artifact's.
        samples: The inputs.
        tensors: Tensors to return.

    Returns:
        Tensor → its value for each sample.

    Raises:
        RuntimeError: It does not load or run.
    """
    names = list(tensors)
    call = _OPEN[artifact.format.name](content, artifact, names)
    values: dict[str, list[Array]] = {name: [] for name in names}
    for index in range(samples.count):
        inputs = {
            its.name: _placed(samples.arrays[spec.name][index], its)
            for spec, its in zip(source, artifact.signature.inputs, strict=True)
        }
        for name, value in zip(names, call(inputs), strict=True):
            values[name].append(value)
    return values


def effect(good: Mapping[str, list[Array]], bad: Mapping[str, list[Array]]) -> float:
    """Return the largest difference of a tensor, by the RMS of the good one over all samples.

    Infinite where one has a NaN or infinity that the other has not; NaN if the shapes differ, for
    such a file is not a wrong conversion but a broken one.
    """
    found = 0.0
    for name, rows in good.items():
        if [each.shape for each in rows] != [each.shape for each in bad[name]]:
            return math.nan
        one, other = (np.stack(each).astype(np.float64) for each in (rows, bad[name]))
        finite = np.isfinite(one)
        if not np.array_equal(finite, np.isfinite(other)):
            return math.inf
        size = float(np.sqrt(np.mean(np.square(one[finite])))) if finite.any() else 0.0
        error = float(np.sqrt(np.mean(np.square(other[finite] - one[finite])))) if size else 0.0
        found = max(found, error / size if size else 0.0)
    return found


def least(
    artifact: Artifact, good: Mapping[str, list[Array]], floats: Mapping[str, list[Array]]
) -> float:
    """Return the least effect of a fault that matters.

    In a file of integers that is some times what quantization itself costs there: the rounding to
    the tensor's steps, or how far it is from what the float file has.

    Args:
        artifact: The good artifact.
        good: Its tensors, over all samples.
        floats: Those that the float file has too, as it computes them.
    """
    steps = _steps(artifact.path) if artifact.precision == "int8" else {}
    found = [
        steps[name] / math.sqrt(12) / size
        for name, rows in good.items()
        if name in steps and (size := float(np.sqrt(np.mean(np.square(np.stack(rows))))))
    ]
    cost = effect(floats, {name: good[name] for name in floats}) if steps else 0.0
    found.append(cost if math.isfinite(cost) else 0.0)
    return max(BEYOND_ROUNDING, BEYOND_COST * max(found))


def _steps(path: Path) -> dict[str, float]:
    """The steps of a file's tensors of integers."""
    (graph, *_) = unpacked(path.read_bytes()).subgraphs
    stored = {each.name.decode(): each.quantization for each in graph.tensors}
    return {
        name: float(each.scale[0])
        for name, each in stored.items()
        if each is not None and each.scale is not None
    }


def share_of_nonfinite(values: Mapping[str, list[Array]]) -> float:
    """Return which share of the samples has a NaN or infinity anywhere."""
    rows = [
        any(not np.isfinite(each.astype(np.float64)).all() for each in row)
        for row in zip(*values.values(), strict=True)
    ]
    return sum(rows) / max(1, len(rows))


def _placed(array: Array, spec: TensorSpec) -> Array:
    made = array if spec.permutation is None else array.transpose(spec.permutation)
    if array.dtype.kind == "f" and spec.quantization is not None:  # integers stand for floats
        steps = made / spec.quantization.scales[0] + spec.quantization.zero_points[0]
        made = np.rint(steps).clip(np.iinfo(spec.dtype).min, np.iinfo(spec.dtype).max)
    return np.ascontiguousarray(made.astype(spec.dtype, copy=False))


Call = Callable[[Arrays], Iterable[Array]]


def _onnx(content: bytes, artifact: Artifact, names: list[str]) -> Call:
    import onnx
    import onnxruntime

    model = onnx.load_model_from_string(content)
    known = {each.name for each in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=each) for each in names if each not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda inputs: session.run(names, dict(inputs))


def _tflite(content: bytes, artifact: Artifact, names: list[str]) -> Call:
    from ai_edge_litert.interpreter import Interpreter

    model = unpacked(content)
    graph = model.subgraphs[0]
    written = [int(each) for each in graph.inputs]
    written += [int(each) for op in graph.operators for each in op.outputs]
    place = {graph.tensors[each].name.decode(): each for each in written}
    graph.outputs = list(
        dict.fromkeys([*map(int, graph.outputs), *(place[each] for each in names)])
    )
    stored = {name: graph.tensors[index].quantization for name, index in place.items()}
    given = {each.name.decode(): each.tensorIndex for each in model.signatureDefs[0].inputs}
    interpreter = Interpreter(model_content=packed(model), num_threads=1)
    interpreter.allocate_tensors()

    def call(inputs: Arrays) -> list[Array]:
        for name, array in inputs.items():
            interpreter.set_tensor(given[name], array)
        interpreter.invoke()
        return [_real(interpreter.get_tensor(place[each]), stored[each]) for each in names]

    return call


def _real(array: Array, stored: Any) -> Array:
    """What a tensor's integers stand for."""
    if array.dtype.kind not in "iu" or stored is None or stored.scale is None:
        return array
    real: Array = (array.astype(np.float64) - int(stored.zeroPoint[0])) * float(stored.scale[0])
    return real


def _torchscript(content: bytes, artifact: Artifact, names: list[str]) -> Call:
    import torch

    module: Any = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
    graph = module.inlined_graph
    values = {each.debugName(): each for node in graph.nodes() for each in node.outputs()}
    for name in names:
        value = values[name]
        if value.type().kind() == "TensorType":
            # cloned, since an operator further down may write to its memory
            graph.setInsertPoint(value.node())
            nothing = graph.insertConstant(None)
            shown = graph.create("aten::clone", [value, nothing], 1)
        else:  # a size
            shown = graph.create("prim::NumToTensor", [value], 1)
        shown.insertAfter(value.node())
        graph.registerOutput(shown.output())
    graph.makeMultiOutputIntoTuple()
    function = torch._C._create_function_from_graph("forward", graph)
    arguments = [each.name for each in module.forward.schema.arguments[1:]]

    def call(inputs: Arrays) -> list[Array]:
        left = {name: torch.from_numpy(each.copy()) for name, each in inputs.items()}
        given = [left.pop(each if each in left else next(iter(left))) for each in arguments if left]
        with one_thread():  # and without gradients
            results = function(module._c, *given)
        return [each.numpy() for each in results[-len(names) :]]

    return call


_OPEN: dict[str, Callable[[bytes, Artifact, list[str]], Call]] = {
    ONNX: _onnx,
    TFLITE: _tflite,
    TORCHSCRIPT: _torchscript,
}
