"""The kinds of faults: what goes wrong in conversions, and how each is made in each format."""

from __future__ import annotations

from .edits import (
    ONNX,
    TFLITE,
    TORCHSCRIPT,
    TS_CONV,
    Edit,
    FaultKind,
    any_of,
    attribute,
    biases,
    constant,
    epsilon,
    on_integers,
    operands,
    operator,
    part,
    weights,
)
from .quantized_kinds import QUANTIZED_KINDS

_FLOAT_KINDS: tuple[FaultKind, ...] = (
    FaultKind(
        name="epsilon ×10",
        about="a normalisation's epsilon is ten times what it should be (1e-4 for 1e-5)",
        edits=epsilon("times", 10.0),
    ),
    FaultKind(
        name="epsilon ×100",
        about="a normalisation's epsilon is a hundred times what it should be (1e-3 for 1e-5)",
        edits=epsilon("times", 100.0),
    ),
    FaultKind(
        name="rare NaN",
        about="a root or logarithm of what is negative for some inputs only",
        edits=any_of(
            *(epsilon("to", -each) for each in (1e-4, 0.01, 0.1, 0.4, 1.0)),
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
            ONNX: (constant("BatchNormalization", 3, "shifted", 0.1),),
            TORCHSCRIPT: (constant("aten::batch_norm", 3, "shifted", 0.1),),
        },
    ),
    FaultKind(
        name="stale variance",
        about="a batch norm's variances are those of the neighbouring channels",
        edits={
            ONNX: (constant("BatchNormalization", 4, "roll", 1),),
            TORCHSCRIPT: (constant("aten::batch_norm", 4, "roll", 1),),
        },
    ),
    FaultKind(
        name="GELU variant",
        about="the tanh form of GELU where the exact one is meant, or the reverse",
        edits={
            ONNX: (attribute("Gelu", "approximate", "other", ("none", "tanh"), "none"),),
            TFLITE: (attribute("GELU", "approximate", "flip"),),
            TORCHSCRIPT: (attribute("aten::gelu", "approximate", "other", ("none", "tanh")),),
        },
    ),
    FaultKind(
        name="activation dropped",
        about="an activation is missing",
        edits={
            ONNX: (operator("Relu HardSwish Clip LeakyRelu Gelu Tanh", "Identity"),),
            TFLITE: (
                attribute(
                    "CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED ADD MUL",
                    "fusedActivationFunction",
                    "dropped",
                ),
            ),
            TORCHSCRIPT: (
                operator(
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
        edits=on_integers(
            {
                ONNX: (
                    operator("HardSwish Gelu Elu LeakyRelu Softplus", "Relu"),
                    operator("Sigmoid", "HardSigmoid"),
                    operator("Tanh", "Sigmoid"),
                ),
                TFLITE: (
                    operator("HARD_SWISH GELU ELU LEAKY_RELU", "RELU"),
                    operator("LOGISTIC", "TANH"),
                    operator("TANH", "LOGISTIC"),
                ),
                TORCHSCRIPT: (
                    operator(
                        "aten::hardswish aten::hardswish_ aten::silu aten::silu_ aten::gelu"
                        " aten::elu aten::leaky_relu aten::hardtanh_",
                        "aten::relu",
                    ),
                    operator("aten::sigmoid", "aten::hardsigmoid"),
                    operator("aten::tanh", "aten::sigmoid"),
                ),
            }
        ),
    ),
    FaultKind(
        name="activation bound",
        about="a clamp's bound is wrong, or there is one where none should be (ReLU6 for ReLU)",
        edits=on_integers(
            {
                ONNX: (
                    constant("Clip", 2, "all", 0.5),
                    attribute("HardSigmoid", "alpha", "to", 0.2, 0.2),
                ),
                TFLITE: (
                    attribute(
                        "CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED ADD",
                        "fusedActivationFunction",
                        "bounded",
                    ),
                    constant("MINIMUM", 1, "all", 0.5),
                ),
                TORCHSCRIPT: (
                    attribute("aten::hardtanh aten::hardtanh_", "max_val", "times", 0.5),
                    attribute("aten::clamp", "max", "times", 0.5),
                ),
            }
        ),
    ),
    FaultKind(
        name="slope dropped",
        about="an activation's slope or alpha falls back to its default",
        edits={
            ONNX: (
                attribute("LeakyRelu", "alpha", "to", 0.01, 0.01),
                attribute("Elu", "alpha", "to", 1.5, 1.0),
                constant("PRelu", 1, "mean"),
            ),
            TFLITE: (
                attribute("LEAKY_RELU", "alpha", "to", 0.01),
                constant("PRELU", 1, "mean"),
            ),
            TORCHSCRIPT: (
                attribute("aten::leaky_relu", "negative_slope", "to", 0.01),
                attribute("aten::elu", "alpha", "to", 1.5),
                constant("aten::prelu", 1, "mean"),
            ),
        },
    ),
    FaultKind(
        name="padding side",
        about="padding on one side instead of both, as of SAME at an even stride",
        edits=on_integers(
            {
                ONNX: (attribute("Conv MaxPool AveragePool", "pads", "one side"),),
                TFLITE: (constant("PAD", 1, "one side"),),
            }
        ),
    ),
    FaultKind(
        name="dilation",
        about="a convolution's dilation is 2, with the padding that keeps the shape",
        edits=on_integers(
            {
                ONNX: (attribute("Conv", "dilations", "dilated"),),
                TFLITE: (attribute("CONV_2D DEPTHWISE_CONV_2D", "dilation", "dilated"),),
                TORCHSCRIPT: (attribute(TS_CONV, "dilation", "dilated"),),
            }
        ),
    ),
    FaultKind(
        name="count_include_pad",
        about="an average pool counts the padding, or does not",
        edits={
            ONNX: (attribute("AveragePool", "count_include_pad", "flip", default=0),),
            TORCHSCRIPT: (attribute("aten::avg_pool2d", "count_include_pad", "flip"),),
        },
    ),
    FaultKind(
        name="align_corners",
        about="a resize aligns the corners where it should not, or the reverse",
        edits=on_integers(
            {
                ONNX: (
                    attribute(
                        "Resize",
                        "coordinate_transformation_mode",
                        "other",
                        ("align_corners", "half_pixel"),
                        "half_pixel",
                    ),
                ),
                TFLITE: (attribute("RESIZE_BILINEAR", "alignCorners", "corners"),),
                TORCHSCRIPT: (attribute("aten::upsample_bilinear2d", "align_corners", "flip"),),
            }
        ),
    ),
    FaultKind(
        name="half pixel",
        about="a resize takes pixels' corners for their centres",
        edits=on_integers(
            {
                ONNX: (
                    attribute(
                        "Resize",
                        "coordinate_transformation_mode",
                        "other",
                        ("asymmetric", "half_pixel"),
                        "half_pixel",
                    ),
                ),
                TFLITE: (attribute("RESIZE_BILINEAR", "halfPixelCenters", "asymmetric"),),
            }
        ),
    ),
    FaultKind(
        name="resize mode",
        about="the nearest pixel for the interpolated one, or the reverse",
        edits={
            ONNX: (attribute("Resize", "mode", "other", ("nearest", "linear"), "nearest"),),
            TFLITE: (operator("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),),
        },
    ),
    FaultKind(
        name="axes swapped",
        about="two axes of one size are exchanged",
        edits=on_integers(
            {
                ONNX: (attribute("Transpose", "perm", "equal sizes"),),
                TFLITE: (constant("TRANSPOSE", 1, "equal sizes"),),
                TORCHSCRIPT: (
                    attribute("aten::permute", "dims", "exchanged"),
                    attribute("aten::transpose", "dim0", "neighbour"),
                ),
            }
        ),
    ),
    FaultKind(
        name="reduced axis",
        about="a mean or maximum goes over another axis of the same size",
        edits=on_integers(
            {
                ONNX: (constant("ReduceMean ReduceMax", 1, "equal size"),),
                TFLITE: (constant("MEAN SUM REDUCE_MAX", 1, "equal size"),),
                TORCHSCRIPT: (attribute("aten::mean aten::amax", "dim", "neighbour"),),
            }
        ),
    ),
    FaultKind(
        name="softmax axis",
        about="a softmax goes over another axis",
        edits={
            ONNX: (attribute("Softmax LogSoftmax", "axis", "other axis", default=-1),),
            TORCHSCRIPT: (attribute("aten::softmax aten::log_softmax", "dim", "neighbour"),),
        },
    ),
    FaultKind(
        name="weight transposed",
        about="a square weight is transposed",
        edits=on_integers(weights("transposed")),
    ),
    FaultKind(
        name="broadcast axis",
        about="a constant is spread along the other one of two axes of one size",
        edits={
            ONNX: (constant("Mul Add", 1, "other broadcast"),),
            TFLITE: (constant("MUL ADD", 1, "other broadcast"),),
        },
    ),
    FaultKind(
        name="concat order",
        about="two parts are joined in the wrong order",
        edits=on_integers(
            {
                ONNX: (operands("Concat"),),
                TFLITE: (operands("CONCATENATION"),),
                TORCHSCRIPT: (operands("aten::cat"),),
            }
        ),
    ),
    FaultKind(
        name="operands swapped",
        about="b − a for a − b, b @ a for a @ b",
        edits=on_integers(
            {
                ONNX: (operands("Sub Div MatMul"),),
                TFLITE: (operands("SUB DIV BATCH_MATMUL"),),
                TORCHSCRIPT: (operands("aten::sub aten::div aten::matmul"),),
            }
        ),
    ),
    FaultKind(
        name="add for sub",
        about="a sum for a difference, or the reverse",
        edits=on_integers(
            {
                ONNX: (operator("Sub", "Add"), operator("Add", "Sub")),
                TFLITE: (operator("SUB", "ADD"), operator("ADD", "SUB")),
                TORCHSCRIPT: (
                    operator("aten::sub", "aten::add"),
                    operator("aten::add aten::add_", "aten::sub"),
                ),
            }
        ),
    ),
    FaultKind(
        name="slice off by one",
        about="a slice begins one element too early or too late",
        edits=on_integers(
            {
                ONNX: (part("Slice"),),
                TFLITE: (part("SLICE"),),
                TORCHSCRIPT: (part("aten::slice aten::select"),),
            }
        ),
    ),
    FaultKind(
        name="gather off by one",
        about="a look-up takes the neighbour",
        edits={
            ONNX: (
                constant("Gather", 0, "roll", 1),
                constant("Gather", 1, "roll", 1),
            ),
            TFLITE: (
                constant("GATHER", 0, "roll", 1),
                constant("GATHER", 1, "roll", 1),
            ),
            TORCHSCRIPT: (
                constant("aten::embedding", 0, "roll", 1),
                constant("aten::index_select", 2, "roll", 1),
            ),
        },
    ),
    FaultKind(
        name="gate order",
        about="a recurrent layer's gates are in another library's order",
        edits={
            ONNX: (
                constant("LSTM", 1, "blocks", 4, axis=1),
                constant("GRU", 1, "blocks", 3, axis=1),
            ),
            TORCHSCRIPT: (
                constant("aten::lstm", 2, "blocks", 4),
                constant("aten::gru", 2, "blocks", 3),
            ),
        },
    ),
    FaultKind(
        name="reset gate",
        about="a GRU's reset gate is applied before the product instead of after it",
        edits={ONNX: (attribute("GRU", "linear_before_reset", "flip", default=0),)},
    ),
    FaultKind(
        name="factor",
        about="a constant that activations are multiplied with or divided by is 2 % off",
        edits={
            ONNX: (constant("Mul Div", 1, "all", 1.02),),
            TFLITE: (constant("MUL DIV", 1, "all", 1.02),),
            TORCHSCRIPT: (constant("aten::mul aten::div", 1, "all", 1.02),),
        },
    ),
    FaultKind(
        name="norm's scale",
        about="one channel of a norm's scale is 10 % off",
        edits={
            ONNX: (constant("LayerNormalization InstanceNormalization", 1, "channel", 1.1),),
            TORCHSCRIPT: (
                constant("aten::batch_norm", 1, "channel", 1.1),
                constant("aten::layer_norm", 2, "channel", 1.1),
            ),
        },
    ),
    FaultKind(
        name="weight element",
        about="one element of a weight is 10 % off",
        edits=weights("element", 1.1),
    ),
    FaultKind(
        name="weight's sign",
        about="one element of a weight has the wrong sign",
        edits=on_integers(weights("element", -1.0)),
    ),
    FaultKind(
        name="channel scaled",
        about="one output channel of a weight is 10 % off",
        edits=weights("channel", 1.1),
    ),
    FaultKind(
        name="channels exchanged",
        about="two neighbouring output channels of a weight are exchanged",
        edits=on_integers(weights("exchange")),
    ),
    FaultKind(
        name="weight saturated",
        about="a weight is cut off at half of its largest magnitude",
        edits=on_integers(weights("saturated", 0.5)),
    ),
    FaultKind(
        name="float16 weight",
        about="one layer's weight went through float16",
        edits=weights("float16"),
    ),
    FaultKind(
        name="bfloat16 weight",
        about="one layer's weight went through bfloat16",
        edits=weights("bfloat16"),
    ),
    FaultKind(
        name="bias dropped",
        about="a bias is zero",
        edits=on_integers(biases("set", 0.0)),
    ),
    FaultKind(
        name="bias of a neighbour",
        about="each channel has its neighbour's bias",
        edits=on_integers(biases("roll", 1)),
    ),
)
KINDS: tuple[FaultKind, ...] = (*_FLOAT_KINDS, *QUANTIZED_KINDS)


def kind_named(name: str) -> FaultKind:
    """Return a kind.

    Raises:
        KeyError: There is none of that name.
    """
    return {kind.name: kind for kind in KINDS}[name]
