"""exported → tflite: the direct compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..artifact import Signature, TensorSpec
from ..errors import UsageError
from ..formats import EXPORTED, TFLITE
from ..hop import EnterStage, Hop, HopResult, HopTask, register_hop
from ..layers import Spine
from ..live import dtype_name
from ..outcome import Stage
from ..program_file import load_program_file
from ..worker import IN_PROCESS
from .tflite import CompileOptions
from .tflite.ir import Graph, Value
from .tflite.passes.boundary import CHANNELS_LAST
from .tflite.pipeline import compile_program
from .tflite.provenance import layer_map
from .tflite.serialize import write
from .tflite.sizes import Dim

if TYPE_CHECKING:
    import torch


def convert(task: HopTask) -> HopResult:
    """Compile a captured program.

    Raises:
        UnsupportedError: All operators that have no lowering, or arguments that theirs refuse.
        UsageError: An option has a value that it cannot have.
    """
    assert task.source is not None
    assert task.spine is not None
    options = compile_options(task.options, task.source.signature)
    task.enter(Stage.LOAD)
    program = task.live if task.live is not None else load_program_file(task.source.path)
    return compiled(program, task.spine, task.source.signature, options, task.out, enter=task.enter)


def compiled(
    program: torch.export.ExportedProgram,
    spine: Spine,
    signature: Signature,
    options: CompileOptions,
    out: Path,
    enter: EnterStage = lambda stage: None,
) -> HopResult:
    """Compile a captured program and write the file.

    Args:
        program: The program.
        spine: Its layers.
        signature: Its inputs and outputs, by the names that the file gives them.
        options: How it is compiled.
        out: Path of the file.
        enter: Called with a stage before it begins.

    Raises:
        UnsupportedError: All operators that have no lowering, or arguments that theirs refuse.
    """
    enter(Stage.LOWER)
    names = ([spec.name for spec in signature.inputs], [spec.name for spec in signature.outputs])
    graph = compile_program(program, spine, options, *names)
    enter(Stage.SERIALIZE)
    sha256 = write(graph, out, names)
    return HopResult(
        signature=_signature(graph, signature, options),
        layer_map=layer_map(graph, spine),
        producer_version=__version__,
        notes=tuple(_notes(graph, signature, program)),
        precision="float16" if options.float16_weights else "float32",
        sha256=sha256,
    )


def compile_options(given: Mapping[str, Any], signature: Signature) -> CompileOptions:
    """Return how to compile, from the hop's options by name.

    Raises:
        UsageError: One has a value that it cannot have.
    """
    precision = given.get("precision")
    if precision not in (None, "fp32", "fp16"):
        raise UsageError(f"--precision {precision} is not known", hint="it is fp32 or fp16")
    return CompileOptions(
        channels_last=_channels_last(given.get("io_layout") or (), signature),
        keep_int64=bool(given.get("keep_int64")),
        float16_weights=precision == "fp16",
        unroll=given.get("unroll"),
    )


def _channels_last(asked: Sequence[str], signature: Signature) -> frozenset[str]:
    """Names of the inputs and outputs that are NHWC in the file; a layout alone is for all."""
    specs = {spec.name: spec for spec in (*signature.inputs, *signature.outputs)}
    layouts: dict[str, str] = {}
    for text in sorted(asked, key=lambda each: "=" in each):  # the general before the particular
        name, _, layout = text.rpartition("=")
        if layout not in ("nhwc", "nchw"):
            raise UsageError(f"--io-layout {text} is not known", hint="nhwc, or NAME=nhwc")
        if name and name not in specs:
            raise UsageError(
                f"--io-layout {text}: the model has no input or output {name!r}",
                hint=f"it has {', '.join(specs)}",
            )
        if name and len(specs[name].shape) != len(CHANNELS_LAST):
            raise UsageError(f"--io-layout {text}: {specs[name]} does not have four axes")
        wide = [each for each, spec in specs.items() if len(spec.shape) == len(CHANNELS_LAST)]
        layouts |= dict.fromkeys([name] if name else wide, layout)
    return frozenset(name for name, layout in layouts.items() if layout == "nhwc")


def _signature(graph: Graph, source: Signature, options: CompileOptions) -> Signature:
    """The source's signature with the types and layouts of the file."""

    def spec(given: TensorSpec, value: Value) -> TensorSpec:
        sizes = tuple(None if isinstance(size, Dim) else size for size in value.shape)
        if given.name in options.channels_last and len(sizes) == len(CHANNELS_LAST):
            given = replace(given, layout="NHWC", permutation=CHANNELS_LAST)
        return replace(given, shape=sizes, dtype=value.dtype)

    return Signature(
        inputs=tuple(spec(*pair) for pair in zip(source.inputs, graph.inputs, strict=True)),
        outputs=tuple(spec(*pair) for pair in zip(source.outputs, graph.outputs, strict=True)),
    )


def _notes(graph: Graph, source: Signature, program: torch.export.ExportedProgram) -> list[str]:
    """What the file's types differ in from the model's."""
    specs = (*source.inputs, *source.outputs)
    values = (*graph.inputs, *graph.outputs)
    notes = [
        f"{given.name} is {value.dtype} in the file and {given.dtype} in the model"
        for given, value in zip(specs, values, strict=True)
        if given.dtype != value.dtype
    ]
    fakes = [node.meta.get("val") for node in program.graph.nodes]
    inside = {dtype_name(fake.dtype) for fake in fakes if hasattr(fake, "dtype")}
    other = sorted(inside & {"float16", "bfloat16", "float64"})
    if other:
        notes.append(f"the file computes in float32 where the model does in {' and '.join(other)}")
    return notes


HOP = register_hop(
    Hop(
        name="tflite-direct",
        title="direct compiler",
        source=EXPORTED,
        target=TFLITE,
        convert=convert,
        cost=1.0,
        place=IN_PROCESS,
        packages=("torch", "ai-edge-litert", "flatbuffers"),
        options=("io_layout", "keep_int64", "precision", "unroll"),
    )
)
