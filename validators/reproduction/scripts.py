"""The scripts that rerun a piece, one for each format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ...formats import ONNX, TFLITE, TORCHSCRIPT, Format

SCRIPT = "reproduce.py"
GOLDEN = "golden.npz"

_LITERT = """\
from ai_edge_litert.interpreter import Interpreter, OpResolverType

interpreter = Interpreter(
    str(HERE / PIECE),
    experimental_op_resolver_type=OpResolverType.{resolver},
    num_threads=1,
)
details = {{each["name"]: each["index"] for each in interpreter.get_input_details()}}
(output,) = interpreter.get_output_details()


def run(inputs):
    for name, array in inputs.items():
        interpreter.resize_tensor_input(details[name], array.shape)
    interpreter.allocate_tensors()
    for name, array in inputs.items():
        interpreter.set_tensor(details[name], array)
    interpreter.invoke()
    return interpreter.get_tensor(output["index"])
"""

_ONNX = """\
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(str(HERE / PIECE), options)


def run(inputs):
    (result,) = session.run(None, inputs)
    return result
"""

_TORCHSCRIPT = """\
import torch

module = torch.jit.load(str(HERE / PIECE), map_location="cpu")
graph = module.inlined_graph
values = {{each.debugName(): each for node in graph.nodes() for each in node.outputs()}}
arguments = [each.name for each in module.forward.schema.arguments[1:]]
# what the layer reads is fed; what computes it still runs, and nobody looks at it
for name in FED:
    fed = graph.addInput()
    fed.setType(torch._C.TensorType.get())
    values[name].replaceAllUsesAfterNodeWith(values[name].node(), fed)
graph.registerOutput(values[TENSOR])
graph.makeMultiOutputIntoTuple()
function = torch._C._create_function_from_graph("piece", graph)


def run(inputs):
    torch.set_num_threads(1)
    tensors = [torch.tensor(array) for array in inputs.values()]
    with torch.no_grad():
        return function(module._c, *tensors)[-1].numpy()
"""

_HEAD = """\
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
PIECE = {piece}
TENSOR = {tensor}
FED = {fed}
LIMIT = {limit!r}  # times the rounding error of a legitimate implementation
SCALE, ZERO_POINT = {scale!r}, {zero_point!r}  # real = SCALE * (what comes out - ZERO_POINT)

golden = np.load(HERE / "golden.npz")
"""

_TAIL = """\

names = [name.removeprefix("input/") for name in golden.files if name.startswith("input/")]
expected, noise = golden["expected"], float(golden["noise"])
results = [
    run({name: golden[f"input/{name}"][index] for name in names}) for index in range(len(expected))
]
actual = SCALE * (np.stack(results).astype(np.float64).reshape(expected.shape) - ZERO_POINT)
finite = np.isfinite(expected) & np.isfinite(actual)
if not np.array_equal(expected[~finite], actual[~finite], equal_nan=True):
    print("NaN or infinity where the reference has none, or the reverse")
    raise SystemExit(1)
error = float(np.sqrt(np.mean((actual[finite] - expected[finite]) ** 2)))
worst = np.unravel_index(np.argmax(np.abs(np.where(finite, actual - expected, 0))), expected.shape)
times = error / noise if noise else (np.inf if error else 0.0)
print(f"RMS error {error:.4g}; rounding alone gives {noise:.4g}: {times:.3g} times that")
print(f"largest error at {tuple(map(int, worst))}: {actual[worst]:.9g} for {expected[worst]:.9g}")
raise SystemExit(int(times > LIMIT))
"""


def script(
    format_: Format,
    runtime: str,
    *,
    comments: Sequence[str],
    piece: str,
    tensor: str,
    fed: Sequence[str],
    limit: float,
    scale: float = 1.0,
    zero_point: int = 0,
) -> str:
    """Return a script that runs a piece on its golden inputs and compares.

    Args:
        format_: Format of the piece.
        runtime: Name of the runtime.
        comments: What is wrong, line by line.
        piece: Name of the piece's file.
        tensor: The tensor that it makes.
        fed: Tensors of the whole file that are fed.
        limit: Drift ratio above which the script ends with 1.
        scale: Of the integers that the piece makes; 1 for real numbers.
        zero_point: Likewise.
    """
    bodies: Mapping[Format, str] = {TFLITE: _LITERT, ONNX: _ONNX, TORCHSCRIPT: _TORCHSCRIPT}
    resolver = "AUTO" if runtime.endswith("xnnpack") else "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
    head = _HEAD.format(
        piece=json.dumps(piece),
        tensor=json.dumps(tensor),
        fed=json.dumps(list(fed)),
        limit=limit,
        scale=scale,
        zero_point=zero_point,
    )
    remarks = "".join(f"# {line}\n" for text in comments for line in text.splitlines())
    return f"{remarks}\n{head}\n{bodies[format_].format(resolver=resolver)}{_TAIL}"
