"""The source as a good quantized file of it would compute: the noise floor of integers.

Run through, every layer is rounded as the file's own tensor is, saturation included: what differs
from that is an error of the implementation. Alone, a layer is rounded and clamped by the file's own
range only as far as calibration can have given it: no narrower than the average of what the inputs
need, as a moving average gives it, and no wider than what all of them need. So a scale that is far
too wide, or one that saturates, is an error of the layer that has it. In both, what a layer reads
is what the file can store.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifact import Artifact, TensorSpec
from ...formats import EXPORTED, ONNX, TFLITE
from ...layers import Spine
from ..quantization.affine import representable
from ..quantization.recipe import Stored, Weights, recipe_of
from ..runtimes.eager import EagerSession
from ..taps.exported import NodeRun, NodeRunner, load_program
from ..taps.summation import with_sequential_error
from .integer_operands import PRODUCTS, SCALED, Operands, is_float
from .integer_rounding import NORMS
from .judging import fused_clusters

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


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
        whole: Those of them whose result is one of the steps, though the layer's is of floats.
        ranges: Layer → ``[2, 2]``: the least and the largest value of an input, on average and over
            all inputs, where layers run alone.
    """

    results: Mapping[str, Rounding] = field(default_factory=dict)
    weights: Mapping[str, Weights] = field(default_factory=dict)
    inputs: Mapping[str, Stored] = field(default_factory=dict)
    stepwise: Mapping[str, int] = field(default_factory=dict)
    whole: Collection[str] = frozenset()
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
    members = _members(artifact, source.spine)
    operators = {each.id: each.op.rpartition(".")[2] for each in source.spine.layers}
    results: dict[str, Rounding] = {}
    weights: dict[str, Weights] = {}
    stepwise: dict[str, int] = {}
    whole: set[str] = set()
    for layer, place in places.items():
        found, roundings = recipe.piece(str(place.tensor), ends)
        stored = recipe.tensors.get(str(place.tensor))
        norms = [each for each in members[layer] if operators.get(each) in NORMS]
        if norms and roundings > 1:
            stepwise |= dict.fromkeys(norms, recipe.bits)
            # what turns integers into floats reads a norm that is rounded itself
            whole.update(norms if stored is None else ())
            roundings = 1
        results[layer] = Rounding(stored=stored, weights=found, roundings=roundings)
        if found is not None:
            weighted = [each for each in members[layer] if operators.get(each) in PRODUCTS]
            bare = [each for each in members[layer] if operators.get(each) not in SCALED]
            # a norm beside a product is folded into it, or computed in floats
            weights |= dict.fromkeys(bare if weighted else members[layer], found)
    names = (spec.name for spec in source.signature.inputs)
    own = (recipe.inputs.get(spec.name) for spec in artifact.signature.inputs)
    inputs = {name: each for name, each in zip(names, own, strict=True) if each is not None}
    return Emulation(
        results=results, weights=weights, inputs=inputs, stepwise=stepwise, whole=whole
    )


def float_layers(artifact: Artifact, source: Artifact) -> frozenset[str]:
    """Return the layers that a quantized artifact computes in floats alone, weights included.

    Args:
        artifact: The file, with its layer map.
        source: The source with the spine.
    """
    if source.format != EXPORTED:  # nothing else is emulated
        return frozenset()
    emulated = emulation(artifact, source)
    if emulated is None:
        return frozenset()
    rounded = {*emulated.weights, *emulated.stepwise}
    return frozenset(
        layer
        for layer, each in emulated.results.items()
        if each.stored is None and each.weights is None and layer not in rounded
    )


def _members(artifact: Artifact, spine: Spine) -> dict[str, tuple[str, ...]]:
    """The layers that each tensor is made by: those it stands for, and those without one before it.

    What was fused has a reason and what was not found has none; it is computed all the same.
    """
    inputs = {each.id: each.inputs for each in spine.layers}
    mapped = artifact.layer_map.mapped()
    found = {}
    for layer, cluster in fused_clusters(artifact, spine).items():
        members, waiting = dict.fromkeys(cluster), list(inputs.get(layer, ()))
        while waiting:
            each = waiting.pop()
            if each not in mapped and each not in members and each in inputs:
                members[each] = None
                waiting += inputs[each]
        found[layer] = tuple(members)
    return found


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
        runner.visitor = Operands(emulated.weights, emulated.stepwise, emulated.whole, runner.live)
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
        if found is None or found.stored is None or not is_float(value):
            return value
        ranges = self._emulated.ranges.get(node.name)
        if ranges is not None and not found.is_settled and found.stored.quantization.axis is None:
            return _needed(value, ranges, found.stored, found.roundings)
        return value.new_tensor(_kept(value.numpy(), found.stored))


class _Runner(NodeRunner):
    visitor: Operands

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
