"""exported → onnx: torch's own exporter, with the origin of every value kept."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..artifact import Signature, TensorSpec
from ..errors import UnsupportedError, UnsupportedOperator
from ..formats import EXPORTED, ONNX
from ..hop import Hop, HopResult, HopTask, register_hop
from ..layers import Layer, LayerMap, Place, Spine, explain_absences
from ..mutation import kept_state
from ..outcome import Stage
from ..program import example_shape, operator_name, output_nodes, user_frame
from ..program_file import load_program_file
from ..quiet import quiet_torch
from ..worker import IN_PROCESS

if TYPE_CHECKING:
    import torch

_LARGEST_PROTOBUF = 2**31 - 2**20


def convert(task: HopTask) -> HopResult:
    """Export a captured program to ONNX.

    Value names are the names of the nodes that torch.onnx lowers; these differ from the spine's
    where the program was decomposed (a ``view_1`` may come from the spine's ``reshape``), so the
    layer map follows torch's own record of origins and never the names alone.

    Raises:
        UnsupportedError: All operators that torch.onnx has no rule for, or that keep state.
    """
    import torch

    assert task.source is not None
    assert task.spine is not None
    task.enter(Stage.LOAD)
    program = task.live if task.live is not None else load_program_file(task.source.path)
    task.enter(Stage.LOWER)
    if stateful := kept_state(program):
        raise UnsupportedError("exported → onnx", stateful)
    signature = task.source.signature
    opset = task.options.get("opset")
    output_names = [spec.name for spec in signature.outputs]
    with quiet_torch():
        exported = _export(program, output_names, opset)
    layer_map = _layer_map(task.spine, program, exported, output_names)
    _annotate(exported.model.graph, task.spine, layer_map)
    task.enter(Stage.SERIALIZE)
    weights = sum(each.const_value.nbytes for each in exported.model.graph.initializers.values())
    exported.save(str(task.out), external_data=weights > _LARGEST_PROTOBUF)
    return HopResult(
        signature=_signature(exported.model.graph, signature),
        layer_map=layer_map,
        producer_version=torch.__version__,
    )


def _export(program: Any, output_names: list[str], opset: int | None) -> Any:
    import torch

    try:
        return torch.onnx.export(
            program,
            dynamo=True,
            output_names=output_names,
            opset_version=opset,
            optimize=True,
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        unsupported = list(_without_rule(program))
        if unsupported:
            raise UnsupportedError("exported → onnx", unsupported) from error
        raise


def _without_rule(program: torch.export.ExportedProgram) -> Iterator[UnsupportedOperator]:
    """All operators of the program that torch.onnx has neither a rule nor a decomposition for."""
    from torch.onnx._internal.exporter import _registration

    rules = _registration.ONNXRegistry.from_torchlib()
    decomposed = program.run_decompositions()
    counts: dict[str, int] = {}
    first: dict[str, str] = {}
    for node in decomposed.graph.nodes:
        if node.op != "call_function" or node.target is operator.getitem:
            continue
        if not rules.is_registered(node.target):
            name = operator_name(node.target)
            counts[name] = counts.get(name, 0) + 1
            first.setdefault(name, user_frame(node.meta.get("stack_trace") or ""))
    for name, count in counts.items():
        yield UnsupportedOperator(operator=name, count=count, where=first[name] or None)


def _layer_map(
    spine: Spine, program: torch.export.ExportedProgram, exported: Any, output_names: list[str]
) -> LayerMap:
    graph = exported.model.graph
    values = {value.name for node in graph for value in node.outputs}
    nodes = list(exported.exported_program.graph.nodes)
    # the exporter renames what the program returns
    renamed = dict(zip(output_nodes(exported.exported_program), output_names, strict=True))
    ends = _ends_by_origin(nodes, _results(program))
    mapped: dict[str, Place] = {}
    for layer in spine.layers:
        node = _end_for(layer, ends)
        if node is None:
            continue
        names = (node.name, renamed.get(node.name), _part_name(node))
        name = next((each for each in names if each in values), None)
        if name is not None:
            mapped[layer.id] = Place(tensor=name)
    return explain_absences(spine, mapped)


def _part_name(node: torch.fx.Node) -> str | None:
    """What the exporter calls a part of a split tensor."""
    if node.target is not operator.getitem:
        return None
    split, index = node.args
    return f"{split}_split_{index}"


def _results(program: torch.export.ExportedProgram) -> dict[tuple[str, int], str]:
    """Name of a node with several results, and number of one → name of the node that takes it."""
    return {
        (node.args[0].name, node.args[1]): node.name
        for node in program.graph.nodes
        if node.target is operator.getitem and isinstance(node.args[1], int)
    }


def _ends_by_origin(
    nodes: list[Any], results: Mapping[tuple[str, int], str]
) -> dict[str, list[Any]]:
    """Spine name → nodes lowered from it whose results other layers read."""
    import torch

    origins = {node: _origin(node) for node in nodes if node.op == "call_function"}
    for node, origin in origins.items():
        if node.target is operator.getitem:  # PyTorch tells what has all results
            origins[node] = results.get((origin, node.args[1]), origin)
    ends: dict[str, list[Any]] = {}
    for node, origin in origins.items():
        if not isinstance(node.meta.get("val"), torch.Tensor):
            continue
        if any(origins.get(user) != origin for user in node.users):
            ends.setdefault(origin, []).append(node)
    return ends


def _origin(node: torch.fx.Node) -> str:
    """Name of the node of the captured program that this one was lowered from."""
    source = node.meta.get("from_node")
    if not source:
        return node.name
    last = source[-1]
    while last.from_node:
        last = last.from_node[-1]
    return str(last.name)


def _end_for(layer: Layer, ends: Mapping[str, list[Any]]) -> Any:
    """The node that holds a layer's result, if exactly one does."""
    candidates = [node for node in ends.get(layer.id, ()) if example_shape(node) == layer.shape]
    return candidates[0] if len(candidates) == 1 else None


def _annotate(graph: Any, spine: Spine, layer_map: LayerMap) -> None:
    """Write layer, module path and source line of each node into its metadata, in our own keys."""
    layers = {layer.id: layer for layer in spine.layers}
    by_value = {place.tensor: layers[name] for name, place in layer_map.mapped().items()}
    for node in graph:
        node.metadata_props.pop("pkg.torch.onnx.fx_node", None)
        for value in node.outputs:
            layer = by_value.get(value.name)
            if layer:
                node.metadata_props["driftbridge.layer"] = layer.id
                node.metadata_props["driftbridge.module"] = layer.module
                node.metadata_props["driftbridge.source"] = layer.source


def _signature(graph: Any, source: Signature) -> Signature:
    """The source's signature with the names that the ONNX graph really has."""

    def named(spec: TensorSpec, value: Any) -> TensorSpec:
        return replace(spec, name=value.name)

    return Signature(
        inputs=tuple(named(*pair) for pair in zip(source.inputs, graph.inputs, strict=True)),
        outputs=tuple(named(*pair) for pair in zip(source.outputs, graph.outputs, strict=True)),
    )


register_hop(
    Hop(
        name="torch-onnx",
        title="torch.onnx (dynamo)",
        source=EXPORTED,
        target=ONNX,
        convert=convert,
        cost=2.0,
        place=IN_PROCESS,
        packages=("torch", "onnx", "onnxscript"),
        options=("opset",),
        script="""
with torch.no_grad():
    torch.onnx.export(
        program, dynamo=True, optimize=True, opset_version=options.get("opset")
    ).save("model.onnx")
""",
    )
)
