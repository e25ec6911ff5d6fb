"""The three graphs that onnx2tf's work passes through, read into one vocabulary of axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConversionError
from .axes import Graph, Kind, Node, Shape

if TYPE_CHECKING:
    import onnx


def _kinds(groups: Mapping[Kind, str]) -> dict[str, Kind]:
    return {op: kind for kind, ops in groups.items() for op in ops.split()}


_ONNX = _kinds(
    {
        Kind.JOIN: "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot "
        "BitwiseOr BitwiseXor Cast CastLike Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp "
        "Expand Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish IsInf IsNaN "
        "LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal "
        "Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Tan Tanh "
        "ThresholdedRelu Where Xor",
        Kind.ALONG: "AveragePool BatchNormalization CumSum GlobalAveragePool GlobalLpPool "
        "GlobalMaxPool GroupNormalization Hardmax InstanceNormalization LRN LayerNormalization "
        "LogSoftmax LpNormalization LpPool MaxPool MeanVarianceNormalization Pad "
        "RMSNormalization Resize ReverseSequence Slice Softmax Split Tile TopK Trilu Upsample",
        Kind.CHANNEL: "Conv ConvTranspose",
        Kind.CONCAT: "Concat",
        Kind.TRANSPOSE: "Transpose",
        Kind.RESHAPE: "Dropout Flatten Identity Reshape Squeeze Unsqueeze",
        Kind.GATHER: "Gather",
        Kind.REDUCE: "ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
        "ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare",
        Kind.MATMUL: "MatMul",
        Kind.DENSE: "Gemm",
    }
)
_TENSORFLOW = _kinds(
    {
        Kind.JOIN: "Abs Add AddN AddV2 BiasAdd BroadcastTo Cast Ceil ClipByValue Cos Div DivNoNan "
        "Elu Equal Erf Erfc Exp Floor FloorDiv FloorMod Greater GreaterEqual LeakyRelu "
        "Less LessEqual Log Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Mul Neg NotEqual "
        "Pow RealDiv Reciprocal Relu Relu6 Round Rsqrt Select SelectV2 Selu Sigmoid Sign Sin "
        "Softplus Softsign Sqrt Square SquaredDifference Sub Tan Tanh",
        Kind.ALONG: "AvgPool AvgPool3D BatchToSpaceND Cumsum DepthwiseConv2dNative "
        "FusedBatchNormV3 LRN LogSoftmax MaxPool MaxPool3D MirrorPad Pad PadV2 ResizeBicubic "
        "ResizeBilinear ResizeNearestNeighbor ReverseV2 Slice Softmax SpaceToBatchND Split SplitV "
        "StridedSlice Tile TopKV2",
        Kind.CHANNEL: "Conv2D Conv2DBackpropInput Conv3D Conv3DBackpropInputV2",
        Kind.CONCAT: "ConcatV2",
        Kind.TRANSPOSE: "Transpose",
        Kind.RESHAPE: "ExpandDims Identity Reshape Squeeze StopGradient",
        Kind.GATHER: "GatherV2",
        Kind.REDUCE: "All Any ArgMax ArgMin Max Mean Min Prod Sum",
        Kind.MATMUL: "BatchMatMul BatchMatMulV2 BatchMatMulV3 MatMul",
    }
)
_TFLITE = _kinds(
    {
        Kind.JOIN: "ABS ADD ADD_N BROADCAST_TO CAST CEIL COS DEQUANTIZE DIV ELU EQUAL EXP FLOOR "
        "FLOOR_DIV FLOOR_MOD GELU GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG "
        "LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC MAXIMUM MINIMUM MUL NEG NOT_EQUAL POW PRELU "
        "RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SELECT SELECT_V2 SIGN SIN SQRT SQUARE "
        "SQUARED_DIFFERENCE SUB TANH",
        Kind.ALONG: "AVERAGE_POOL_2D BATCH_TO_SPACE_ND CUMSUM DEPTHWISE_CONV_2D L2_NORMALIZATION "
        "LOCAL_RESPONSE_NORMALIZATION LOG_SOFTMAX MAX_POOL_2D MIRROR_PAD PAD PADV2 "
        "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 SLICE SOFTMAX SPACE_TO_BATCH_ND SPLIT "
        "SPLIT_V STRIDED_SLICE TILE TOPK_V2",
        Kind.CHANNEL: "CONV_2D CONV_3D CONV_3D_TRANSPOSE TRANSPOSE_CONV",
        Kind.CONCAT: "CONCATENATION",
        Kind.TRANSPOSE: "TRANSPOSE",
        Kind.RESHAPE: "EXPAND_DIMS RESHAPE SQUEEZE",
        Kind.GATHER: "GATHER",
        Kind.REDUCE: "ARG_MAX ARG_MIN MEAN REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN "
        "REDUCE_PROD SUM",
        Kind.MATMUL: "BATCH_MATMUL",
        Kind.DENSE: "FULLY_CONNECTED",
    }
)
# where the tensor that the kind speaks of is not the first input
_SUBJECT = {
    "Conv2DBackpropInput": 2, "Conv3DBackpropInputV2": 2, "Split": 1,
    "TRANSPOSE_CONV": 2, "CONV_3D_TRANSPOSE": 2, "SPLIT": 1,
}  # fmt: skip
Constant = Callable[[int], Sequence[int] | None]


def onnx_kind(op: str) -> Kind:
    """Return what an ONNX operator does with axes."""
    return _ONNX.get(op, Kind.OTHER)


def onnx_graph(model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> Graph:
    """Read an ONNX graph.

    Args:
        model: A model.
        shapes: Shapes of its values; operators with results of unknown shape are left out.
    """
    from onnx import numpy_helper

    stored = {each.name: each for each in model.graph.initializer}
    nodes = []
    for each in model.graph.node:
        if not all(name in shapes for name in (*each.output, *each.input) if name):
            continue

        def constant(index: int, each: onnx.NodeProto = each) -> Sequence[int] | None:
            name = each.input[index] if index < len(each.input) else ""
            if name not in stored:
                return None
            return _integers(numpy_helper.to_array(stored[name]))

        nodes.append(_onnx_node(each, constant, shapes))
    return Graph(nodes=tuple(nodes), shapes=shapes)


def _onnx_node(each: onnx.NodeProto, constant: Constant, shapes: Mapping[str, Shape]) -> Node:
    from onnx import helper

    kind = onnx_kind(each.op_type)
    attributes = {item.name: helper.get_attribute_value(item) for item in each.attribute}
    inputs = tuple(name for name in each.input if name)
    axes: Sequence[int] | None = ()
    keep = bool(attributes.get("keepdims", 1))
    if kind is Kind.CHANNEL:
        depthwise = 1 < attributes.get("group", 1) == shapes[each.output[0]][1]
        kind, axes = (Kind.ALONG, ()) if depthwise else (kind, (1,))
    elif kind is Kind.CONCAT:
        axes = (attributes["axis"],)
    elif kind is Kind.TRANSPOSE:
        rank = len(shapes[inputs[0]])
        axes = attributes.get("perm") or tuple(reversed(range(rank)))
    elif kind is Kind.GATHER or each.op_type in ("ArgMax", "ArgMin"):
        axes = (attributes.get("axis", 0),)
    elif kind is Kind.REDUCE:
        axes = attributes.get("axes") or constant(1)
        if axes is None and len(inputs) == 1:
            axes = () if attributes.get("noop_with_empty_axes") else range(len(shapes[inputs[0]]))
    elif each.op_type == "Gemm" and attributes.get("transA"):
        kind = Kind.OTHER
    elif kind is Kind.RESHAPE:
        inputs = inputs[:1]
    if axes is None:
        kind, axes = Kind.OTHER, ()
    outputs = tuple(name for name in each.output if name)
    return Node(kind=kind, inputs=inputs, outputs=outputs, axes=tuple(axes), keep=keep)


def tensorflow_graph(graph: Any) -> Graph:
    """Read a TensorFlow function's graph; tensors are named ``node:index``."""
    import tensorflow as tf

    nodes = []
    shapes = {}
    for each in graph.get_operations():
        for tensor in each.outputs:
            rank = tensor.shape.rank
            sizes = () if rank is None else tuple(size or 0 for size in tensor.shape)
            shapes[tensor.name] = sizes

        def constant(index: int, each: Any = each) -> Sequence[int] | None:
            value = tf.get_static_value(each.inputs[index]) if index < len(each.inputs) else None
            return None if value is None else _integers(value)

        if each.inputs and each.outputs:
            nodes.append(_tensorflow_node(each, constant, shapes))
    return Graph(nodes=tuple(nodes), shapes=shapes)


def _tensorflow_node(each: Any, constant: Constant, shapes: Mapping[str, Shape]) -> Node:
    kind = _TENSORFLOW.get(each.type, Kind.OTHER)
    inputs = _subject_first(each.type, [tensor.name for tensor in each.inputs])
    axes: Sequence[int] | None = ()
    keep = True
    swapped = (False, False)
    if passed_on := _passed_on(each):
        kind, inputs = Kind.RESHAPE, (passed_on,)
    elif kind is Kind.CHANNEL:
        axes = (-1,)
        channels_last = each.get_attr("data_format").endswith(b"C")
        kind = kind if channels_last else Kind.OTHER
    elif kind is Kind.CONCAT:
        axes, inputs = constant(len(inputs) - 1), inputs[:-1]
    elif kind is Kind.TRANSPOSE:
        axes = constant(1)
    elif kind is Kind.GATHER:
        axes = None if each.get_attr("batch_dims") else constant(2)
    elif kind is Kind.REDUCE:
        axes = constant(1)
        keep = each.type not in ("ArgMax", "ArgMin") and bool(each.get_attr("keep_dims"))
    elif kind is Kind.MATMUL:
        names = ("transpose_a", "transpose_b") if each.type == "MatMul" else ("adj_x", "adj_y")
        swapped = (bool(each.get_attr(names[0])), bool(each.get_attr(names[1])))
    elif each.type == "StridedSlice" and (mask := each.get_attr("shrink_axis_mask")):
        kind, axes, keep = Kind.REDUCE, _bits(mask), False
    if axes is None:
        kind, axes = Kind.OTHER, ()
    outputs = tuple(tensor.name for tensor in each.outputs)
    return Node(
        kind=kind, inputs=inputs, outputs=outputs, axes=tuple(axes), keep=keep, swapped=swapped
    )


_NEUTRAL = {"Add": 0, "AddV2": 0, "BiasAdd": 0, "Mul": 1, "Sub": 0}


def _passed_on(each: Any) -> str | None:
    """Return the operand that an operator passes on unchanged, adding zeros or multiplying by one.

    TensorFlow's converter leaves such operators out, and their names with them.
    """
    import tensorflow as tf

    if each.type not in _NEUTRAL:
        return None
    operands = [tensor.name for tensor in each.inputs]
    for other in (1,) if each.type == "Sub" else (1, 0):
        constant = tf.get_static_value(each.inputs[other])
        if constant is not None and np.all(constant == _NEUTRAL[each.type]):
            return str(operands[1 - other])
    return None


def tflite_graph(model: Any) -> Graph:
    """Read the main subgraph of a TFLite model (a ``ModelT`` of the schema's object interface)."""
    subgraph = model.subgraphs[0]
    names = tensor_names(model)
    nodes = []
    for each in subgraph.operators:

        def constant(index: int, each: Any = each) -> Sequence[int] | None:
            if index >= len(each.inputs) or each.inputs[index] < 0:
                return None
            data = model.buffers[subgraph.tensors[each.inputs[index]].buffer].data
            if data is None or not len(data):
                return None
            return _integers(np.asarray(data, dtype=np.uint8).view(np.int32))

        op = operator_name(model, each)
        inputs = [names[index] for index in each.inputs if index >= 0]
        outputs = tuple(names[index] for index in each.outputs)
        nodes.append(_tflite_node(op, each.builtinOptions, inputs, outputs, constant))
    shapes = {name: _shape(tensor) for name, tensor in zip(names, subgraph.tensors, strict=True)}
    return Graph(nodes=tuple(nodes), shapes=shapes)


def _tflite_node(
    op: str,
    options: Any,
    operands: Sequence[str],
    outputs: tuple[str, ...],
    constant: Constant,
) -> Node:
    kind = _TFLITE.get(op, Kind.OTHER)
    inputs = _subject_first(op, operands)
    axes: Sequence[int] | None = ()
    keep = True
    swapped = (False, False)
    if kind is Kind.CHANNEL:
        axes = (-1,)
    elif kind is Kind.CONCAT:
        axes = (options.axis,)
    elif kind is Kind.TRANSPOSE:
        axes = constant(1)
    elif kind is Kind.GATHER:
        axes = None if options.batchDims else (options.axis,)
    elif kind is Kind.REDUCE:
        axes = constant(1)
        keep = op not in ("ARG_MAX", "ARG_MIN") and bool(options.keepDims)
    elif kind is Kind.MATMUL:
        swapped = (bool(options.adjX), bool(options.adjY))
    elif op == "STRIDED_SLICE" and options.shrinkAxisMask:
        kind, axes, keep = Kind.REDUCE, _bits(options.shrinkAxisMask), False
    if axes is None:
        kind, axes = Kind.OTHER, ()
    return Node(
        kind=kind, inputs=inputs, outputs=outputs, axes=tuple(axes), keep=keep, swapped=swapped
    )


def value_made_with(graph: Graph, tensors: Mapping[str, str], start: Iterable[str]) -> str:
    """Return the first ONNX value that depends on some tensors of a graph, or is one of them.

    Args:
        graph: The graph.
        tensors: ONNX value → tensor of the graph.
        start: The tensors.

    Returns:
        The value; empty if there is none.
    """
    values = {tensor: value for value, tensor in tensors.items()}
    reached = set(start)
    for tensor in reached & values.keys():
        return values[tensor]
    for node in graph.nodes:
        if reached.intersection(node.inputs):
            for tensor in node.outputs:
                if tensor in values:
                    return values[tensor]
            reached.update(node.outputs)
    return ""


def tensor_names(model: Any) -> list[str]:
    """Return the names of a TFLite model's tensors in its main subgraph."""
    return [(tensor.name or b"").decode() for tensor in model.subgraphs[0].tensors]


def signature_tensors(model: Any) -> dict[str, str]:
    """Return the names in a TFLite model's signature → its tensors."""
    names = tensor_names(model)
    if not model.signatureDefs:
        raise ConversionError("TensorFlow's converter made a TFLite file without a signature")
    definition = model.signatureDefs[0]
    return {
        each.name.decode(): names[each.tensorIndex]
        for each in (*definition.inputs, *definition.outputs)
    }


def operator_name(model: Any, operator: Any) -> str:
    """Return the name of a TFLite operator; a custom one's own name after ``CUSTOM:``."""
    from ai_edge_litert import schema_py_generated as schema

    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == schema.BuiltinOperator.CUSTOM:
        return f"CUSTOM:{(code.customCode or b'?').decode()}"
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    return str(names.get(number, number))


def _subject_first(op: str, inputs: Sequence[str]) -> tuple[str, ...]:
    subject = _SUBJECT.get(op, 0)
    return (inputs[subject], *inputs[:subject], *inputs[subject + 1 :])


def _bits(mask: int) -> tuple[int, ...]:
    return tuple(index for index in range(mask.bit_length()) if mask >> index & 1)


def _shape(tensor: Any) -> Shape:
    shape: Iterable[int] = () if tensor.shape is None else tensor.shape
    return tuple(max(int(size), 0) for size in shape)


def _integers(value: Any) -> Sequence[int]:
    return [int(each) for each in np.asarray(value).reshape(-1)]
