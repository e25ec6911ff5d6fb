"""What a captured program tells about its inputs: what they index, and what they mask."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..program import example_shape, operator_name, user_frame
from .ranges import (
    VERY_NEGATIVE,
    InputRange,
    Kind,
    audio_range,
    begins_left_out,
    holds_only_bits,
    is_waveform,
    mask_range,
)

if TYPE_CHECKING:
    import torch

# The result holds the operand's values, of another shape or type.
_SAME_VALUES = frozenset(
    f"aten.{name}"
    for name in (
        "to", "_to_copy", "float", "long", "int", "type_as", "contiguous", "clone", "alias",
        "detach", "view", "reshape", "_unsafe_view", "unsqueeze", "squeeze", "expand", "expand_as",
        "repeat", "transpose", "permute", "t", "slice", "select", "flatten", "unflatten", "narrow",
        "chunk", "split", "unbind", "flip", "roll", "movedim", "lift_fresh", "lift_fresh_copy",
        "dropout", "swapaxes", "view_as", "reshape_as", "ravel", "cat", "stack", "broadcast_to",
        "constant_pad_nd", "pad", "reflection_pad1d", "copy", "_assert_tensor_metadata",
    )
)  # fmt: skip
# So does theirs, of the first operand: they pick some of its values.
_PICKING = frozenset(f"aten.{name}" for name in ("index", "index_select", "gather"))
_CONJUNCTIONS = frozenset(
    f"aten.{name}" for name in ("logical_and", "bitwise_and", "__and__", "logical_or", "bitwise_or")
)
_COMPARISONS = frozenset(f"aten.{name}" for name in ("eq", "ne", "lt", "le", "gt", "ge"))
# What they return where values are equal is arbitrary.
_CHOOSING = frozenset(
    f"aten.{name}" for name in ("topk", "sort", "argsort", "argmax", "argmin", "median", "mode")
)


@dataclass(frozen=True, kw_only=True)
class _Use:
    """A value made of an input: ``scale * input + offset``, as far as it was followed.

    Attributes:
        node: Where the value is.
        scale: Factor.
        offset: Addend.
        flips: Whether what was true of the input is false of the value.
    """

    node: Any
    scale: float = 1.0
    offset: float = 0.0
    flips: bool = False

    @property
    def negated(self) -> bool:
        """Whether the value is false where an input of ones and zeros is true."""
        return self.flips ^ (self.offset != 0 and self.scale + self.offset == 0)


@dataclass(kw_only=True)
class _Evidence:
    """What the uses of one input tell."""

    low: float = -np.inf
    high: float = np.inf
    bound: str = ""
    mask: str = ""
    kept_by_zero: bool | None = None
    additive: str = ""
    audio: str = ""
    seen: set[Any] = field(default_factory=set)


def infer(
    program: torch.export.ExportedProgram, examples: Mapping[str, NDArray[Any]]
) -> dict[str, InputRange]:
    """Return the ranges of those inputs whose use in the program tells them.

    An input that indexes (the rows of an embedding, an axis of ``gather`` or ``index_select``) goes
    as far as what it indexes. One that is compared with 0, made a condition or fills scores is a
    mask. Floats that a convolution or a Fourier transform reads as one channel are sound.

    Args:
        program: The captured program.
        examples: Example inputs by name, in the program's order.
    """
    import torch

    names = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    tensors = [name for name in names if isinstance(nodes[name].meta.get("val"), torch.Tensor)]
    if len(tensors) != len(examples):
        return {}
    found = {}
    for place, (name, example) in zip(tensors, examples.items(), strict=True):
        evidence = _Evidence()
        _follow(program, _Use(node=nodes[place]), evidence)
        range_ = _conclude(name, example, evidence)
        if range_ is not None:
            found[name] = range_
    return found


def chooses(program: torch.export.ExportedProgram) -> bool:
    """Whether the program picks or orders by value, which is arbitrary where values are equal."""
    operators = {operator_name(node.target) for node in program.graph.nodes}
    return bool(operators & _CHOOSING) or any("nms" in each for each in operators)


def _conclude(name: str, example: NDArray[Any], evidence: _Evidence) -> InputRange | None:
    if evidence.bound and example.dtype.kind in "iuf":
        low, high = max(0.0, np.ceil(evidence.low)), np.floor(evidence.high)
        if high >= low:
            how = _what(name, evidence.bound).format(f"{low:.0f}..{high:.0f}")
            return InputRange(kind=Kind.INDEX, low=low, high=high, how=how)
    if evidence.mask and example.ndim and example.size and holds_only_bits(example):
        zero_keeps = evidence.kept_by_zero
        inverted = begins_left_out(example) if zero_keeps is None else zero_keeps
        return mask_range(evidence.mask, inverted=inverted)
    if evidence.additive and example.ndim and "mask" in name.lower():
        least = float(example.min()) if example.size else 0.0
        least = least if least <= VERY_NEGATIVE else -1e4
        how = f"a mask to be added: 0 for the first tokens, of drawn lengths, and {least:g}"
        return InputRange(kind=Kind.ADDITIVE, low=least, high=0, how=f"{how} ({evidence.additive})")
    if evidence.audio and is_waveform(example.shape, example.dtype):
        loud = float(np.abs(example).max())
        return audio_range(evidence.audio, 1.0 if loud <= 1 else loud)
    return None


def _what(name: str, bound: str) -> str:
    """What the numbers are, by the names of the input and of what it indexes."""
    lower = name.lower()
    if bound.startswith("rows of"):
        known = {"position": "positions", "type": "type ids", "segment": "type ids"}
        what = next((text for part, text in known.items() if part in lower), "token ids")
    elif bound.startswith("length"):
        what = "lengths"
    else:
        what = "indices"
    return f"{what} {{}} ({bound})"


def _follow(program: torch.export.ExportedProgram, use: _Use, evidence: _Evidence) -> None:
    """Walk from a value to everything that reads it, as long as it is the input in other words."""
    pending = [use]
    while pending:
        current = pending.pop()
        for user in current.node.users:
            key = (user, current.node, current.scale, current.offset, current.flips)
            if user.op == "call_function" and key not in evidence.seen:
                evidence.seen.add(key)
                pending += _read(program, current, user, evidence)


def _read(
    program: torch.export.ExportedProgram, use: _Use, user: torch.fx.Node, evidence: _Evidence
) -> Iterator[_Use]:
    """Take down what one operator tells of the value, and yield what is made of it."""
    name = operator_name(user.target)
    _bounds(program, use, user, name, evidence)
    _masks(use, user, name, evidence)
    if name in ("aten.conv1d", "aten.convolution", "aten.stft") and user.args[0] is use.node:
        evidence.audio = evidence.audio or f"read by {_place(name, user)}"
    yield from _made(use, user, name)


def _made(use: _Use, user: torch.fx.Node, name: str) -> Iterator[_Use]:
    picks = user.target is operator.getitem or (name in _PICKING and user.args[0] is use.node)
    if picks or name in _SAME_VALUES:
        yield replace(use, node=user)
    elif name in _CONJUNCTIONS:
        yield _Use(node=user, flips=use.negated)
    elif name in ("aten.logical_not", "aten.bitwise_not"):
        yield _Use(node=user, flips=not use.negated)
    elif name in ("aten.eq", "aten.ne") and user.args[1] in (0, 1, False, True):
        flips = (name == "aten.eq") == (user.args[1] == 0)
        yield _Use(node=user, flips=use.negated ^ flips)
    elif name in ("aten.gt", "aten.ge", "aten.lt", "aten.le") and _number(user.args[1]):
        flips = name in ("aten.lt", "aten.le")
        yield _Use(node=user, flips=use.negated ^ flips)
    elif name in ("aten.add", "aten.sub", "aten.rsub", "aten.mul", "aten.neg", "aten.div"):
        made = _affine(use, user, name)
        if made is not None:
            yield made


def _affine(use: _Use, user: torch.fx.Node, name: str) -> _Use | None:
    """The value after adding, subtracting or multiplying by a number."""
    if name == "aten.neg":
        return replace(use, node=user, scale=-use.scale, offset=-use.offset)
    arguments: list[Any] = list(user.args)
    other: Any = next((each for each in arguments[:2] if each is not use.node), None)
    alpha: Any = user.kwargs.get("alpha", arguments[2] if len(arguments) > 2 else 1)
    if not _number(other) or not _number(alpha):
        return None
    first = user.args[0] is use.node
    if name == "aten.mul":
        return replace(use, node=user, scale=use.scale * other, offset=use.offset * other)
    if name == "aten.div":
        if not first or "rounding_mode" in user.kwargs or not other:
            return None
        return replace(use, node=user, scale=use.scale / other, offset=use.offset / other)
    if name == "aten.add":
        mine, addend = (1, other * alpha) if first else (alpha, other)
    elif name == "aten.sub":
        mine, addend = (1, -other * alpha) if first else (-alpha, other)
    else:  # rsub(self, other): other - alpha * self
        mine, addend = -alpha, other
    return replace(use, node=user, scale=use.scale * mine, offset=use.offset * mine + addend)


def _bounds(
    program: torch.export.ExportedProgram,
    use: _Use,
    user: torch.fx.Node,
    name: str,
    evidence: _Evidence,
) -> None:
    """The value is an index, or a length: note how far it may go."""
    found = _indexed(program, use.node, user, name)
    if found is None or not use.scale:
        return
    least, size, text = found
    ends = sorted(((each - use.offset) / use.scale) for each in (least, least + size - 1))
    if ends[1] < evidence.high or not evidence.bound:
        evidence.bound = text
    evidence.low, evidence.high = max(evidence.low, ends[0]), min(evidence.high, ends[1])


def _indexed(
    program: torch.export.ExportedProgram, node: torch.fx.Node, user: torch.fx.Node, name: str
) -> tuple[int, int, str] | None:
    """Least value, number of values, and what they are of; ``None`` if it is no index there."""
    arguments: list[Any] = list(user.args)
    if name in ("aten.embedding", "aten.embedding_bag") and arguments[1] is node:
        rows = _shape(arguments[0])
        return (0, rows[0], f"rows of {_parameter(program, arguments[0])}") if rows else None
    if name == "aten.one_hot" and len(arguments) > 1 and _number(arguments[1]):
        return (0, arguments[1], f"classes of {_place(name, user)}") if arguments[1] > 0 else None
    if name in ("aten.index_select", "aten.gather", "aten.scatter", "aten.scatter_add"):
        if arguments[2] is node:
            return _along(user, name, arguments[1])
    elif name == "aten.take_along_dim" and arguments[1] is node and len(arguments) > 2:
        return _along(user, name, arguments[2])
    elif name in ("aten.index", "aten.index_put", "aten.index_put_"):
        if _is_integer(node) and node in arguments[1]:
            return _along(user, name, arguments[1].index(node))
    elif name in _COMPARISONS and len(arguments) > 1:
        counted = arguments[0] if arguments[1] is node else arguments[1]
        steps = _counted(counted) if _is_integer(node) else None
        if steps:
            return (1, steps, f"length of what {_place(name, user)} counts")
    return None


def _along(user: torch.fx.Node, name: str, axis: Any) -> tuple[int, int, str] | None:
    shape = _shape(user.args[0])
    if not shape or not isinstance(axis, int):
        return None
    return 0, shape[axis], f"axis {axis} of what {_place(name, user)} reads"


def _shape(node: Any) -> tuple[int, ...] | None:
    return example_shape(node) if hasattr(node.meta.get("val"), "shape") else None


def _counted(node: Any) -> int | None:
    """How far an ``arange`` counts, seen through changes of shape; ``None`` if it is none."""
    while hasattr(node, "target") and operator_name(node.target) in _SAME_VALUES:
        node = node.all_input_nodes[0]
    if not hasattr(node, "target") or operator_name(node.target) != "aten.arange":
        return None
    shape = _shape(node)
    return shape[0] if shape else None


def _masks(use: _Use, user: torch.fx.Node, name: str, evidence: _Evidence) -> None:
    """The value decides what counts: note that, and whether zeros keep."""
    arguments: list[Any] = list(user.args)
    source = _place(name, user)
    if name in ("aten.masked_fill", "aten.masked_fill_") and arguments[1] is use.node:
        evidence.mask = evidence.mask or source
        if _leaves_out(arguments[2]):
            evidence.kept_by_zero = not use.negated
    elif name == "aten.where" and arguments[0] is use.node:
        evidence.mask = evidence.mask or source
        if len(arguments) == 3 and (_leaves_out(arguments[1]) or _leaves_out(arguments[2])):
            evidence.kept_by_zero = _leaves_out(arguments[1]) ^ use.negated
    elif name == "aten.scaled_dot_product_attention":
        if _argument(user, 3, "attn_mask") is use.node:
            _attention_mask(use, evidence, source)
    elif _asks_for_truth(user, name):
        evidence.mask = evidence.mask or source
    elif name == "aten.mul" and use.offset in (0, 1, -1) and abs(use.scale) == 1:
        made = _affine(use, user, name)
        if made is not None and min(made.offset, made.scale + made.offset) <= VERY_NEGATIVE:
            evidence.mask = evidence.mask or source
            evidence.kept_by_zero = made.scale + made.offset < made.offset


def _asks_for_truth(user: torch.fx.Node, name: str) -> bool:
    """Whether only the truth of its operand counts for an operator."""
    if name in ("aten.eq", "aten.ne"):
        return user.args[1] in (0, False)
    if name == "aten.rsub":
        return user.args[1] in (1, 1.0)
    if name in ("aten.to", "aten._to_copy"):
        return "torch.bool" in map(str, (*user.args, *user.kwargs.values()))
    return name in (*_CONJUNCTIONS, "aten.logical_not", "aten.bitwise_not")


def _attention_mask(use: _Use, evidence: _Evidence, source: str) -> None:
    if _type(use.node) == "torch.bool":
        evidence.mask = evidence.mask or source
        evidence.kept_by_zero = use.negated
    else:
        evidence.additive = evidence.additive or source


def _leaves_out(value: Any) -> bool:
    """Whether a number, or a tensor made of one, is so negative that a softmax drops it."""
    if hasattr(value, "target") and operator_name(value.target) in (
        "aten.full",
        "aten.scalar_tensor",
    ):
        value = value.args[-1]
    return _number(value) and value <= VERY_NEGATIVE


def _argument(node: torch.fx.Node, place: int, name: str) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name)


def _is_integer(node: torch.fx.Node) -> bool:
    return _type(node).startswith(("torch.int", "torch.uint"))


def _type(node: torch.fx.Node) -> str:
    return str(getattr(node.meta.get("val"), "dtype", ""))


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


def _parameter(program: torch.export.ExportedProgram, node: torch.fx.Node) -> str:
    """Name of the module that a weight belongs to, or of the weight."""
    signature = program.graph_signature
    name = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}.get(
        node.name, node.name
    )
    return str(name).removesuffix(".weight")


def _place(name: str, user: torch.fx.Node) -> str:
    where = user_frame(user.meta.get("stack_trace") or "").rpartition("site-packages/")[2]
    return f"{name.removeprefix('aten.')} at {where}" if where else name.removeprefix("aten.")
