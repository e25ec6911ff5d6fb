"""TorchScript in float64: the reference of a user's TorchScript file."""

from __future__ import annotations

from collections.abc import Sequence

from ...artifact import Artifact, TensorSpec
from ...formats import TORCHSCRIPT
from ..cutting.torchscript import cut_graph
from ..runtime import Arrays, RunResult, Runtime, Session, cut_signature, register_runtime
from ..taps.torchscript import expose_graph, function_of
from ..taps.torchscript_double import default_double, promoted
from .torchscript import TorchScriptSession, load


@register_runtime
class TorchScriptFloat64(Runtime):
    """The module's own graph, with parameters, buffers, constants and types in float64.

    Inputs are of the model's own types; floating point outputs and taps are float64.
    """

    name = "torchscript-float64"
    title = "TorchScript interpreter (float64)"
    formats = (TORCHSCRIPT,)
    packages = ("torch",)
    taps = True
    cuts = True
    reference_only = True

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        module = load(artifact).double()
        graph = promoted(module.inlined_graph)
        if taps:
            expose_graph(graph, taps, artifact.path)
        forward = function_of(module, graph)
        return _Float64Session(artifact.signature, module, forward, taps)

    def _open_cut(self, artifact: Artifact, taps: list[str], cuts: Sequence[TensorSpec]) -> Session:
        module = load(artifact).double()
        graph = promoted(module.inlined_graph)
        cut_graph(graph, taps, [each.name for each in cuts], artifact.path)
        forward = function_of(module, graph)
        return _Float64Session(cut_signature(artifact, cuts), module, forward, taps, len(cuts))


class _Float64Session(TorchScriptSession):
    def _run(self, inputs: Arrays) -> RunResult:
        wide = {
            name: array.astype("float64") if array.dtype.kind == "f" else array
            for name, array in inputs.items()
        }
        with default_double():
            return super()._run(wide)
