"""What XNNPACK takes of a TFLite file here: the partitions of its graph, and what is left over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..outcome import Stage


@dataclass(frozen=True, kw_only=True)
class Node:
    """What one node of the runtime's graph reads and writes, by the indices of tensors.

    Optional tensors that are left out are not among them.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def delegate(
    arguments: Mapping[str, Any], enter: Callable[..., None], say: Callable[..., None]
) -> dict[str, Any]:
    """Load a file as an app does and tell what becomes of its operators; in a worker.

    Args:
        arguments: ``path`` of the file.
        enter: Called before a stage begins.
        say: Called with lines of progress.

    Returns:
        ``partitions``: for each the indices of the operators in it. ``left``: operators that run
        in LiteRT's own kernels. ``unread``: operators whose results nothing reads, of which it
        cannot be told. All are of the first subgraph.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    enter(Stage.LOAD)
    interpreter = Interpreter(
        model_path=arguments["path"],
        experimental_op_resolver_type=OpResolverType.AUTO,
        num_threads=1,
    )
    # the delegate comes with the first allocation: until then there are the file's operators only
    own = len(interpreter._get_ops_details())
    interpreter.allocate_tensors()
    nodes = [_node(each) for each in interpreter._get_ops_details()]
    outputs = [int(each["index"]) for each in interpreter.get_output_details()]
    return divided(nodes[:own], nodes[own:], outputs)


def divided(
    operators: Sequence[Node], delegates: Sequence[Node], outputs: Iterable[int]
) -> dict[str, Any]:
    """Tell which operators each node of a delegate stands for.

    The runtime shows what a delegate's node reads and writes, and not what it replaced. But
    whatever an operator in a partition reads was made in it too, or is an input of the delegate's
    node: so the operators are those on the way from its results back to its inputs.

    Args:
        operators: The file's own.
        delegates: The nodes that a delegate added.
        outputs: Tensors that are outputs of the model.
    """
    makers = {result: index for index, each in enumerate(operators) for result in each.outputs}
    partitions = [_between(each, operators, makers) for each in delegates]
    taken = {index for each in partitions for index in each}
    read = {tensor for each in operators for tensor in each.inputs}.union(outputs)
    rest = [index for index in range(len(operators)) if index not in taken]
    return {
        "partitions": partitions,
        "left": [index for index in rest if read.intersection(operators[index].outputs)],
        "unread": [index for index in rest if not read.intersection(operators[index].outputs)],
    }


def _between(delegated: Node, operators: Sequence[Node], makers: Mapping[int, int]) -> list[int]:
    found: set[int] = set()
    given = set(delegated.inputs)
    waiting = list(delegated.outputs)
    while waiting:
        tensor = waiting.pop()
        index = makers.get(tensor)
        if tensor not in given and index is not None and index not in found:
            found.add(index)
            waiting += operators[index].inputs
    return sorted(found)


def _node(details: Mapping[str, Any]) -> Node:
    return Node(
        inputs=tuple(int(each) for each in details["inputs"] if each >= 0),
        outputs=tuple(int(each) for each in details["outputs"] if each >= 0),
    )
