"""The registry of lowerings: one function for each PyTorch operator.

A lowering takes the context and the operator's arguments in the order of its schema (arguments that
the schema makes keyword-only by keyword), tensors as values, and returns a value, or a list of them
for an operator with several results. It works in PyTorch's own layout; the layout pass moves
transposes away afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from ...registry import Registry
from .ir import Value

LoweringFunction: TypeAlias = Callable[..., "Value | Sequence[Value | None]"]
F = TypeVar("F", bound=LoweringFunction)


@dataclass(frozen=True, kw_only=True)
class Lowering:
    """One registered lowering.

    Attributes:
        operator: ``aten.add`` for all overloads, or ``aten.add.Tensor`` for one.
        function: The function.
    """

    operator: str
    function: LoweringFunction

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]


LOWERINGS: Registry[Lowering] = Registry(
    "lowering", packages=("bridge.converters.tflite.lowerings",), group="driftbridge.lowerings"
)


def lowers(*operators: str, override: bool = False) -> Callable[[F], F]:
    """Register a lowering for operators, such as ``aten.add`` or ``mylib.fused_norm``.

    In-place forms (``aten.add_``) use the lowering of the plain one.

    Args:
        operators: Names, without the overload (all of them) or with it (that one only).
        override: Replace a lowering that exists, which is otherwise an error.

    Raises:
        RegistryError: The operator has a lowering already; both places are named.
    """

    def add(function: F) -> F:
        known = LOWERINGS.members()  # ours come first, so that a clash shows where it is made
        for operator in operators:
            if override and operator in known:
                LOWERINGS.unregister(operator)
            LOWERINGS.register(
                operator,
                Lowering(operator=operator, function=function),
                home=getattr(function, "__module__", "?"),
            )
        return function

    return add


def find_lowering(packet: str, overload: str) -> Lowering | None:
    """Return the lowering of an operator, if there is one.

    Args:
        packet: Name without the overload, such as ``aten.add`` or ``aten.add_``.
        overload: Name of the overload, such as ``Tensor``.
    """
    names = LOWERINGS.members()
    for base in (packet, packet.removesuffix("_")):
        for name in (f"{base}.{overload}", base):
            if name in names:
                return names[name]
    return None
