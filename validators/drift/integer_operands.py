"""What the operators of the source read and give, where a file computes with integers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from operator import getitem
from typing import TYPE_CHECKING, Any, TypeGuard

from ...program import operator_name
from ..quantization.recipe import Weights
from .integer_rounding import (
    NORMS,
    StepRanges,
    argument_values,
    norm,
    norm_of_rounded,
    symmetric,
)

if TYPE_CHECKING:
    import torch

# operator → place of its weights, and their axis of output channels
_WEIGHTS: dict[str, tuple[int, int]] = {
    "conv1d": (1, 0), "conv2d": (1, 0), "conv3d": (1, 0), "convolution": (1, 0),
    "_convolution": (1, 0), "conv_transpose1d": (1, 1), "conv_transpose2d": (1, 1),
    "conv_transpose3d": (1, 1), "linear": (1, 0), "addmm": (2, 1), "mm": (1, 1),
    "matmul": (1, -1), "bmm": (1, -1), "embedding": (0, 0), "batch_norm": (1, 0),
    "lstm": (2, 0), "gru": (2, 0), "rnn_tanh": (2, 0), "rnn_relu": (2, 0),
}  # fmt: skip
_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
PRODUCTS = frozenset(_WEIGHTS) - {"batch_norm"}
SCALED = NORMS | {"batch_norm"}
_CONSTANT_OPERANDS = frozenset({"add", "sub", "mul", "div", "maximum", "minimum"})


class Operands:
    """Rounds what an operator reads while it runs, and puts back what others read.

    Args:
        weights: Layer → how its weights are stored.
        stepwise: Norm that is computed in several steps → bits of their integers.
        whole: Those of them whose result is one of the steps.
        live: Nodes whose values depend on the inputs.

    Attributes:
        learning: Whether nothing is rounded, and the ranges of steps are looked at.
    """

    def __init__(
        self,
        weights: Mapping[str, Weights],
        stepwise: Mapping[str, int],
        whole: Collection[str],
        live: Collection[str],
    ) -> None:
        self._weights = weights
        self._stepwise, self._whole = stepwise, whole
        self._live = live
        self._before: dict[torch.fx.Node, Any] = {}
        self._arguments: list[Any] = []
        self._steps: dict[str, StepRanges] = {}
        self.learning = False

    def before(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Put rounded weights, and dynamically rounded activations, in place."""
        from torch.fx import Node

        found, operator = self._weights_of(node), _operator(node)
        if operator in NORMS:
            self._arguments = argument_values(node.args, values)
        if found is None or node.op != "call_function" or self.learning:
            return
        place, axis = _WEIGHTS.get(operator, (-1, 0))
        for position, argument in enumerate(node.args):
            for read in argument if isinstance(argument, list | tuple) else [argument]:
                if not isinstance(read, Node):
                    continue
                value = values.get(read)
                if not is_float(value) or value.numel() < 2:
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
            rounded = steps.begin(learning=self.learning)
            made = norm(operator, self._arguments, rounded)
            made = rounded(made) if node.name in self._whole else made
            return value if self.learning else made
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


def is_float(value: Any) -> TypeGuard[torch.Tensor]:
    """Whether a value is a tensor of floating point numbers."""
    import torch

    return isinstance(value, torch.Tensor) and value.is_floating_point()
