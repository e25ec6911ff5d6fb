"""What of a captured program is constant: parameters, and everything that depends on no input.

Constant nodes are run by PyTorch itself, in the order of the program, on real tensors. In-place
writes to slices of a mask therefore mean exactly what they mean in eager mode.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...mutation import written

if TYPE_CHECKING:
    import torch

# Only the shape of the tensor argument matters to these.
_LIKE = {
    f"aten.{name}"
    for name in (
        "new_zeros", "new_ones", "new_full", "new_empty", "zeros_like", "ones_like", "full_like",
        "empty_like",
    )
}  # fmt: skip
# These draw random numbers, so that running them now would freeze one draw.
_RANDOM = {
    f"aten.{name}"
    for name in (
        "rand", "randn", "randint", "rand_like", "randn_like", "randint_like", "randperm", "normal",
        "bernoulli", "multinomial", "normal_", "uniform_", "bernoulli_", "exponential_", "poisson",
    )
}  # fmt: skip
# These hold whatever the memory held.
_UNDEFINED = {
    f"aten.{name}"
    for name in ("empty", "empty_like", "empty_strided", "empty_permuted", "new_empty",
                 "new_empty_strided")
}  # fmt: skip
# A constant that is this much larger than what it is made of is cheaper to compute than to store.
_GROWTH = 64
_LARGE = 1 << 22


class Constants:
    """The constant nodes of a program and their tensors.

    Args:
        program: The captured program; its tensors are not copied, and never written to.
    """

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self._tensors: dict[torch.fx.Node, Any] = dict(_lifted(program))
        self._borrowed = set(self._tensors)
        for node in program.graph.nodes:
            self._fold(node)

    def __contains__(self, node: torch.fx.Node) -> bool:
        return node in self._tensors

    def __getitem__(self, node: torch.fx.Node) -> Any:
        return self._tensors[node]

    def _fold(self, node: torch.fx.Node) -> None:
        """Run a node if it depends on no input."""
        import torch

        if not self._can_fold(node):
            return
        with torch.no_grad():
            target: Any = node.target
            args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), self._argument(node))
            self._tensors[node] = target(*args, **kwargs)
            # else each file would be another one
            if str(getattr(target, "overloadpacket", target)) in _UNDEFINED:
                self._tensors[node].zero_()

    def _argument(self, node: torch.fx.Node) -> Any:
        import torch

        mutated = set(written(node))

        def value(argument: torch.fx.Node) -> Any:
            if argument in mutated:
                for borrowed in self._shared_with(argument):
                    self._own(borrowed)
            if argument in self._tensors:
                return self._tensors[argument]
            fake = argument.meta["val"]  # of an operator in _LIKE
            # of its sizes those that change are not read, as the result has none of them
            shape = [size if isinstance(size, int) else 1 for size in fake.shape]
            return torch.empty((), dtype=fake.dtype).expand(shape)

        return value

    def _shared_with(self, node: torch.fx.Node) -> list[torch.fx.Node]:
        """The program's own tensors that a constant is a view of."""
        memory = self._tensors[node].untyped_storage().data_ptr()
        return [
            each
            for each in self._borrowed
            if self._tensors[each].untyped_storage().data_ptr() == memory
        ]

    def _own(self, node: torch.fx.Node) -> None:
        """Copy a tensor of the program's before it is written to, and rerun what views it."""
        import torch

        self._tensors[node] = self._tensors[node].clone()
        self._borrowed.discard(node)
        stale = {node}
        for each in node.graph.nodes:
            if each in self._tensors and stale.intersection(each.all_input_nodes):
                stale.add(each)
                target: Any = each.target
                args, kwargs = torch.fx.node.map_arg(
                    (each.args, each.kwargs), lambda argument: self._tensors[argument]
                )
                self._tensors[each] = target(*args, **kwargs)

    def _can_fold(self, node: torch.fx.Node) -> bool:
        import torch

        if node.op != "call_function":
            return False
        if node.target is operator.getitem:
            return node.args[0] in self._tensors
        if not isinstance(node.target, torch._ops.OpOverload):
            return False
        name = node.target.overloadpacket.__str__()
        if name in _RANDOM or not _is_static(node.meta.get("val")):
            return False
        if name in _LIKE:
            return all(
                argument in self._tensors
                for argument in node.all_input_nodes
                if argument is not node.args[0]
            )
        if any(argument not in self._tensors for argument in node.all_input_nodes):
            return False
        return not self._grows(node)

    def _grows(self, node: torch.fx.Node) -> bool:
        value = node.meta.get("val")
        made = getattr(value, "numel", lambda: 0)()
        if made < _LARGE or not node.all_input_nodes:
            return False
        read = sum(
            getattr(self._tensors[each], "numel", lambda: 0)() for each in node.all_input_nodes
        )
        return bool(made > _GROWTH * read)


def _is_static(value: Any) -> bool:
    import torch

    if isinstance(value, torch.Tensor):
        return all(isinstance(size, int) for size in value.shape)
    if isinstance(value, list | tuple):
        return all(_is_static(each) for each in value)
    return isinstance(value, int | float | bool | type(None)) and value is not None


def _lifted(program: torch.export.ExportedProgram) -> Iterator[tuple[torch.fx.Node, Any]]:
    """Placeholders of parameters, buffers and constants with their tensors."""
    signature = program.graph_signature
    targets = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in targets:
            name = targets[node.name]
            yield (
                node,
                program.state_dict[name] if name in program.state_dict else program.constants[name],
            )
