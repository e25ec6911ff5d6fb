"""The kinds of faults: what goes wrong in conversions, and how each is made in each format.

A row's edits say for each format which operators can carry it, and what is edited there. The edits
themselves are those of the formats' modules: ``attribute`` (an option or an argument), ``constant``
(an input that the file stores), ``operator`` (another one in its place), ``operands`` (two inputs
exchanged).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ONNX, TFLITE, TORCHSCRIPT = "onnx", "tflite", "torchscript"


@dataclass(frozen=True, kw_only=True)
class Edit:
    """How a fault is made in one format.

    Attributes:
        operators: Operators that can carry it.
        how: Name of the edit.
        at: What is edited: name of an attribute or argument, or place of an input.
        change: Name of the change, where the edit knows several.
        by: Parameter of the change.
        axis: Axis of output channels of a constant.
        feeds: The operator's result must go to one of these.
        default: Value of an attribute that is not there.
    """

    operators: tuple[str, ...]
    how: str
    at: str | int = ""
    change: str = ""
    by: Any = None
    axis: int = 0
    feeds: tuple[str, ...] = ()
    default: Any = None


@dataclass(frozen=True, kw_only=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        name: Unique name.
        about: What is wrong, for the table.
        edits: Format → how it is made there; a format that is not there cannot carry it.
        rare: Whether it must make NaN or infinity, and for some samples only.
    """

    name: str
    about: str
    edits: Mapping[str, tuple[Edit, ...]] = field(default_factory=dict)
    rare: bool = False


def _attribute(operators: str, at: str, change: str, by: Any = None, default: Any = None) -> Edit:
    return Edit(
        operators=tuple(operators.split()),
        how="attribute",
        at=at,
        change=change,
        by=by,
        default=default,
    )


def _constant(
    operators: str, at: int, change: str, by: Any = None, axis: int = 0, feeds: str = ""
) -> Edit:
    return Edit(
        operators=tuple(operators.split()),
        how="constant",
        at=at,
        change=change,
        by=by,
        axis=axis,
        feeds=tuple(feeds.split()),
    )


def _operator(operators: str, by: str) -> Edit:
    return Edit(operators=tuple(operators.split()), how="operator", by=by)


def _operands(operators: str) -> Edit:
    return Edit(operators=tuple(operators.split()), how="operands")


def _slice(operators: str) -> Edit:
    return Edit(operators=tuple(operators.split()), how="slice")


_TS_CONV = "aten::_convolution"
_TS_NORMS = "aten::layer_norm aten::batch_norm aten::group_norm aten::instance_norm"
_ONNX_NORMS = "LayerNormalization InstanceNormalization BatchNormalization"


def _weights(change: str, by: Any = None) -> dict[str, tuple[Edit, ...]]:
    """A change of the weight of a convolution or a linear layer, in every format."""
    return {
        ONNX: (
            _constant("Conv", 1, change, by),
            _constant("ConvTranspose Gemm MatMul", 1, change, by, axis=1),
        ),
        TFLITE: (
            _constant("CONV_2D FULLY_CONNECTED TRANSPOSE_CONV", 1, change, by),
            _constant("DEPTHWISE_CONV_2D", 1, change, by, axis=3),
        ),
        TORCHSCRIPT: (
            _constant(f"{_TS_CONV} aten::linear", 1, change, by),
            _constant("aten::addmm", 2, change, by, axis=1),
            _constant("aten::lstm aten::gru", 2, change, by),
        ),
    }


def _biases(change: str, by: Any = None) -> dict[str, tuple[Edit, ...]]:
    """A change of the bias of a convolution, a linear layer or a norm, in every format."""
    return {
        ONNX: (_constant("Conv Gemm LayerNormalization InstanceNormalization", 2, change, by),),
        TFLITE: (_constant("CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED", 2, change, by),),
        TORCHSCRIPT: (
            _constant(f"{_TS_CONV} aten::linear aten::batch_norm", 2, change, by),
            _constant("aten::layer_norm", 3, change, by),
        ),
    }


def _epsilon(change: str, by: float) -> dict[str, tuple[Edit, ...]]:
    return {
        ONNX: (
            _attribute(_ONNX_NORMS, "epsilon", change, by, 1e-5),
            _constant("Add", 1, "all" if change == "times" else "set", by, feeds="Sqrt Log"),
        ),
        TFLITE: (
            _constant("ADD", 1, "all" if change == "times" else "set", by, feeds="RSQRT SQRT LOG"),
        ),
        TORCHSCRIPT: (
            _attribute(_TS_NORMS, "eps", change, by),
            _constant(
                "aten::add",
                1,
                "all" if change == "times" else "set",
                by,
                feeds="aten::sqrt aten::rsqrt aten::log",
            ),
        ),
    }


def _any_of(*rows: Mapping[str, tuple[Edit, ...]]) -> dict[str, tuple[Edit, ...]]:
    """One row of the edits of several."""
    return {name: tuple(edit for row in rows for edit in row.get(name, ())) for name in rows[0]}


KINDS: tuple[FaultKind, ...] = (
    FaultKind(
        name="epsilon ×10",
        about="a normalisation's epsilon is ten times what it should be (1e-4 for 1e-5)",
        edits=_epsilon("times", 10.0),
    ),
    FaultKind(
        name="epsilon ×100",
        about="a normalisation's epsilon is a hundred times what it should be (1e-3 for 1e-5)",
        edits=_epsilon("times", 100.0),
    ),
    FaultKind(
        name="rare NaN",
        about="a root or logarithm of what is negative for some inputs only",
        edits=_any_of(
            *(_epsilon("to", -each) for each in (1e-4, 0.01, 0.1, 0.4, 1.0)),
            {
                ONNX: tuple(
                    Edit(operators=("Add", "Conv", "Gemm", "MatMul"), how="logarithm", by=each)
                    for each in (1.0, 2.0, 3.0, 4.0)
                )
            },
        ),
        rare=True,
    ),
    FaultKind(
        name="stale mean",
        about="a batch norm's mean is off by a tenth of its spread",
        edits={
            ONNX: (_constant("BatchNormalization", 3, "shifted", 0.1),),
            TORCHSCRIPT: (_constant("aten::batch_norm", 3, "shifted", 0.1),),
        },
    ),
    FaultKind(
        name="stale variance",
        about="a batch norm's variances are those of the neighbouring channels",
        edits={
            ONNX: (_constant("BatchNormalization", 4, "roll", 1),),
            TORCHSCRIPT: (_constant("aten::batch_norm", 4, "roll", 1),),
        },
    ),
    FaultKind(
        name="GELU variant",
        about="the tanh form of GELU where the exact one is meant, or the reverse",
        edits={
            ONNX: (_attribute("Gelu", "approximate", "other", ("none", "tanh"), "none"),),
            TFLITE: (_attribute("GELU", "approximate", "flip"),),
            TORCHSCRIPT: (_attribute("aten::gelu", "approximate", "other", ("none", "tanh")),),
        },
    ),
    FaultKind(
        name="activation dropped",
        about="an activation is missing",
        edits={
            ONNX: (_operator("Relu HardSwish Clip LeakyRelu Gelu Tanh", "Identity"),),
            TFLITE: (
                _attribute(
                    "CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED ADD MUL",
                    "fusedActivationFunction",
                    "dropped",
                ),
            ),
            TORCHSCRIPT: (
                _operator(
                    "aten::relu aten::relu_ aten::hardtanh_ aten::silu aten::silu_ aten::hardswish"
                    " aten::hardswish_ aten::tanh aten::gelu",
                    "aten::clone",
                ),
            ),
        },
    ),
    FaultKind(
        name="activation replaced",
        about="another activation: Sigmoid for Tanh, ReLU for a smooth one",
        edits={
            ONNX: (
                _operator("HardSwish Gelu Elu LeakyRelu Softplus", "Relu"),
                _operator("Sigmoid", "HardSigmoid"),
                _operator("Tanh", "Sigmoid"),
            ),
            TFLITE: (
                _operator("HARD_SWISH GELU ELU LEAKY_RELU", "RELU"),
                _operator("LOGISTIC", "TANH"),
                _operator("TANH", "LOGISTIC"),
            ),
            TORCHSCRIPT: (
                _operator(
                    "aten::hardswish aten::hardswish_ aten::silu aten::silu_ aten::gelu"
                    " aten::elu aten::leaky_relu aten::hardtanh_",
                    "aten::relu",
                ),
                _operator("aten::sigmoid", "aten::hardsigmoid"),
                _operator("aten::tanh", "aten::sigmoid"),
            ),
        },
    ),
    FaultKind(
        name="activation bound",
        about="a clamp's bound is wrong, or there is one where none should be (ReLU6 for ReLU)",
        edits={
            ONNX: (
                _constant("Clip", 2, "all", 0.5),
                _attribute("HardSigmoid", "alpha", "to", 0.2, 0.2),
            ),
            TFLITE: (
                _attribute(
                    "CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED ADD",
                    "fusedActivationFunction",
                    "bounded",
                ),
                _constant("MINIMUM", 1, "all", 0.5),
            ),
            TORCHSCRIPT: (
                _attribute("aten::hardtanh aten::hardtanh_", "max_val", "times", 0.5),
                _attribute("aten::clamp", "max", "times", 0.5),
            ),
        },
    ),
    FaultKind(
        name="slope dropped",
        about="an activation's slope or alpha falls back to its default",
        edits={
            ONNX: (
                _attribute("LeakyRelu", "alpha", "to", 0.01, 0.01),
                _attribute("Elu", "alpha", "to", 1.5, 1.0),
                _constant("PRelu", 1, "mean"),
            ),
            TFLITE: (
                _attribute("LEAKY_RELU", "alpha", "to", 0.01),
                _constant("PRELU", 1, "mean"),
            ),
            TORCHSCRIPT: (
                _attribute("aten::leaky_relu", "negative_slope", "to", 0.01),
                _attribute("aten::elu", "alpha", "to", 1.5),
                _constant("aten::prelu", 1, "mean"),
            ),
        },
    ),
    FaultKind(
        name="padding side",
        about="padding on one side instead of both, as of SAME at an even stride",
        edits={
            ONNX: (_attribute("Conv MaxPool AveragePool", "pads", "one side"),),
            TFLITE: (_constant("PAD", 1, "one side"),),
        },
    ),
    FaultKind(
        name="dilation",
        about="a convolution's dilation is 2, with the padding that keeps the shape",
        edits={
            ONNX: (_attribute("Conv", "dilations", "dilated"),),
            TFLITE: (_attribute("CONV_2D DEPTHWISE_CONV_2D", "dilation", "dilated"),),
            TORCHSCRIPT: (_attribute(_TS_CONV, "dilation", "dilated"),),
        },
    ),
    FaultKind(
        name="count_include_pad",
        about="an average pool counts the padding, or does not",
        edits={
            ONNX: (_attribute("AveragePool", "count_include_pad", "flip", default=0),),
            TORCHSCRIPT: (_attribute("aten::avg_pool2d", "count_include_pad", "flip"),),
        },
    ),
    FaultKind(
        name="align_corners",
        about="a resize aligns the corners where it should not, or the reverse",
        edits={
            ONNX: (
                _attribute(
                    "Resize",
                    "coordinate_transformation_mode",
                    "other",
                    ("align_corners", "half_pixel"),
                    "half_pixel",
                ),
            ),
            TFLITE: (_attribute("RESIZE_BILINEAR", "alignCorners", "corners"),),
            TORCHSCRIPT: (_attribute("aten::upsample_bilinear2d", "align_corners", "flip"),),
        },
    ),
    FaultKind(
        name="half pixel",
        about="a resize takes pixels' corners for their centres",
        edits={
            ONNX: (
                _attribute(
                    "Resize",
                    "coordinate_transformation_mode",
                    "other",
                    ("asymmetric", "half_pixel"),
                    "half_pixel",
                ),
            ),
            TFLITE: (_attribute("RESIZE_BILINEAR", "halfPixelCenters", "asymmetric"),),
        },
    ),
    FaultKind(
        name="resize mode",
        about="the nearest pixel for the interpolated one, or the reverse",
        edits={
            ONNX: (_attribute("Resize", "mode", "other", ("nearest", "linear"), "nearest"),),
            TFLITE: (_operator("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),),
        },
    ),
    FaultKind(
        name="axes swapped",
        about="two axes of one size are exchanged",
        edits={
            ONNX: (_attribute("Transpose", "perm", "equal sizes"),),
            TFLITE: (_constant("TRANSPOSE", 1, "equal sizes"),),
            TORCHSCRIPT: (
                _attribute("aten::permute", "dims", "exchanged"),
                _attribute("aten::transpose", "dim0", "neighbour"),
            ),
        },
    ),
    FaultKind(
        name="reduced axis",
        about="a mean or maximum goes over another axis of the same size",
        edits={
            ONNX: (_constant("ReduceMean ReduceMax", 1, "equal size"),),
            TFLITE: (_constant("MEAN SUM REDUCE_MAX", 1, "equal size"),),
            TORCHSCRIPT: (_attribute("aten::mean aten::amax", "dim", "neighbour"),),
        },
    ),
    FaultKind(
        name="softmax axis",
        about="a softmax goes over another axis",
        edits={
            ONNX: (_attribute("Softmax LogSoftmax", "axis", "other axis", default=-1),),
            TORCHSCRIPT: (_attribute("aten::softmax aten::log_softmax", "dim", "neighbour"),),
        },
    ),
    FaultKind(
        name="weight transposed",
        about="a square weight is transposed",
        edits=_weights("transposed"),
    ),
    FaultKind(
        name="broadcast axis",
        about="a constant is spread along the other one of two axes of one size",
        edits={
            ONNX: (_constant("Mul Add", 1, "other broadcast"),),
            TFLITE: (_constant("MUL ADD", 1, "other broadcast"),),
        },
    ),
    FaultKind(
        name="concat order",
        about="two parts are joined in the wrong order",
        edits={
            ONNX: (_operands("Concat"),),
            TFLITE: (_operands("CONCATENATION"),),
            TORCHSCRIPT: (_operands("aten::cat"),),
        },
    ),
    FaultKind(
        name="operands swapped",
        about="b − a for a − b, b @ a for a @ b",
        edits={
            ONNX: (_operands("Sub Div MatMul"),),
            TFLITE: (_operands("SUB DIV BATCH_MATMUL"),),
            TORCHSCRIPT: (_operands("aten::sub aten::div aten::matmul"),),
        },
    ),
    FaultKind(
        name="add for sub",
        about="a sum for a difference, or the reverse",
        edits={
            ONNX: (_operator("Sub", "Add"), _operator("Add", "Sub")),
            TFLITE: (_operator("SUB", "ADD"), _operator("ADD", "SUB")),
            TORCHSCRIPT: (
                _operator("aten::sub", "aten::add"),
                _operator("aten::add aten::add_", "aten::sub"),
            ),
        },
    ),
    FaultKind(
        name="slice off by one",
        about="a slice begins one element too early or too late",
        edits={
            ONNX: (_slice("Slice"),),
            TFLITE: (_slice("SLICE"),),
            TORCHSCRIPT: (_slice("aten::slice aten::select"),),
        },
    ),
    FaultKind(
        name="gather off by one",
        about="a look-up takes the neighbour",
        edits={
            ONNX: (
                _constant("Gather", 0, "roll", 1),
                _constant("Gather", 1, "roll", 1),
            ),
            TFLITE: (
                _constant("GATHER", 0, "roll", 1),
                _constant("GATHER", 1, "roll", 1),
            ),
            TORCHSCRIPT: (
                _constant("aten::embedding", 0, "roll", 1),
                _constant("aten::index_select", 2, "roll", 1),
            ),
        },
    ),
    FaultKind(
        name="gate order",
        about="a recurrent layer's gates are in another library's order",
        edits={
            ONNX: (
                _constant("LSTM", 1, "blocks", 4, axis=1),
                _constant("GRU", 1, "blocks", 3, axis=1),
            ),
            TORCHSCRIPT: (
                _constant("aten::lstm", 2, "blocks", 4),
                _constant("aten::gru", 2, "blocks", 3),
            ),
        },
    ),
    FaultKind(
        name="reset gate",
        about="a GRU's reset gate is applied before the product instead of after it",
        edits={ONNX: (_attribute("GRU", "linear_before_reset", "flip", default=0),)},
    ),
    FaultKind(
        name="factor",
        about="a constant that activations are multiplied with or divided by is 2 % off",
        edits={
            ONNX: (_constant("Mul Div", 1, "all", 1.02),),
            TFLITE: (_constant("MUL DIV", 1, "all", 1.02),),
            TORCHSCRIPT: (_constant("aten::mul aten::div", 1, "all", 1.02),),
        },
    ),
    FaultKind(
        name="norm's scale",
        about="one channel of a norm's scale is 10 % off",
        edits={
            ONNX: (_constant("LayerNormalization InstanceNormalization", 1, "channel", 1.1),),
            TORCHSCRIPT: (
                _constant("aten::batch_norm", 1, "channel", 1.1),
                _constant("aten::layer_norm", 2, "channel", 1.1),
            ),
        },
    ),
    FaultKind(
        name="weight element",
        about="one element of a weight is 10 % off",
        edits=_weights("element", 1.1),
    ),
    FaultKind(
        name="weight's sign",
        about="one element of a weight has the wrong sign",
        edits=_weights("element", -1.0),
    ),
    FaultKind(
        name="channel scaled",
        about="one output channel of a weight is 10 % off",
        edits=_weights("channel", 1.1),
    ),
    FaultKind(
        name="channels exchanged",
        about="two neighbouring output channels of a weight are exchanged",
        edits=_weights("exchange"),
    ),
    FaultKind(
        name="weight saturated",
        about="a weight is cut off at half of its largest magnitude",
        edits=_weights("saturated", 0.5),
    ),
    FaultKind(
        name="float16 weight",
        about="one layer's weight went through float16",
        edits=_weights("float16"),
    ),
    FaultKind(
        name="bfloat16 weight",
        about="one layer's weight went through bfloat16",
        edits=_weights("bfloat16"),
    ),
    FaultKind(
        name="bias dropped",
        about="a bias is zero",
        edits=_biases("set", 0.0),
    ),
    FaultKind(
        name="bias of a neighbour",
        about="each channel has its neighbour's bias",
        edits=_biases("roll", 1),
    ),
)


def kind_named(name: str) -> FaultKind:
    """Return a kind.

    Raises:
        KeyError: There is none of that name.
    """
    return {kind.name: kind for kind in KINDS}[name]
