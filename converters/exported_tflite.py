"""exported → tflite: the direct compiler."""

from __future__ import annotations

from dataclasses import replace

from .. import __version__
from ..artifact import Signature, TensorSpec
from ..formats import EXPORTED, TFLITE
from ..hop import Hop, HopResult, HopTask, register_hop
from ..outcome import Stage
from ..worker import IN_PROCESS
from .tflite import CompileOptions
from .tflite.compiler import lower_program
from .tflite.ir import Graph, Value
from .tflite.passes import optimise
from .tflite.provenance import layer_map, name_values
from .tflite.serialize import write
from .tflite.sizes import Dim


def convert(task: HopTask) -> HopResult:
    """Compile a captured program.

    Raises:
        UnsupportedError: All operators that have no lowering, or arguments that theirs refuse.
    """
    import torch

    assert task.source is not None
    assert task.spine is not None
    task.enter(Stage.LOAD)
    program = task.live if task.live is not None else torch.export.load(task.source.path)
    task.enter(Stage.LOWER)
    signature = task.source.signature
    options = CompileOptions()
    input_names = [spec.name for spec in signature.inputs]
    output_names = [spec.name for spec in signature.outputs]
    with torch.no_grad():
        graph = lower_program(program, options, input_names, output_names)
    optimise(graph, options)
    name_values(graph, task.spine)
    task.enter(Stage.SERIALIZE)
    write(graph, task.out, (input_names, output_names))
    return HopResult(
        signature=_signature(graph, signature),
        layer_map=layer_map(graph, task.spine),
        producer_version=__version__,
    )


def _signature(graph: Graph, source: Signature) -> Signature:
    """The source's signature with the types and layouts of the file."""

    def spec(given: TensorSpec, value: Value) -> TensorSpec:
        sizes = tuple(None if isinstance(size, Dim) else size for size in value.shape)
        return replace(given, shape=sizes, dtype=value.dtype)

    return Signature(
        inputs=tuple(spec(*pair) for pair in zip(source.inputs, graph.inputs, strict=True)),
        outputs=tuple(spec(*pair) for pair in zip(source.outputs, graph.outputs, strict=True)),
    )


register_hop(
    Hop(
        name="tflite-direct",
        title="direct compiler",
        source=EXPORTED,
        target=TFLITE,
        convert=convert,
        cost=1.0,
        place=IN_PROCESS,
        packages=("torch", "ai-edge-litert", "flatbuffers"),
    )
)
