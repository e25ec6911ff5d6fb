"""Shapes of recurrent layers for capture, without running their steps.

torch.export finds the shape of an LSTM's result by tracing its decomposition step by step: that
takes 24 s for 512 steps (0.3 s with this), and makes the number of steps a constant.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@contextlib.contextmanager
def recurrent_shapes() -> Iterator[None]:
    """Let fake tensors pass through recurrent layers by their shapes alone."""
    import torch

    aten = torch.ops.aten
    rules: list[tuple[Any, Any]] = [(aten.lstm.input, _lstm)]
    rules += [(each.input, _rnn) for each in (aten.gru, aten.rnn_tanh, aten.rnn_relu)]
    kept = [(operator, dict(operator.py_kernels)) for operator, _ in rules]
    for operator, rule in rules:
        operator.py_kernels.update(dict.fromkeys(operator.py_kernels, rule))
        operator._dispatch_cache.clear()
    try:
        yield
    finally:
        for operator, kernels in kept:
            operator.py_kernels.clear()
            operator.py_kernels.update(kernels)
            operator._dispatch_cache.clear()


def _output(x: torch.Tensor, hx: torch.Tensor, options: Sequence[Any]) -> torch.Tensor:
    import torch

    bidirectional, batch_first = options[-2:]
    torch._check(  # type: ignore[no-untyped-call]
        x.shape[0 if batch_first else 1] == hx.shape[1]
    )
    return x.new_empty((*x.shape[:2], hx.shape[2] * (2 if bidirectional else 1)))


def _lstm(x: torch.Tensor, hx: Sequence[torch.Tensor], *options: Any) -> tuple[torch.Tensor, ...]:
    import torch

    torch._check(hx[0].shape[1] == hx[1].shape[1])  # type: ignore[no-untyped-call]
    return _output(x, hx[0], options), torch.empty_like(hx[0]), torch.empty_like(hx[1])


def _rnn(x: torch.Tensor, hx: torch.Tensor, *options: Any) -> tuple[torch.Tensor, ...]:
    import torch

    return _output(x, hx, options), torch.empty_like(hx)
