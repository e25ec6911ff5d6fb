"""Live models: a module with the inputs that it is captured with, and the names of its tensors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .artifact import Signature, TensorSpec
from .errors import InputError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class LiveModel:
    """A module in this process.

    Attributes:
        module: The module, in evaluation mode.
        args: Positional example inputs, possibly nested.
        kwargs: Keyword example inputs.
        dynamic: Input name → its axes whose size may change.
        result: What the module made of the inputs when it was tried; ``None`` if it was not.
    """

    module: torch.nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    dynamic: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    result: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        # keyword inputs in the order of the parameters: captured graphs keep the order of the call
        order = list(bind_arguments(self.module, self.args, self.kwargs))
        kwargs = dict(sorted(self.kwargs.items(), key=lambda item: order.index(item[0])))
        object.__setattr__(self, "kwargs", kwargs)

    def inputs(self) -> dict[str, torch.Tensor]:
        """Return the tensors among the example inputs by name, in the order of ``forward``."""
        return named_tensors(self.arguments())

    def arguments(self) -> dict[str, Any]:
        """Return the example inputs by parameter name of ``forward``, nested as they are.

        Raises:
            InputError: They do not fit the parameters of ``forward``.
        """
        return bind_arguments(self.module, self.args, self.kwargs)

    def copies(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return copies of the example inputs: a model may change them in place."""
        return self.with_inputs({n: each.detach().numpy() for n, each in self.inputs().items()})

    def run(self) -> Any:
        """Run the module once on copies of its example inputs."""
        args, kwargs = self.copies()
        return self.module(*args, **kwargs)

    def with_inputs(self, arrays: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return ``args`` and ``kwargs`` with the tensors replaced by arrays of the same names."""
        import torch

        # copies in torch's own memory: a model may change its inputs in place, and kernels are
        # chosen by the alignment, which numpy's memory need not have
        return self.with_tensors([torch.tensor(arrays[name]) for name in self.inputs()])

    def with_tensors(
        self, tensors: Sequence[torch.Tensor]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return ``args`` and ``kwargs`` with the tensors replaced, in the order of ``inputs``."""
        import torch
        from torch.utils import _pytree as pytree

        following = iter(tensors)
        in_order = {name: self.kwargs[name] for name in self.arguments() if name in self.kwargs}
        args, kwargs = pytree.tree_map(
            lambda leaf: next(following) if isinstance(leaf, torch.Tensor) else leaf,
            (self.args, in_order),
        )
        return args, kwargs

    def flatten(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
        """Return the tensors of a call's arguments in the order of ``inputs``."""
        return list(named_tensors(bind_arguments(self.module, args, kwargs)).values())


def bind_arguments(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return arguments by parameter name of ``module.forward``; ``InputError`` if they misfit."""
    try:
        signature = inspect.signature(module.forward)
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InputError(
            f"the inputs do not fit {type(module).__name__}.forward{signature}: {error}",
            hint="each input is given as NAME=SHAPE with a parameter's name",
        ) from None
    arguments: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            arguments.update({f"{name}_{index}": each for index, each in enumerate(value)})
        elif kind is inspect.Parameter.VAR_KEYWORD:
            arguments.update(value)
        else:
            arguments[name] = value
    return arguments


def named_tensors(tree: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return the tensors of nested values under names such as ``x``, ``states_0``, ``batch_mask``.

    The names are ``torch.export``'s own: the path of keys and indices, joined by underscores.
    """
    import torch

    found: dict[str, torch.Tensor] = {}
    for name, value in tree.items():
        for path, leaf in _leaves(value):
            if isinstance(leaf, torch.Tensor):
                found["_".join((name, *path))] = leaf
    return found


def output_names(outputs: Any) -> list[str]:
    """Return a name for every tensor of a model's result, in order.

    The keys of a dictionary (or the fields of a data class) are the names; a single tensor is
    ``output``, members of a tuple are ``output_0``, ``output_1``.
    """
    import torch

    return [
        "_".join(path) if path and not path[0].isdigit() else "_".join(("output", *path))
        for path, leaf in _leaves(outputs)
        if isinstance(leaf, torch.Tensor)
    ]


def tensors_of(tree: Any) -> list[torch.Tensor]:
    """Return the tensors of a nested value in order."""
    import torch

    return [leaf for _, leaf in _leaves(tree) if isinstance(leaf, torch.Tensor)]


def signature_of(
    inputs: Mapping[str, torch.Tensor],
    outputs: Mapping[str, torch.Tensor],
    dynamic: Mapping[str, tuple[int, ...]],
    output_shape: Callable[[str], tuple[int | None, ...]] | None = None,
) -> Signature:
    """Return the signature of a model from its example inputs and their outputs.

    Args:
        inputs: Example inputs by name.
        outputs: What the model made of them, by name.
        dynamic: Input name → axes of changing size.
        output_shape: Shape of an output with ``None`` for changing sizes, where it is known.
    """

    def spec(name: str, tensor: torch.Tensor, shape: tuple[int | None, ...]) -> TensorSpec:
        return TensorSpec(name=name, shape=shape, dtype=dtype_name(tensor.dtype))

    return Signature(
        inputs=tuple(
            spec(
                name,
                tensor,
                tuple(
                    None if axis in dynamic.get(name, ()) else size
                    for axis, size in enumerate(tensor.shape)
                ),
            )
            for name, tensor in inputs.items()
        ),
        outputs=tuple(
            spec(name, tensor, output_shape(name) if output_shape else tuple(tensor.shape))
            for name, tensor in outputs.items()
        ),
    )


def dtype_name(dtype: torch.dtype) -> str:
    """Return NumPy's name of a torch type (``bool``, ``float32``); bfloat16 keeps its own."""
    return str(dtype).removeprefix("torch.")


def _leaves(tree: Any) -> list[tuple[tuple[str, ...], Any]]:
    from torch.utils import _pytree as pytree

    leaves, _ = pytree.tree_flatten_with_path(tree)
    return [(tuple(_key_text(key) for key in path), leaf) for path, leaf in leaves]


def _key_text(key: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key).strip(".[]'\"")
