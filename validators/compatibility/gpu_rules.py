"""What the GPU delegate refuses, by the rules that its sources and its messages state.

It is the delegate of the Interpreter API (``GpuDelegate``). The rules are those of
``CheckGpuDelegateCompatibility`` (``tools/versioning/gpu_compatibility.cc`` up to TensorFlow 2.18),
of the tensor types that ``GetOpsToReplace`` takes, and of the batch sizes that the delegate
compares when it starts. A device may refuse more; what is named here no device takes.

LiteRT's CompiledModel has a GPU accelerator of its own (ML Drift), which takes more operators and
integer types; of that only kinds, ranks and types are known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from ...inspection.tflite_graph import (
    GraphOperator,
    GraphTensor,
    TFLiteGraph,
    with_stored_weights,
)

Rule: TypeAlias = Callable[[GraphOperator], str]

MOST_AXES = 4

_FLOATS = ("float32", "float16")
_QUANTIZED = ("int8", "uint8")

RULES = (
    "the delegate has kernels for some operators only",
    "tensors that are computed are float32 or float16, or int8 and uint8 with a scale; int32 and "
    "bool are taken as indices and conditions of a few operators, int64 never",
    f"tensors have at most {MOST_AXES} axes",
    "the first axis, the batch, is the same in all tensors; one that differs stops the whole "
    "delegate",
    "axes, paddings and shapes are constants",
    "a size that may change is fixed when the delegate is applied: set it before",
    "these are the rules of the Interpreter's GPU delegate; the accelerator of CompiledModel takes "
    "more kinds of operators (accelerator: true, by kind, axes and types alone)",
)

# What the accelerator takes, as of LiteRT 2.3, and the delegate does not.
_ACCELERATOR = """
ARG_MAX BITCAST BITWISE_XOR LOGICAL_NOT LOGICAL_OR REDUCE_ALL REDUCE_ANY RELU_0_TO_1 REVERSE_V2
RIGHT_SHIFT ROUND STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CBRT STABLEHLO_CLAMP STABLEHLO_COMPOSITE
STABLEHLO_REMAINDER STABLEHLO_SHIFT_LEFT TOPK_V2 UNPACK
"""
_ACCELERATOR_KINDS = frozenset(_ACCELERATOR.split())


def refusals(graph: TFLiteGraph) -> Iterator[tuple[GraphOperator, str]]:
    """Yield the operators of the main graph that the delegate refuses, each with the reason."""
    batch = _batch(graph)
    for operator in with_stored_weights(graph.main):
        if operator.unpacks_weights:  # the delegate reads the stored ones
            continue
        reason = refusal(operator) or _batch_reason(operator, batch)
        if reason:
            yield operator, reason


def refusal(operator: GraphOperator) -> str:
    """Say why the delegate refuses an operator, or nothing if no rule does."""
    rules = KINDS.get(operator.name)
    if rules is None:
        return f"the GPU delegate has no kernel for {operator.name}"
    for rule in (_axes, *rules, _types):
        reason = rule(operator)
        if reason:
            return reason
    return ""


def accelerator_takes(operator: GraphOperator) -> bool:
    """Whether CompiledModel's accelerator has a kernel for an operator's kind, axes and types."""
    tensors = [*(each for each in operator.inputs if each is not None), *operator.outputs]
    return (
        (operator.name in KINDS or operator.name in _ACCELERATOR_KINDS)
        and all(each.rank <= MOST_AXES for each in tensors)
        and not any(each.dtype == "int64" for each in (*operator.read, *operator.outputs))
    )


def _batch(graph: TFLiteGraph) -> tuple[int | None, ...]:
    """Batch sizes that the inputs have: one, if the delegate can take the model at all."""
    inputs = [graph.tensors[0][index] for index in graph.inputs]
    return tuple(dict.fromkeys(each.shape[0] for each in inputs if each.rank))[:1]


def _batch_reason(operator: GraphOperator, batch: Sequence[int | None]) -> str:
    for each in (*operator.outputs, *operator.read):
        if each.rank and batch and each.shape[0] not in (*batch, None) and None not in batch:
            return (
                f"the first axis of {each} is {each.shape[0]} and that of the input {batch[0]}: "
                "the GPU delegate takes one batch size throughout, or else nothing of the model"
            )
    return ""


# -- rules for every operator ------------------------------------------------------------------


def _types(operator: GraphOperator) -> str:
    if operator.name == "CAST":  # it has pairs of types
        return ""
    allowed = _ALSO.get(operator.name, {})
    places = [
        *((f"in{place}", each) for place, each in enumerate(operator.inputs)),
        *(("out", each) for each in operator.outputs),
    ]
    for place, each in places:
        if each is None or each.constant or each.dtype in _FLOATS:
            continue
        if each.dtype in _QUANTIZED and each.quantized:
            continue
        if each.dtype not in allowed.get(place, ()):
            return f"the GPU delegate does not compute {operator.name} of {each}"
    return ""


_TRUTH: dict[str, tuple[str, ...]] = {"out": ("bool",)}
_ALSO: dict[str, dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"), _TRUTH
    ),
    "LOGICAL_AND": {"in0": ("bool",), "in1": ("bool",), "out": ("bool",)},
    "SELECT": {"in0": ("bool",)},
    "SELECT_V2": {"in0": ("bool",)},
    "GATHER": {"in1": ("int32",)},
    "ONE_HOT": {"in0": ("int32",)},
    "EMBEDDING_LOOKUP": {"in0": ("int32",)},
    "DYNAMIC_UPDATE_SLICE": {"in2": ("int32",)},
}


def _axes(operator: GraphOperator) -> str:
    for each in (*operator.read, *operator.outputs):
        if each.rank > MOST_AXES:
            return f"{each} has {each.rank} axes; the GPU delegate knows {MOST_AXES}"
    return ""


# -- rules for some ----------------------------------------------------------------------------


def _reads(*counts: int) -> Rule:
    """A number of inputs that are computed."""
    wanted = " or ".join(map(str, counts))

    def rule(operator: GraphOperator) -> str:
        found = len(operator.read)
        if found in counts:
            return ""
        return f"it reads {found} computed tensors; the GPU delegate takes {wanted}"

    return rule


def _constant(place: int, what: str) -> Rule:
    def rule(operator: GraphOperator) -> str:
        each = _input(operator, place)
        if each is not None and not each.constant:
            return f"its {what} is computed when it runs; the GPU delegate takes a constant"
        return ""

    return rule


def _option(name: str, least: int, why: str) -> Rule:
    """An option that must be at least a number."""
    return lambda operator: why if operator.options.get(name, least) < least else ""


def _without(name: str) -> Rule:
    """An option that must be 0 or false."""
    return lambda operator: (
        f"the GPU delegate does not know {name}" if operator.options.get(name) else ""
    )


def _rank(place: int, *ranks: int) -> Rule:
    def rule(operator: GraphOperator) -> str:
        each = _input(operator, place)
        if each is None or each.rank in ranks:
            return ""
        return f"{each} has {each.rank} axes; {operator.name} takes {' or '.join(map(str, ranks))}"

    return rule


def _activation(operator: GraphOperator) -> str:
    if operator.options.get("fused_activation_function") == "SIGN_BIT":
        return "the GPU delegate does not fuse SIGN_BIT"
    return ""


def _ranks(operator: GraphOperator) -> str:
    """ADD and MUL: operands of other ranks are repeated in few forms only."""
    first, second = _input(operator, 0), _input(operator, 1)
    if first is None or second is None or first.rank == second.rank:
        return ""
    long, short = sorted((first, second), key=lambda each: -each.rank)
    if short.rank < 2 or (long.rank == 4 and _repeats(_sizes(long), _sizes(short))):
        return ""
    return f"the GPU delegate does not repeat {short} over {long}: make their ranks equal"


def _repeats(long: Sequence[int], short: Sequence[int]) -> bool:
    """Whether a tensor of 4 axes may meet one of 3 or 2: [h, w, c], [1, 1] or [batch, c]."""
    if len(short) == 3:
        return long[0] == 1
    alone = long[0] == 1 and list(short) == [1, 1]
    return alone or [long[0], long[3]] == list(short)


def _sizes(tensor: GraphTensor) -> list[int]:
    """Sizes; one that may change is 1 until it is set, as in the file."""
    return [1 if size is None else size for size in tensor.shape]


def _product(operator: GraphOperator) -> str:
    """MUL: neither operand may be smaller than the other in some axes and larger in others.

    The delegate has one tensor of the result's shape and repeats the other over it.
    """
    first, second = _input(operator, 0), _input(operator, 1)
    if first is None or second is None or first.rank != second.rank:
        return ""
    pairs = list(zip(_sizes(first), _sizes(second), strict=True))
    if any(a < b for a, b in pairs) and any(a > b for a, b in pairs):
        return f"{first} and {second} are both repeated; the GPU delegate repeats one of them"
    return ""


def _cast(operator: GraphOperator) -> str:
    source, result = _input(operator, 0), operator.output
    assert source is not None
    numbers = ("float32", "int32")
    pairs = (
        source.dtype == "bool" and result.dtype in _FLOATS,
        result.dtype == "bool" and source.dtype in _FLOATS,
        source.dtype in numbers and result.dtype in numbers,
    )
    if any(pairs):
        return ""
    return f"the GPU delegate does not turn {source.dtype} into {result.dtype}"


def _select(operator: GraphOperator) -> str:
    """Both branches must have the result's shape or one element."""
    for place in (1, 2):
        each = _input(operator, place)
        if each is None or each.dtype not in _FLOATS:
            return f"its branches are not all floats: {each}"
        single = each.rank < 2 and all(size == 1 for size in each.shape)
        if each.shape != operator.output.shape and not single:
            return f"its branch {each} is repeated; the GPU delegate repeats single numbers only"
    return ""


def _depthwise(operator: GraphOperator) -> str:
    image = _input(operator, 0)
    multiplier = operator.options.get("depth_multiplier", 1)
    if image is not None and image.rank and image.shape[-1] != 1 and multiplier > 1:
        return f"its depth multiplier is {multiplier}; the GPU delegate takes 1"
    return ""


def _softmax(operator: GraphOperator) -> str:
    beta = operator.options.get("beta", 1.0)
    return "" if beta == 1 else f"its beta is {beta:g}; the GPU delegate takes 1"


def _paddings(operator: GraphOperator) -> str:
    each = _input(operator, 1)
    if each is None or (each.rank == 2 and each.shape[0] in (3, 4)):
        return ""
    return f"its paddings are {each}; the GPU delegate takes those of 3 or 4 axes"


def _mirror(operator: GraphOperator) -> str:
    return (
        "" if operator.options.get("mode", 0) == 0 else "the GPU delegate mirrors by REFLECT only"
    )


def _input(operator: GraphOperator, place: int) -> GraphTensor | None:
    return operator.inputs[place] if place < len(operator.inputs) else None


_SMALL_BLOCK = "the GPU delegate takes blocks of 2 and more"
_AXES_CONSTANT = (_constant(1, "list of axes"), _reads(1))
_SLICED = (_rank(0, 3, 4), _constant(1, "start"), _constant(2, "size"))
_PAD = (_constant(1, "padding"), _reads(1), _paddings)
_BINARY = (_reads(1, 2), _activation)


def _rows(names: str, *rules: Rule) -> dict[str, tuple[Rule, ...]]:
    return dict.fromkeys(names.split(), rules)


KINDS: dict[str, tuple[Rule, ...]] = {
    **_rows(
        "ABS CEIL COS ELU EXP FLOOR GELU LOG LOGISTIC NEG RSQRT SIGN SIN SQRT SQUARE TANH "
        "HARD_SWISH QUANTIZE",
        _reads(1),
    ),
    "RESHAPE": (_constant(1, "shape"), _reads(1)),
    "TILE": (_constant(1, "number of repeats"), _reads(1)),
    "TRANSPOSE": (_constant(1, "permutation"), _reads(1)),
    **_rows("RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR", _constant(1, "size"), _reads(1)),
    **_rows(
        "ATAN2 DIV EQUAL FLOOR_DIV FLOOR_MOD GREATER GREATER_EQUAL LOGICAL_AND LESS LESS_EQUAL "
        "MAXIMUM MINIMUM NOT_EQUAL POW SQUARED_DIFFERENCE SUB",
        *_BINARY,
    ),
    "ADD": (_ranks, _activation),
    "MUL": (_ranks, _product, _activation),
    **_rows("ADD_N BATCH_MATMUL CONCATENATION DEQUANTIZE LEAKY_RELU LSTM PACK PRELU RELU RELU6"),
    **_rows("RELU_N1_TO_1 SPLIT SPLIT_V ONE_HOT EMBEDDING_LOOKUP"),
    **_rows("AVERAGE_POOL_2D MAX_POOL_2D", _reads(1), _activation),
    **_rows("CONV_2D TRANSPOSE_CONV", _reads(1, 2), _activation),
    "DEPTHWISE_CONV_2D": (_reads(1, 2), _rank(0, 4), _depthwise, _activation),
    "FULLY_CONNECTED": (_reads(1, 2), _constant(2, "bias"), _without("weights_format")),
    **_rows("MEAN REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM", *_AXES_CONSTANT),
    **_rows("PAD PADV2", *_PAD),
    "MIRROR_PAD": (_mirror, *_PAD),
    "SLICE": _SLICED,
    "STRIDED_SLICE": (
        *_SLICED,
        *map(_without, ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")),
    ),
    **_rows("DEPTH_TO_SPACE SPACE_TO_DEPTH", _reads(1), _option("block_size", 2, _SMALL_BLOCK)),
    "CAST": (_reads(1), _cast),
    "CUMSUM": (_constant(1, "axis"), _reads(1)),
    "DYNAMIC_UPDATE_SLICE": (),
    "GATHER": (_reads(1, 2), _rank(1, 1)),
    **_rows("SELECT SELECT_V2", _select),
    "SOFTMAX": (_softmax,),
}
