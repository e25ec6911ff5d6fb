"""The source as a good quantized file of it would compute: the noise floor of integers.

Run through, every layer is rounded as the file's own tensor is, saturation included: what differs
from that is an error of the implementation. Alone, a layer is rounded and clamped by the file's own
range only as far as calibration can have given it: no narrower than the average of what the inputs
need, as a moving average gives it, and no wider than what all of them need. So a scale that is far
too wide, or one that saturates, is an error of the layer that has it. In both, what a layer reads
is what the file can store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import getitem
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from ...artifact import Artifact, TensorSpec
from ...formats import ONNX, TFLITE
from ...program import operator_name
from ..quantization.affine import representable
from ..quantization.recipe import Stored, Weights, recipe_of
from ..runtimes.eager import EagerSession
from ..taps.exported import NodeRun, NodeRunner, load_program
from ..taps.summation import with_sequential_error
from .integer_rounding import (
    NORMS,
    StepRanges,
    argument_values,
    norm,
    norm_of_rounded,
    symmetric,
)
from .judging import fused_clusters

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

# operator → place of its weights, and their axis of output channels
_WEIGHTS: dict[str, tuple[int, int]] = {
    "conv1d": (1, 0), "conv2d": (1, 0), "conv3d": (1, 0), "convolution": (1, 0),
    "_convolution": (1, 0), "conv_transpose1d": (1, 1), "conv_transpose2d": (1, 1),
    "conv_transpose3d": (1, 1), "linear": (1, 0), "addmm": (2, 1), "mm": (1, 1),
    "matmul": (1, -1), "bmm": (1, -1), "embedding": (0, 0), "batch_norm": (1, 0),
    "lstm": (2, 0), "gru": (2, 0), "rnn_tanh": (2, 0), "rnn_relu": (2, 0),
}  # fmt: skip
_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_PRODUCTS = frozenset(_WEIGHTS) - {"batch_norm"}
_SCALED = NORMS | {"batch_norm"}
_CONSTANT_OPERANDS = frozenset({"add", "sub", "mul", "div", "maximum", "minimum"})


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """How the result of one layer is rounded.

    Attributes:
        stored: How the file stores it; ``None`` for floats.
        weights: How the weights that make it are stored; ``None`` if they are floats.
        roundings: How many tensors are rounded on the way, itself included.
    """

    stored: Stored | None
    weights: Weights | None
    roundings: int

    @property
    def is_settled(self) -> bool:
        """Whether the one kernel that makes the tensor leaves no choice of its scale."""
        return self.stored is not None and self.stored.settled and self.roundings == 1


@dataclass(frozen=True, kw_only=True)
class Emulation:
    """A source that computes as a quantized artifact of it.

    Attributes:
        results: Layer that has a tensor → how it is rounded.
        weights: Layer → how its weights are stored, for those computed within these too.
        inputs: Name of the source's input → how it is rounded.
        stepwise: Norm that the file computes in several steps → bits of their integers.
        ranges: Layer → ``[2, 2]``: the least and the largest value of an input, on average and over
            all inputs, where layers run alone.
    """

    results: Mapping[str, Rounding] = field(default_factory=dict)
    weights: Mapping[str, Weights] = field(default_factory=dict)
    inputs: Mapping[str, Stored] = field(default_factory=dict)
    stepwise: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def ranging(self, layers: Iterable[str], truth: Callable[[str], NDArray[Any]]) -> Emulation:
        """Return the same with the ranges of each layer's values.

        Args:
            layers: The layers.
            truth: Gives the reference's values of one, ``[K, *shape]``.
        """
        ranges = {}
        for layer in layers:
            rounding = self.results.get(layer)
            if rounding is not None and rounding.stored is not None:
                values = truth(layer)
                if values.dtype.kind == "f" and values.size:
                    ranges[layer] = _ranges(values)
        return replace(self, ranges=ranges)

    def open(
        self, source: Artifact, taps: Sequence[str], cuts: Sequence[TensorSpec]
    ) -> EmulationSession:
        """Load the source; with cuts its layers run alone.

        Args:
            source: The captured program.
            taps: Layers to show.
            cuts: Layers whose readers are fed.
        """
        return EmulationSession(self, source, taps, cuts)


def emulation(artifact: Artifact, source: Artifact) -> Emulation | None:
    """Return the emulation of a quantized artifact; ``None`` if it is not quantized.

    Args:
        artifact: The file, with its layer map.
        source: The captured program with the spine.
    """
    if artifact.format not in (TFLITE, ONNX) or not artifact.precision.startswith("int8"):
        return None
    assert source.spine is not None
    recipe = recipe_of(artifact)
    places = artifact.layer_map.mapped()
    ends = {str(place.tensor) for place in places.values()}
    clusters = fused_clusters(artifact, source.spine)
    operators = {each.id: each.op.rpartition(".")[2] for each in source.spine.layers}
    results: dict[str, Rounding] = {}
    weights: dict[str, Weights] = {}
    stepwise: dict[str, int] = {}
    for layer, place in places.items():
        found, roundings = recipe.piece(str(place.tensor), ends)
        stored = recipe.tensors.get(str(place.tensor))
        norms = [each for each in clusters[layer] if operators.get(each) in NORMS]
        if norms and stored is not None and roundings > 1:
            stepwise |= dict.fromkeys(norms, 8 * np.dtype(stored.dtype).itemsize)
            roundings = 1
        results[layer] = Rounding(stored=stored, weights=found, roundings=roundings)
        if found is not None:
            weighted = [each for each in clusters[layer] if operators.get(each) in _PRODUCTS]
            bare = [each for each in clusters[layer] if operators.get(each) not in _SCALED]
            # a norm beside a product is folded into it, or computed in floats
            weights |= dict.fromkeys(bare if weighted else clusters[layer], found)
    names = (spec.name for spec in source.signature.inputs)
    own = (recipe.inputs.get(spec.name) for spec in artifact.signature.inputs)
    inputs = {name: each for name, each in zip(names, own, strict=True) if each is not None}
    return Emulation(results=results, weights=weights, inputs=inputs, stepwise=stepwise)


class EmulationSession(EagerSession):
    """A source opened for emulation; inputs, outputs and taps are the source's own."""

    def __init__(
        self,
        emulated: Emulation,
        source: Artifact,
        taps: Sequence[str],
        cuts: Sequence[TensorSpec],
    ) -> None:
        runner = _Runner(
            load_program(source.path),
            taps=taps,
            cuts=[each.name for each in cuts],
            path=source.path,
            after=self._result,
        )
        runner.visitor = _Operands(emulated, runner.live)
        super().__init__(source, cuts, runner)
        self._emulated = emulated
        self._operands = runner.visitor
        self.learns = bool(emulated.stepwise)

    def learn(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Run one sample without rounding, for the ranges of what is inside of norms.

        Args:
            inputs: As the file keeps them.
        """
        self._operands.learning = True
        self.watch(inputs, lambda name, value: None)
        self._operands.learning = False

    def kept(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the inputs of one sample as the file keeps them.

        Args:
            inputs: The source's inputs, and what the cut layers' readers are fed.
        """
        stored = self._emulated.inputs
        return {
            name: _kept(array, stored[name]) if name in stored else array
            for name, array in inputs.items()
        }

    def _result(self, node: torch.fx.Node, value: Any) -> Any:
        value = with_sequential_error(node, self._operands.result(node, value))
        if self._operands.learning:
            return value
        found = self._emulated.results.get(node.name)
        if found is None or found.stored is None or not _is_float(value):
            return value
        ranges = self._emulated.ranges.get(node.name)
        if ranges is not None and not found.is_settled and found.stored.quantization.axis is None:
            return _needed(value, ranges, found.stored, found.roundings)
        return value.new_tensor(_kept(value.numpy(), found.stored))


class _Runner(NodeRunner):
    visitor: _Operands

    def __init__(self, program: torch.export.ExportedProgram, **options: Any) -> None:
        super().__init__(program, **options)
        self.live = _live(program)

    def run(self, inputs: Any, feeds: Any = None, visitor: Any = None) -> NodeRun:
        return super().run(inputs, feeds, visitor or self.visitor)


def _live(program: torch.export.ExportedProgram) -> set[str]:
    """Nodes whose values depend on the inputs."""
    live = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if any(each.name in live for each in node.all_input_nodes):
            live.add(node.name)
    return {str(each) for each in live}


class _Operands:
    """Rounds what an operator reads while it runs, and puts back what others read."""

    def __init__(self, emulated: Emulation, live: set[str]) -> None:
        self._weights = emulated.weights
        self._stepwise = emulated.stepwise
        self._live = live
        self._before: dict[torch.fx.Node, Any] = {}
        self._arguments: list[Any] = []
        self._steps: dict[str, StepRanges] = {}
        self.learning = False

    def before(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Put rounded weights, and dynamically rounded activations, in place."""
        found, operator = self._weights_of(node), _operator(node)
        if operator in NORMS:
            self._arguments = argument_values(node.args, values)
        if found is None or node.op != "call_function" or self.learning:
            return
        place, axis = _WEIGHTS.get(operator, (-1, 0))
        for position, argument in enumerate(node.args):
            for read in argument if isinstance(argument, list | tuple) else [argument]:
                value = values.get(read) if hasattr(read, "name") else None
                if not _is_float(value) or value.numel() < 2:
                    continue
                constant = read.name not in self._live
                if (
                    constant
                    and position == place
                    and (operator not in _RECURRENT or value.ndim > 1)
                ):
                    rounded = symmetric(value, found.bits, axis if found.per_channel else None)
                elif constant and operator in _CONSTANT_OPERANDS:
                    rounded = symmetric(value, found.bits, None)
                elif not constant and found.dynamic and place >= 0:
                    rounded = symmetric(value, 8, None)
                else:
                    continue
                self._before[read] = value
                values[read] = rounded

    def result(self, node: torch.fx.Node, value: Any) -> Any:
        """Return what a norm gives that is computed in steps, or scaled in integers."""
        operator = _operator(node)
        if operator not in NORMS:
            return value
        bits, found = self._stepwise.get(node.name), self._weights.get(node.name)
        if bits is not None:
            steps = self._steps.setdefault(node.name, StepRanges(bits))
            stepwise = norm(operator, self._arguments, steps.begin(learning=self.learning))
            return value if self.learning else stepwise
        if found is not None and found.dynamic and not self.learning:
            return norm_of_rounded(operator, self._arguments, value, 8)
        return value

    def _weights_of(self, node: torch.fx.Node) -> Weights | None:
        """A node's weights; of one with several results, those of the layers that they are."""
        names = [node.name, *(each.name for each in node.users if _operator(each) == "getitem")]
        return next((self._weights[each] for each in names if each in self._weights), None)

    def after(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Put back the values as they were."""
        values.update(self._before)
        self._before.clear()


def _operator(node: torch.fx.Node) -> str:
    if node.target is getitem:
        return "getitem"
    return operator_name(node.target).rpartition(".")[2]


def _ranges(values: NDArray[Any]) -> NDArray[np.float64]:
    """Least and largest value of a sample, ``[2, 2]``: on average, and over all samples.

    What is not finite does not count, and zero always belongs to them.
    """
    rows = values.reshape(len(values), -1)
    finite = np.isfinite(rows)
    low = np.where(finite, rows, 0.0).min(axis=1, initial=0.0)
    high = np.where(finite, rows, 0.0).max(axis=1, initial=0.0)
    return np.array([[low.mean(), high.mean()], [low.min(), high.max()]])


def _kept(array: NDArray[Any], stored: Stored) -> NDArray[Any]:
    """One sample as a tensor of integers keeps it; the layout of a single scale does not matter."""
    if stored.quantization.axis is not None:
        return array
    kept: NDArray[Any] = representable(array[np.newaxis], stored.quantization, stored.dtype)[0]
    return kept


def _needed(
    value: torch.Tensor, ranges: NDArray[np.float64], stored: Stored, roundings: int
) -> torch.Tensor:
    """Values clamped to the file's range, as far as it is between two, and rounded to its steps.

    Several roundings in a row are as one with steps wider by the root of their number.
    """
    limits = np.iinfo(stored.dtype)
    scale, zero_point = stored.quantization.scales[0], stored.quantization.zero_points[0]
    (least_low, least_high), (low, high) = ranges
    if limits.bits > 8:  # those of 16 bits are symmetric
        least_high, high = max(-least_low, least_high), max(-low, high)
        least_low, low = -least_high, -high
    low = float(np.clip((limits.min - zero_point) * scale, low, least_low))
    high = float(np.clip((limits.max - zero_point) * scale, least_high, high))
    if not 0 < high - low < np.inf:
        return value
    step = (high - low) / (2.0**limits.bits - 1) * max(1, roundings) ** 0.5
    rounded: torch.Tensor = (value.clamp(low, high) / step).round() * step
    return rounded


def _is_float(value: Any) -> TypeGuard[torch.Tensor]:
    import torch

    return isinstance(value, torch.Tensor) and value.is_floating_point()
