"""TorchScript graphs cut apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..taps.torchscript import function_of, show, tensor_values


def cut(
    module: Any, taps: Sequence[str], cuts: Sequence[str], path: Path
) -> Callable[..., tuple[Any, ...]]:
    """Return ``forward`` of a loaded module with values shown, and readers of others fed.

    Args:
        module: A ``ScriptModule`` as ``torch.jit.load`` returns it.
        taps: Names of values to show.
        cuts: Names of values whose readers are fed. What an operator writes to in place belongs
            to one piece with all that shares its memory; such values are the caller's to leave out.
        path: The file, for messages.

    Returns:
        A function of ``forward``'s own arguments and one tensor for each cut, which returns its
        result, then the shown values.

    Raises:
        SourceError: There is no such value, or it holds no tensor.
    """
    graph: Any = module.inlined_graph
    cut_graph(graph, taps, cuts, path)
    return function_of(module, graph)


def cut_graph(graph: Any, taps: Sequence[str], cuts: Sequence[str], path: Path) -> None:
    """Cut a graph, which is changed; arguments and errors are those of ``cut``."""
    values = tensor_values(graph, [*taps, *cuts], path)
    shown = show(graph, [values[name] for name in taps])
    feed(graph, {name: values[name] for name in cuts}, shown)


def feed(graph: Any, cuts: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
    """Let the readers of values read new inputs of the graph, which come after its own.

    Args:
        graph: The graph, which is changed.
        cuts: Name → value.
        shown: Name → the copy of a value that is shown; it stays that of the value itself.
    """
    import torch

    for number, (name, value) in enumerate(cuts.items()):
        fed = graph.addInput(f"cut_{number}")
        fed.setType(torch._C.TensorType.get())
        after = shown[name].node() if name in shown else value.node()
        value.replaceAllUsesAfterNodeWith(after, fed)
