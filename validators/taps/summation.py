"""The rounding error of sums that are made one term after another.

PyTorch adds in blocks, which keeps the error small; kernels for phones often add a thousand terms
in a row. Both are legitimate, so the noise floor needs both. The second is simulated: recursive
summation of n terms in a type of unit roundoff u leaves errors of about u * sqrt(n).

Source: N. J. Higham and T. Mary, A New Approach to Probabilistic Rounding Error Analysis, SIAM J.
Sci. Comput. 41(5), 2019. For terms of mean 0, partial sums grow like a random walk, so that
``RMS(error) = u / sqrt(3) * sqrt(n / 2) * RMS(result)``.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Any

from ...program import operator_name

if TYPE_CHECKING:
    import torch

_UNIT_ROUNDOFF = 2.0**-24
_SEEDING = 256  # elements
_CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d", "convolution", "_convolution"})
_TRANSPOSED = frozenset({"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"})
_PRODUCTS = frozenset({"matmul", "mm", "bmm", "linear", "mv", "dot", "einsum"})
_ADDED_PRODUCTS = frozenset({"addmm", "baddbmm", "addmv", "addbmm"})
_NORMALIZATIONS = frozenset({"layer_norm", "rms_norm", "native_layer_norm"})
_GROUPED = frozenset({"group_norm", "instance_norm", "native_group_norm"})
_REDUCTIONS = frozenset(
    {"sum", "mean", "var", "std", "norm", "linalg_vector_norm", "logsumexp", "var_mean", "prod"}
)  # fmt: skip
_POOLS = frozenset(
    f"{kind}avg_pool{rank}d" for kind in ("", "adaptive_", "_adaptive_") for rank in (1, 2, 3)
)
_ALONG_AN_AXIS = frozenset({"softmax", "_softmax", "log_softmax", "cumsum", "cumprod"})
_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})


def with_sequential_error(node: torch.fx.Node, value: Any) -> Any:
    """Return a node's value with the error of sums that are made term by term.

    Args:
        node: A node, with its example values.
        value: What it gave: a tensor, several, or anything else, which stays as it is.
    """
    import torch

    terms = summed_terms(node)
    if terms < 2:
        return value
    if isinstance(value, list | tuple):
        return type(value)(with_error(each, terms, node.name) for each in value)
    return with_error(value, terms, node.name) if isinstance(value, torch.Tensor) else value


def with_error(value: Any, terms: int, seed: str) -> Any:
    """Return a float32 tensor with the error of sums of so many terms; others as they are."""
    import torch

    if not isinstance(value, torch.Tensor) or value.dtype is not torch.float32:
        return value
    finite = torch.where(torch.isfinite(value), value, 0)
    scale = _UNIT_ROUNDOFF / math.sqrt(3) * math.sqrt(terms / 2)
    size = scale * float(finite.double().square().mean().sqrt()) if value.numel() else 0.0
    # other noise for other samples, and always the same for the same one
    drawn = zlib.crc32(value.flatten()[:_SEEDING].numpy().tobytes(), zlib.crc32(seed.encode()))
    generator = torch.Generator().manual_seed(drawn)
    # in place, since the memory of the value may be that of an input of an in-place operator
    return value.add_(size * torch.randn(value.shape, generator=generator))


def summed_terms(node: torch.fx.Node) -> int:
    """Return how many terms an operator adds up for each element of its result; 1 for none."""
    if node.op != "call_function":
        return 1
    name = operator_name(node.target).removeprefix("aten.").partition(".")[0]
    shapes = [_shape(each) for each in node.args]
    if name in _CONVOLUTIONS:
        return math.prod(shapes[1][1:])
    if name in _TRANSPOSED:
        return math.prod(shapes[1]) // max(1, shapes[1][1])
    if name in _PRODUCTS:
        return _last(node.args[0]) if name != "einsum" else _contracted(node)
    if name in _ADDED_PRODUCTS:
        return _last(node.args[1])
    if name == "scaled_dot_product_attention":
        return max(_last(node.args[0]), shapes[1][-2])
    if name in _NORMALIZATIONS:
        sizes: Any = node.args[1]
        return math.prod(shapes[0][-len(sizes) :]) if sizes else 1
    if name in _GROUPED:
        return math.prod(shapes[0][1:])
    if name in _REDUCTIONS or name in _POOLS:
        return _pooled(node, name, shapes[0])
    if name in _ALONG_AN_AXIS:
        axis: Any = node.args[1]
        return shapes[0][axis] if shapes[0] else 1
    return _last(node.args[0]) if name in _RECURRENT else 1


def _pooled(node: torch.fx.Node, name: str, shape: tuple[int, ...]) -> int:
    if name in _POOLS and "adaptive" not in name:
        kernel: Any = node.args[1]
        return math.prod(kernel) if isinstance(kernel, list | tuple) else int(kernel) ** 2
    result: Any = node.meta.get("val")
    first = result[0] if isinstance(result, list | tuple) else result
    return max(1, math.prod(shape) // max(1, math.prod(_sizes(first))))


def _contracted(node: torch.fx.Node) -> int:
    """An einsum's summed sizes: all that it reads beyond its result, at most."""
    operands: Any = node.args[1]
    sizes = [math.prod(_shape(each)) for each in operands]
    return max(1, max(sizes) // max(1, math.prod(_sizes(node.meta["val"]))))


def _last(argument: Any) -> int:
    shape = _shape(argument)
    return shape[-1] if shape else 1


def _shape(argument: Any) -> tuple[int, ...]:
    return _sizes(getattr(argument, "meta", {}).get("val"))


def _sizes(value: Any) -> tuple[int, ...]:
    """Sizes of an example value; one that changes counts as its example."""
    return tuple(int(size) for size in getattr(value, "shape", ()))
