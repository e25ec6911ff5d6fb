"""Whether the GPU delegate takes a TFLite file: LiteRT's own analyzer beside our stated rules."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...inspection.tflite_graph import TFLiteGraph
from ...outcome import Stage
from ...worker import WORKER, Job, WorkFailure, WorkPool
from .gpu_rules import RULES, accelerator_takes, refusals
from .origins import Origins

# an operator whose result has a size that depends on values: no release of the delegate takes it
_REFUSED_BY_ALL = "UNIQUE"

_SUBGRAPH = re.compile(r"\s*Subgraph#(\d+)")
_OPERATOR = re.compile(r"\s*Op#(\d+) ")
_WARNING = "GPU COMPATIBILITY WARNING: "
_RELEASE = re.compile(r"TFLite runtime version ([\w.+-]+?)\.?(?:\s|$)")


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What LiteRT's analyzer says.

    Attributes:
        release: The release whose rules it has.
        refused: Index of an operator of the main graph → reason.
        counts: Whether it refuses what it must; an analyzer that takes everything says nothing.
        reason: Why there is no answer; empty if there is one.
    """

    release: str = ""
    refused: Mapping[int, str] | None = None
    counts: bool = False
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"LiteRT's analyzer gave no answer: {self.reason}"
        name = f"LiteRT's analyzer (runtime {self.release})"
        if not self.counts:
            return (
                f"{name} takes every model, even one of {_REFUSED_BY_ALL}, which the delegate has "
                "no kernel for: its checks were removed (tensorflow/tensorflow issue 77042), so "
                "only our rules count"
            )
        return f"{name} refuses {len(self.refused or {})} operators"


def gpu_support(
    path: Path, graph: TFLiteGraph, origins: Origins, pool: WorkPool | None
) -> dict[str, Any]:
    """Return what the report says about the GPU delegate.

    Args:
        path: The file.
        graph: What is in it.
        origins: Where its operators come from.
        pool: Where the analyzer runs; ``None`` to leave it out.
    """
    analysis = Analysis(reason="it was not run") if pool is None else analyze(path, pool)
    reasons = {operator.index: (reason, "rules") for operator, reason in refusals(graph)}
    if analysis.counts:
        for index, reason in (analysis.refused or {}).items():
            reasons[index] = (reason, "analyzer")
    main = graph.main
    placed = origins.place(main)
    return {
        "compatible": not reasons,
        "operators": [
            {
                **placed[index].row(),
                "reason": reason,
                "by": by,
                "accelerator": accelerator_takes(main[index]),
            }
            for index, (reason, by) in sorted(reasons.items())
        ],
        "analyzer": str(analysis),
        "rules": list(RULES),
    }


def analyze(path: Path, pool: WorkPool) -> Analysis:
    """Ask LiteRT's analyzer about a file, and about one that it must refuse."""
    job = Job(place=WORKER, function=f"{__name__}:run_analyzer", arguments={"path": str(path)})
    try:
        texts = pool.call(job)
    except WorkFailure as failure:
        return Analysis(reason=f"{failure.symptom}: {failure.message}")
    release = _RELEASE.search(texts["file"])
    if release is None:  # it is in every verdict
        return Analysis(reason="it could not read the file")
    return Analysis(
        release=release[1],
        refused=parse(texts["file"]),
        counts=bool(parse(texts["probe"])),
    )


def parse(text: str) -> dict[int, str]:
    """Return the operators of the main graph that the analyzer's text warns of, with its reasons.

    A warning follows the operator that it is about; one that names several nodes at once sums up.
    """
    refused: dict[int, str] = {}
    graph, operator = 0, -1
    for line in text.splitlines():
        if found := _SUBGRAPH.match(line):
            graph, operator = int(found[1]), -1
        elif found := _OPERATOR.match(line):
            operator = int(found[1])
        elif line.startswith(_WARNING) and "at nodes" not in line and graph == 0 <= operator:
            refused[operator] = line.removeprefix(_WARNING).strip()
    return refused


def run_analyzer(
    arguments: Mapping[str, Any], enter: Callable[..., None], say: Callable[..., None]
) -> dict[str, str]:
    """Run the analyzer over a file; this is what crosses to a worker.

    Args:
        arguments: ``path`` of the file.
        enter: Called before a stage begins.
        say: Called with lines of progress.

    Returns:
        Its texts about the ``file``, and about a ``probe``: a model that it must refuse.
    """
    from ai_edge_litert import _pywrap_analyzer_wrapper as wrapper

    enter(Stage.LOAD)
    with tempfile.NamedTemporaryFile(suffix=".tflite") as probe:
        probe.write(_probe())
        probe.flush()
        return {
            "file": _checked(wrapper.ModelAnalyzer(arguments["path"], True, True)),
            "probe": _checked(wrapper.ModelAnalyzer(probe.name, True, True)),
        }


def _checked(text: str) -> str:
    """The lines that matter: those about tensors can be many megabytes."""
    return "\n".join(_about_operators(text.splitlines()))


def _about_operators(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        heads = _OPERATOR.match(line) or _SUBGRAPH.match(line)
        if heads:
            yield heads[0].rstrip()
        elif _WARNING in line or "runtime version" in line:
            yield line


def _probe() -> bytes:
    """A model of one operator that no GPU delegate takes."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, _REFUSED_BY_ALL)
    code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
    tensors = []
    for name in ("x", "values", "places"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name, [4]
        tensor.type = schema.TensorType.INT32 if name == "places" else schema.TensorType.FLOAT32
        tensors.append(tensor)
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1, 2]
    operator.builtinOptionsType = schema.BuiltinOptions.UniqueOptions
    operator.builtinOptions = schema.UniqueOptionsT()
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = tensors, [operator]
    graph.inputs, graph.outputs = [0], [1, 2]
    model = schema.ModelT()
    model.version, model.operatorCodes = 3, [code]
    model.subgraphs, model.buffers = [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
