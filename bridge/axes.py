"""What the axes of a model's inputs and outputs mean, as the layers beside them tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .artifact import Signature, TensorSpec
from .layers import Layer, Spine

# Number of axes → names, of the channels first and of the channels last.
AXES: Mapping[int, tuple[str, str]] = {
    3: ("NCW", "NWC"),
    4: ("NCHW", "NHWC"),
    5: ("NCDHW", "NDHWC"),
}
# Operator → axes of what it reads and makes, of which the second ones are channels.
_SPATIAL = {
    f"aten.{name}{rank}d": rank + 2
    for rank in (1, 2, 3)
    for name in (
        "conv", "conv_transpose", "max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool",
        "upsample_nearest", "upsample_nearest_exact", "upsample_linear", "upsample_bilinear",
        "upsample_bicubic", "upsample_trilinear",
    )
} | {"aten.pixel_shuffle": 4, "aten.pixel_unshuffle": 4}  # fmt: skip
_CONVOLUTIONS = frozenset({"aten.convolution", "aten._convolution"})
# Operators that leave the meaning of the axes as it is, where they leave the sizes so.
_CELLWISE = frozenset(
    f"aten.{name}"
    for name in (
        "add", "sub", "mul", "div", "rsub", "neg", "abs", "relu", "relu_", "relu6", "hardtanh",
        "clamp", "clamp_min", "clamp_max", "sigmoid", "tanh", "gelu", "silu", "leaky_relu", "exp",
        "hardswish", "to", "_to_copy", "contiguous", "clone", "detach", "batch_norm", "group_norm",
        "instance_norm", "dropout", "add_", "mul_", "sub_", "div_", "prelu", "elu", "softmax",
        "log_softmax", "sqrt", "pow",
    )
)  # fmt: skip


def with_layouts(signature: Signature, spine: Spine) -> Signature:
    """Return a captured model's signature with the layouts that its layers tell.

    The axes of an input or output are known if a convolution, a pooling or the like reads or makes
    it, with nothing but cellwise operators between.

    Args:
        signature: The signature, in the order of the spine's inputs and outputs.
        spine: The layers.
    """
    sizes = (len(signature.inputs), len(signature.outputs))
    if sizes != (len(spine.inputs), len(spine.outputs)):  # some are no tensors
        return signature
    neighbours = _Neighbours(spine, signature)

    def named(spec: TensorSpec, name: str, *, read: bool) -> TensorSpec:
        axes = AXES.get(len(spec.shape))
        known = axes is not None and neighbours.tell(name, len(spec.shape), read=read)
        return replace(spec, layout=axes[0]) if axes and known else spec

    pairs = zip(signature.inputs, spine.inputs, strict=True)
    ends = zip(signature.outputs, spine.outputs, strict=True)
    return Signature(
        inputs=tuple(named(*pair, read=True) for pair in pairs),
        outputs=tuple(named(*end, read=False) for end in ends),
    )


class _Neighbours:
    """Which layers are beside a value."""

    def __init__(self, spine: Spine, signature: Signature) -> None:
        self._makers = {layer.id: layer for layer in spine.layers}
        self._readers: dict[str, list[Layer]] = {}
        for layer in spine.layers:
            for name in layer.inputs:
                self._readers.setdefault(name, []).append(layer)
        self._ranks = {
            name: len(spec.shape) for name, spec in zip(spine.inputs, signature.inputs, strict=True)
        } | {layer.id: len(layer.shape or ()) for layer in spine.layers}

    def tell(self, start: str, rank: int, *, read: bool) -> bool:
        """Whether such a layer reads a value (else makes it), with cellwise ones between."""
        waiting, seen = [start], {start}
        while waiting:
            name = waiting.pop()
            maker = self._makers.get(name)
            for layer in self._readers.get(name, []) if read else [maker] if maker else []:
                if _is_spatial(layer, rank) and (not read or layer.inputs[:1] == (name,)):
                    return True
                if layer.op in _CELLWISE:
                    further = [layer.id] if read else layer.inputs
                    new = {each for each in further if self._ranks.get(each) == rank} - seen
                    seen |= new
                    waiting += new
        return False


def _is_spatial(layer: Layer, rank: int) -> bool:
    """Whether the second of so many axes is that of channels to a layer."""
    return _SPATIAL.get(layer.op) == rank or layer.op in _CONVOLUTIONS
