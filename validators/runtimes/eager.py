"""Eager PyTorch: the captured program, node by node, in float32 and in float64."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
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
from ..taps.exported import NodeRunner
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
    onednn: ClassVar[bool] = True
    sequential: ClassVar[bool] = False

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        return self._open_cut(artifact, taps, ())

    def _open_cut(self, artifact: Artifact, taps: list[str], cuts: Sequence[TensorSpec]) -> Session:
        import torch

        runner = NodeRunner(
            program_of(artifact.path),
            taps=taps,
            cuts=[each.name for each in cuts],
            path=artifact.path,
            double=self.double,
            rounding=getattr(torch, self.rounding) if self.rounding else None,
            after=with_sequential_error if self.sequential else None,
        )
        return EagerSession(artifact, cuts, runner, onednn=self.onednn)


@contextlib.contextmanager
def _onednn(enabled: bool) -> Iterator[None]:
    """Switch oneDNN on or off; ``torch.backends.mkldnn.flags`` would also set TF32, and warn."""
    import torch

    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(enabled and before)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before)


def program_of(path: Path) -> torch.export.ExportedProgram:
    """Return a captured program; whoever runs it does not change it."""
    status = path.stat()
    return _program(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=1)
def _program(path: Path, modified: int, size: int) -> torch.export.ExportedProgram:
    """A program, loaded once for all runs of a validation; they do not change it."""
    import torch

    return torch.export.load(path)


class EagerSession(Session):
    """An opened program."""

    def __init__(
        self, artifact: Artifact, cuts: Sequence[TensorSpec], runner: NodeRunner, *, onednn: bool
    ) -> None:
        super().__init__(cut_signature(artifact, cuts))
        self._runner = runner
        self._onednn = onednn
        self._cuts = {fed_name(each.name): each.name for each in cuts}
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
        """Run once, and show each tap where it lies in memory, when it is there.

        Args:
            inputs: As for ``run``.
            see: Called with the name and the value of each tap; the value is not to be kept.
        """

        def show(name: str, value: torch.Tensor) -> None:
            see(name, value.float().numpy() if value.dtype is torch.bfloat16 else value.numpy())

        import torch

        self._runner.see = show
        try:
            self.run(inputs)
        finally:
            self._runner.see = None

    def _run(self, inputs: Arrays) -> RunResult:
        tensors = {name: to_torch(array) for name, array in inputs.items()}
        feeds = {node: tensors.pop(name) for name, node in self._cuts.items()}
        given = {self._placeholders[name]: tensor for name, tensor in tensors.items()}
        with one_thread(), _onednn(self._onednn):
            run = self._runner.run(given, feeds)
        return RunResult(outputs=named_outputs(run.outputs, self.signature), taps=run.taps)


@register_runtime
class EagerFloat32(_Eager):
    """Eager PyTorch as the model was captured.

    The results are bit for bit those of ``program.module()`` on one thread.
    """

    name = "eager-float32"
    title = "eager PyTorch (float32)"


@register_runtime
class EagerFloat32Native(_Eager):
    """Eager PyTorch without oneDNN: another legitimate order of sums, for the noise floor."""

    name = "eager-float32-native"
    title = "eager PyTorch (float32, without oneDNN)"
    reference_only = True
    onednn = False


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
