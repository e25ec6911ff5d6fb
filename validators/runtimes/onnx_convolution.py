"""Convolutions for the reference evaluator, whose own ones are loops in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...availability import version_of
from ..tensors import one_thread, to_numpy, to_torch

if TYPE_CHECKING:
    import torch


def convolutions() -> list[Any]:
    """Return the operators to hand to ``ReferenceEvaluator``; none where PyTorch is missing."""
    if version_of("torch") is None:
        return []
    from onnx.reference.op_run import OpRun

    class Conv(OpRun):
        """Conv (ONNX 1 to 22) by PyTorch, which adds in float64 too."""

        def _run(
            self,
            x: Any,
            w: Any,
            bias: Any = None,
            auto_pad: str = "NOTSET",
            dilations: Sequence[int] | None = None,
            group: int = 1,
            kernel_shape: Sequence[int] | None = None,
            pads: Sequence[int] | None = None,
            strides: Sequence[int] | None = None,
        ) -> tuple[Any]:
            spatial = x.ndim - 2
            dilations, strides = dilations or [1] * spatial, strides or [1] * spatial
            reach = [
                step * (size - 1) + 1 for step, size in zip(dilations, w.shape[2:], strict=True)
            ]
            before, after = _padding(auto_pad, pads, x.shape[2:], reach, strides)
            with one_thread():
                made = _convolved(
                    to_torch(x), to_torch(w), None if bias is None else to_torch(bias),
                    before, after, strides=strides, dilations=dilations, group=group,
                )  # fmt: skip
            return (to_numpy(made),)

    return [Conv]


def _convolved(
    x: torch.Tensor,
    w: torch.Tensor,
    bias: torch.Tensor | None,
    before: Sequence[int],
    after: Sequence[int],
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    group: int,
) -> torch.Tensor:
    import torch

    around = [size for pair in zip(reversed(before), reversed(after), strict=True) for size in pair]
    padded = torch.nn.functional.pad(x, around)
    zeros = [0] * len(strides)
    return torch.convolution(
        padded, w, bias, list(strides), zeros, list(dilations), False, zeros, group
    )


def _padding(
    auto_pad: str,
    pads: Sequence[int] | None,
    sizes: Sequence[int],
    reach: Sequence[int],
    strides: Sequence[int],
) -> tuple[list[int], list[int]]:
    """Padding before and after each spatial axis."""
    if not auto_pad.startswith("SAME"):
        given = [0] * (2 * len(sizes)) if pads is None or auto_pad == "VALID" else list(pads)
        return given[: len(sizes)], given[len(sizes) :]
    before, after = [], []
    for size, wide, step in zip(sizes, reach, strides, strict=True):
        total = max(0, (-(-size // step) - 1) * step + wide - size)
        less, more = total // 2, total - total // 2
        before.append(less if auto_pad == "SAME_UPPER" else more)
        after.append(more if auto_pad == "SAME_UPPER" else less)
    return before, after
