"""Eager PyTorch: the captured program, node by node, in float32 and in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from ...artifact import Artifact, TensorSpec
from ...errors import SourceError
from ...formats import EXPORTED
from ...worker import IN_PROCESS
from ..runtime import (
    Arrays,
    RunResult,
    Runtime,
    Session,
    cut_signature,
    fed_name,
    register_runtime,
)
from ..taps.exported import NodeRunner, load_program
from ..taps.summation import with_sequential_error
from ..tensors import named_outputs, one_thread, to_torch

if TYPE_CHECKING:
    import torch


class _Eager(Runtime):
    """What both precisions share.

    It runs in process: it is PyTorch's own interpreter on a file that we captured, and the
    reference that everything else is compared with should not depend on a worker's fate.
    """

    formats = (EXPORTED,)
    place = IN_PROCESS
    packages = ("torch",)
    taps = True
    cuts = True
    double: ClassVar[bool] = False
    rounding: ClassVar[str | None] = None
    sequential: ClassVar[bool] = False

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        return self._open_cut(artifact, taps, ())

    def _open_cut(self, artifact: Artifact, taps: list[str], cuts: Sequence[TensorSpec]) -> Session:
        import torch

        runner = NodeRunner(
            load_program(artifact.path),
            taps=taps,
            cuts=[each.name for each in cuts],
            path=artifact.path,
            double=self.double,
            rounding=getattr(torch, self.rounding) if self.rounding else None,
            after=with_sequential_error if self.sequential else None,
        )
        return EagerSession(artifact, cuts, runner)


class EagerSession(Session):
    """An opened program."""

    def __init__(self, artifact: Artifact, cuts: Sequence[TensorSpec], runner: NodeRunner) -> None:
        super().__init__(cut_signature(artifact, cuts))
        self._runner = runner
        self._cuts = {fed_name(each.name): each.name for each in cuts}
        self._written: dict[str, torch.Tensor] = {}
        names = [spec.name for spec in artifact.signature.inputs]
        if len(names) != len(runner.inputs):
            raise SourceError(
                f"{artifact.path.name} takes {len(runner.inputs)} input(s), and its signature has "
                f"{len(names)}: {', '.join(names)}"
            )
        # keyword inputs may come in another order than in the signature, but under their own names
        own = names if set(names) == set(runner.inputs) else runner.inputs
        self._placeholders = dict(zip(names, own, strict=True))

    def watch(
        self, inputs: Mapping[str, NDArray[Any]], see: Callable[[str, NDArray[Any]], None]
    ) -> None:
        """Run once, and show each tap where it lies in memory, when it is there."""

        def show(name: str, value: torch.Tensor) -> None:
            see(name, value.float().numpy() if value.dtype is torch.bfloat16 else value.numpy())

        import torch

        self._runner.see = show
        try:
            self.run(inputs)
        finally:
            self._runner.see = None

    def _run(self, inputs: Arrays) -> RunResult:
        with one_thread():
            feeds = {node: self._feed(node, inputs.pop(name)) for name, node in self._cuts.items()}
            given = {self._placeholders[name]: to_torch(array) for name, array in inputs.items()}
            run = self._runner.run(given, feeds)
        return RunResult(outputs=named_outputs(run.outputs, self.signature), taps=run.taps)

    def _feed(self, node: str, array: NDArray[Any]) -> torch.Tensor:
        """What the readers of a node are fed; one that writes to it gets the same copy each time.

        Memory that is new costs several times as much as what is written to it.
        """
        if node not in self._runner.written:
            return to_torch(array, share=True)
        copied = self._written.get(node)
        if copied is None or copied.shape != array.shape:
            copied = self._written[node] = to_torch(array)
        else:
            copied.copy_(to_torch(array, share=True))
        return copied


@register_runtime
class EagerFloat32(_Eager):
    """Eager PyTorch as the model was captured.

    The results are bit for bit those of ``program.module()`` on one thread.
    """

    name = "eager-float32"
    title = "eager PyTorch (float32)"


@register_runtime
class EagerFloat32Sequential(_Eager):
    """Eager PyTorch with the error that sums have if they are made term by term."""

    name = "eager-float32-sequential"
    title = "eager PyTorch (float32, sums term by term)"
    reference_only = True
    sequential = True


@register_runtime
class EagerFloat16Weights(_Eager):
    """Eager PyTorch with weights rounded to float16, which compute in float32 term by term."""

    name = "eager-float16-weights"
    title = "eager PyTorch (float16 weights)"
    reference_only = True
    rounding = "float16"
    sequential = True


@register_runtime
class EagerFloat64(_Eager):
    """Eager PyTorch in float64: the reference.

    Inputs are of the model's own types; floating point outputs and taps are float64.
    """

    name = "eager-float64"
    title = "eager PyTorch (float64)"
    reference_only = True
    double = True
