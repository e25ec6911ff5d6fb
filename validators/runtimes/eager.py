"""Eager PyTorch: the captured program, node by node, in float32 and in float64."""

from __future__ import annotations

from ...artifact import Artifact
from ...errors import SourceError
from ...formats import EXPORTED
from ...worker import IN_PROCESS
from ..runtime import Arrays, RunResult, Runtime, Session, register_runtime
from ..taps.exported import NodeRunner
from ..tensors import named_outputs, one_thread, to_torch


class _Eager(Runtime):
    """What both precisions share.

    It runs in process: it is PyTorch's own interpreter on a file that we captured, and the
    reference that everything else is compared with should not depend on a worker's fate.
    """

    formats = (EXPORTED,)
    place = IN_PROCESS
    packages = ("torch",)
    taps = True
    double = False

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        import torch

        program = torch.export.load(artifact.path)
        runner = NodeRunner(program, taps=taps, path=artifact.path, double=self.double)
        return _EagerSession(artifact, runner)


class _EagerSession(Session):
    def __init__(self, artifact: Artifact, runner: NodeRunner) -> None:
        super().__init__(artifact.signature)
        self._runner = runner
        names = [spec.name for spec in artifact.signature.inputs]
        if len(names) != len(runner.inputs):
            raise SourceError(
                f"{artifact.path.name} takes {len(runner.inputs)} input(s), and its signature has "
                f"{len(names)}: {', '.join(names)}"
            )
        # keyword inputs may come in another order than in the signature, but under their own names
        own = names if set(names) == set(runner.inputs) else runner.inputs
        self._placeholders = dict(zip(names, own, strict=True))

    def _run(self, inputs: Arrays) -> RunResult:
        tensors = {self._placeholders[name]: to_torch(array) for name, array in inputs.items()}
        with one_thread():
            run = self._runner.run(tensors)
        return RunResult(outputs=named_outputs(run.outputs, self.signature), taps=run.taps)


@register_runtime
class EagerFloat32(_Eager):
    """Eager PyTorch as the model was captured.

    The results are bit for bit those of ``program.module()`` on one thread.
    """

    name = "eager-float32"
    title = "eager PyTorch (float32)"


@register_runtime
class EagerFloat64(_Eager):
    """Eager PyTorch in float64: the reference.

    Inputs are of the model's own types; floating point outputs and taps are float64.
    """

    name = "eager-float64"
    title = "eager PyTorch (float64)"
    reference_only = True
    double = True
