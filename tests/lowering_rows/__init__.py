"""Rows of the operator tests: which operator, on which arguments. One module for each family."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Constant:
    """A tensor argument that is a constant of the model, not one of its inputs."""

    tensor: torch.Tensor


class Row:
    """One call of an operator.

    Args:
        operator: Its name (``aten.add``), of an overload where that matters (``aten.add.Scalar``).
        args: Positional arguments in the order of the schema. Tensors become inputs of the model,
            ``const(tensor)`` its constants; lists may hold both.
        label: What is special about the row, for its id.
        call: Called with the arguments instead of the operator, for what only a Python function
            reaches; the operator still names the lowering that the row is for.
        dynamic: Index among the tensor inputs → axes whose size changes.
        also: Further inputs to try the artifact on, each a list of tensors (of other sizes along
            the dynamic axes).
        sqnr: Least signal-to-quantization-noise ratio in dB, where the default does not suit.
        reason: Why it does not; required with ``sqnr``.
        unsupported: Part of the message with which the compiler must refuse the row.
        kwargs: Keyword arguments.
    """

    def __init__(
        self,
        operator: str,
        *args: Any,
        label: str = "",
        call: Callable[..., Any] | None = None,
        dynamic: Mapping[int, Sequence[int]] | None = None,
        also: Sequence[Sequence[torch.Tensor]] = (),
        sqnr: float | None = None,
        reason: str = "",
        unsupported: str = "",
        **kwargs: Any,
    ) -> None:
        if (sqnr is None) != (not reason):
            raise ValueError("an own tolerance needs a reason, and a reason is only for that")
        self.operator = operator
        self.args = args
        self.label = label
        self.call = call
        self.dynamic = dict(dynamic or {})
        self.also = also
        self.sqnr = sqnr
        self.unsupported = unsupported
        self.kwargs = kwargs

    def __str__(self) -> str:
        shapes = [
            f"{str(each.dtype).removeprefix('torch.')}[{','.join(map(str, each.shape))}]"
            for each in torch.utils._pytree.tree_leaves((self.args, self.kwargs))
            if isinstance(each, torch.Tensor)
        ]
        return "-".join(filter(None, [self.operator, *shapes, self.label])).replace(" ", "_")

    def function(self) -> Callable[..., Any]:
        """Return what the row calls."""
        if self.call is not None:
            return self.call
        found: Any = torch.ops
        for part in self.operator.split("."):
            found = getattr(found, part)
        return found  # type: ignore[no-any-return]


class RowModel(torch.nn.Module):
    """A module that makes a row's call: its tensors are inputs, its constants are buffers."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row
        self.inputs: list[torch.Tensor] = []
        self.places, self.tree = torch.utils._pytree.tree_flatten((row.args, row.kwargs))
        for index, leaf in enumerate(self.places):
            if isinstance(leaf, Constant):
                self.register_buffer(f"constant_{index}", leaf.tensor)
            elif isinstance(leaf, torch.Tensor):
                self.inputs.append(leaf)

    def forward(self, *given: torch.Tensor) -> Any:
        inputs = iter(given)
        leaves = [
            getattr(self, f"constant_{index}")
            if isinstance(leaf, Constant)
            else next(inputs)
            if isinstance(leaf, torch.Tensor)
            else leaf
            for index, leaf in enumerate(self.places)
        ]
        args, kwargs = torch.utils._pytree.tree_unflatten(leaves, self.tree)
        return self.row.function()(*args, **kwargs)


def const(tensor: torch.Tensor) -> Constant:
    """Mark a tensor as a constant of the model."""
    return Constant(tensor)


def f32(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> torch.Tensor:
    """Uniform float32 values."""
    draw = torch.Generator().manual_seed(seed + sum(shape))
    return torch.rand(shape, generator=draw) * (high - low) + low


def i32(*shape: int, low: int = -5, high: int = 6, seed: int = 0) -> torch.Tensor:
    """Uniform int32 values from ``low`` to below ``high``."""
    draw = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randint(low, high, shape, generator=draw, dtype=torch.int32)


def i64(*shape: int, low: int = -5, high: int = 6, seed: int = 0) -> torch.Tensor:
    """Uniform int64 values from ``low`` to below ``high``."""
    return i32(*shape, low=low, high=high, seed=seed).to(torch.int64)


def truths(*shape: int, seed: int = 0) -> torch.Tensor:
    """Truth values, half of them true."""
    return i32(*shape, low=0, high=2, seed=seed) == 1


def all_rows() -> list[Row]:
    """Return the rows of all families."""
    rows: list[Row] = []
    for module in pkgutil.iter_modules(__path__):
        rows += importlib.import_module(f"{__name__}.{module.name}").ROWS
    return rows
