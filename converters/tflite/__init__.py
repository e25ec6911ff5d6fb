"""The direct compiler from captured programs to TFLite: no TensorFlow, no ONNX, no MLIR.

The stages, one module or folder each: ``constants`` and ``functionalize`` prepare the program,
``compiler`` lowers it with the functions of ``lowerings``, ``layout`` and ``passes`` optimise the
graph, ``provenance`` names it, ``serialize`` writes it.

A lowering for an operator of your own::

    from bridge.converters.tflite import Context, Value, lowers

    @lowers("mylib.scaled_tanh")
    def scaled_tanh(ctx: Context, x: Value, scale: float) -> Value:
        return ctx.pointwise("MUL", ctx.emit("TANH", x), scale)
"""

from .context import CompileOptions, Context
from .errors import Unsupported, unsupported
from .ir import Value
from .lowering import LOWERINGS, Lowering, lowers
from .sizes import Dim, Size

__all__ = [
    "LOWERINGS",
    "CompileOptions",
    "Context",
    "Dim",
    "Lowering",
    "Size",
    "Unsupported",
    "Value",
    "lowers",
    "unsupported",
]
