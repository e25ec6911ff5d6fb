"""The source as a good quantized file of it would compute: the noise floor of integers.

Run through, every layer is rounded as the file's own tensor is, saturation included: what differs
from that is an error of the implementation. Alone, a layer is rounded and clamped as if its range
had been measured on the other inputs, and not as the file does it, so that a scale that is far too
wide, or one that saturates, is an error of the layer that has it. In both, what a layer reads is
what the file can store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from .judging import fused_clusters

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

# operator → place of its weights, and their axis of output channels
_WEIGHTS: dict[str, tuple[int, int]] = {
    "conv1d": (1, 0), "conv2d": (1, 0), "conv3d": (1, 0), "convolution": (1, 0),
    "_convolution": (1, 0), "conv_transpose1d": (1, 1), "conv_transpose2d": (1, 1),
    "conv_transpose3d": (1, 1), "linear": (1, 0), "addmm": (2, 1), "mm": (1, 1),
    "matmul": (1, -1), "bmm": (1, -1), "embedding": (0, 0),
}  # fmt: skip
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
        ranges: Layer → ``[K, 2]``: for each input the least and the largest value over all the
            other ones, where layers run alone.
        averages: Likewise, the averages of their least and of their largest values.
    """

    results: Mapping[str, Rounding] = field(default_factory=dict)
    weights: Mapping[str, Weights] = field(default_factory=dict)
    inputs: Mapping[str, Stored] = field(default_factory=dict)
    ranges: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    averages: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def ranging(self, layers: Iterable[str], truth: Callable[[str], NDArray[Any]]) -> Emulation:
        """Return the same with the ranges of each layer's values.

        Args:
            layers: The layers.
            truth: Gives the reference's values of one, ``[K, *shape]``.
        """
        ranges, averages = {}, {}
        for layer in layers:
            rounding = self.results.get(layer)
            if rounding is not None and rounding.stored is not None:
                values = truth(layer)
                if values.dtype.kind == "f" and values.size:
                    ranges[layer], averages[layer] = _ranges_of_the_others(values)
        return replace(self, ranges=ranges, averages=averages)

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
    results: dict[str, Rounding] = {}
    weights: dict[str, Weights] = {}
    for layer, place in places.items():
        found, roundings = recipe.piece(str(place.tensor), ends)
        results[layer] = Rounding(
            stored=recipe.tensors.get(str(place.tensor)), weights=found, roundings=roundings
        )
        if found is not None:
            weights |= dict.fromkeys(clusters[layer], found)
    names = (spec.name for spec in source.signature.inputs)
    own = (recipe.inputs.get(spec.name) for spec in artifact.signature.inputs)
    inputs = {name: each for name, each in zip(names, own, strict=True) if each is not None}
    return Emulation(results=results, weights=weights, inputs=inputs)


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
        self._sample = 0
        self._ranges = emulated.ranges

    def begin(
        self, inputs: Mapping[str, NDArray[Any]], sample: int, *, averaged: bool
    ) -> dict[str, NDArray[Any]]:
        """Return the inputs of one sample as the file keeps them; it is the next to run.

        Args:
            inputs: The source's inputs, and what the cut layers' readers are fed.
            sample: Its number.
            averaged: Whether layers alone have the averaged ranges.
        """
        self._sample = sample
        self._ranges = self._emulated.averages if averaged else self._emulated.ranges
        stored = self._emulated.inputs
        return {
            name: _kept(array, stored[name]) if name in stored else array
            for name, array in inputs.items()
        }

    def _result(self, node: torch.fx.Node, value: Any) -> Any:
        value = with_sequential_error(node, value)
        found = self._emulated.results.get(node.name)
        if found is None or found.stored is None or not _is_float(value):
            return value
        ranges = self._ranges.get(node.name)
        if ranges is not None and not found.is_settled:
            return _needed(value, ranges[self._sample], found)
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
        self._live = live
        self._before: dict[torch.fx.Node, Any] = {}

    def before(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Put rounded weights, and dynamically rounded activations, in place."""
        import torch

        found = self._weights.get(node.name)
        operator = operator_name(node.target).rpartition(".")[2]
        if found is None or node.op != "call_function":
            return
        place, axis = _WEIGHTS.get(operator, (-1, 0))
        for position, read in enumerate(node.args):
            value = values.get(read) if isinstance(read, torch.fx.Node) else None
            if not isinstance(read, torch.fx.Node) or not _is_float(value) or value.numel() < 2:
                continue
            constant = read.name not in self._live
            if constant and position == place:
                rounded = _symmetric(value, found.bits, axis if found.per_channel else None)
            elif constant and operator in _CONSTANT_OPERANDS:
                rounded = _symmetric(value, found.bits, None)
            elif not constant and found.dynamic and place >= 0:
                rounded = _symmetric(value, 8, None)
            else:
                continue
            self._before[read] = value
            values[read] = rounded

    def after(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Put back the values as they were."""
        values.update(self._before)
        self._before.clear()


def _ranges_of_the_others(
    values: NDArray[Any],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and largest value ``[K, 2]`` of all samples but each one; a single one has its own.

    What is not finite does not count, and zero always belongs to them.

    Returns:
        Over all of them, and on average.
    """
    rows = values.reshape(len(values), -1)
    finite = np.isfinite(rows)
    low = np.where(finite, rows, 0.0).min(axis=1)
    high = np.where(finite, rows, 0.0).max(axis=1)
    count = len(rows)
    others = ~np.eye(count, dtype=bool) if count > 1 else np.ones((1, 1), bool)
    extremes = (np.where(others, low, 0.0).min(axis=1), np.where(others, high, 0.0).max(axis=1))
    averages = (others @ low / others.sum(axis=1), others @ high / others.sum(axis=1))
    return np.stack(extremes, axis=1), np.stack(averages, axis=1)


def _kept(array: NDArray[Any], stored: Stored) -> NDArray[Any]:
    """One sample as a tensor of integers keeps it; the layout of a single scale does not matter."""
    if stored.quantization.axis is not None:
        return array
    kept: NDArray[Any] = representable(array[np.newaxis], stored.quantization, stored.dtype)[0]
    return kept


def _needed(value: torch.Tensor, needed: NDArray[np.float64], found: Rounding) -> torch.Tensor:
    """Values clamped to a range and rounded to the steps that it needs, zero being one of them.

    Those of 16 bits are symmetric. Several roundings in a row are as one with steps wider by the
    root of their number.
    """
    assert found.stored is not None
    low, high = float(needed[0]), float(needed[1])
    bits = 8 * np.dtype(found.stored.dtype).itemsize
    if bits > 8:
        low, high = -max(-low, high), max(-low, high)
    if not 0 < high - low < np.inf:
        return value
    step = (high - low) / (2.0**bits - 1) * max(1, found.roundings) ** 0.5
    rounded: torch.Tensor = (value.clamp(low, high) / step).round() * step
    return rounded


def _symmetric(value: torch.Tensor, bits: int, axis: int | None) -> torch.Tensor:
    """Values rounded to steps around zero, of one width or of one for each index of an axis."""
    largest = value.abs()
    if axis is None:
        largest = largest.max()
    else:
        axes = [each for each in range(value.ndim) if each != axis % value.ndim]
        largest = largest.amax(axes, keepdim=True) if axes else largest
    step = largest / (2 ** (bits - 1) - 1)
    rounded: torch.Tensor = (value / step.clamp(min=1e-30)).round() * step
    return rounded


def _is_float(value: Any) -> TypeGuard[torch.Tensor]:
    import torch

    return isinstance(value, torch.Tensor) and value.is_floating_point()
