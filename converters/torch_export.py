"""torch → exported: ``torch.export``, with the spine that every later comparison stands on."""

from __future__ import annotations

import copy
import functools
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..artifact import Signature
from ..axes import with_layouts
from ..digesting import DigestedFile
from ..errors import CaptureError, MismatchError
from ..formats import EXPORTED, TORCH
from ..hop import Hop, HopResult, HopTask, register_hop
from ..layers import identity_map
from ..live import LiveModel, named_tensors, output_names, signature_of, tensors_of
from ..outcome import Stage
from ..program import output_nodes, run_program, spine_of, user_frame
from ..program_file import extra_files
from ..worker import IN_PROCESS
from ._capture import capture

if TYPE_CHECKING:
    import torch

_OURS = str(Path(__file__).parent.parent)
_SIZES = "the model needs one number where a size may change (?): give that dimension a fixed size"
_VALUES = (
    "control flow that depends on values cannot be captured; "
    "--to torchscript,mobile scripts the model instead"
)


def convert(task: HopTask) -> HopResult:
    """Capture a live module; the graph must give the module's own result on the example inputs.

    The graph runs in a thread beside the writing of the file, most of which is Python.
    """
    import torch

    live: LiveModel = task.live
    task.enter(Stage.CAPTURE)
    with torch.no_grad():
        result = live.run() if live.result is None else live.result
        plain = _is_plain(result) and not _has_other_leaves(result)
        program = _export(live, live.module if plain else _returning_tensors(live.module)[0])
        with _running(live, program) as made:
            spine = spine_of(program)
            task.enter(Stage.SERIALIZE)
            sha256 = _save(program, task.out)
            task.enter(Stage.COMPARE)
            _check(live, tensors_of(result), made.result())
    return HopResult(
        signature=with_layouts(_signature(live, program, output_names(result)), spine),
        layer_map=identity_map(spine.ids()),
        producer_version=torch.__version__,
        spine=spine,
        live=program,
        sha256=sha256,
    )


def capture_untried(live: LiveModel) -> HopResult:
    """Capture a live module without running it or writing a file.

    What it returns, and under which names, is what ``forward`` returned while it was captured;
    whether the graph gives the module's own result is not checked.

    Raises:
        CaptureError: ``torch.export`` cannot capture the module.
    """
    module, names = _returning_tensors(live.module)
    program = _export(live, module)
    spine = spine_of(program)
    return HopResult(
        signature=with_layouts(_signature(live, program, names), spine), spine=spine, live=program
    )


def _save(program: torch.export.ExportedProgram, path: Path) -> str:
    """Write a program to a ``.pt2`` file; return its digest.

    Raises:
        OSError: The file cannot be written.
    """
    import torch

    with _Sink(path) as file, _unsorted():
        torch.export.save(program, file, extra_files=extra_files(program))
        if file.error is not None:
            raise file.error
    return file.sha256


@contextmanager
def _unsorted() -> Iterator[None]:
    """Write programs without trying first whether they can be sorted.

    PyTorch brings a copy of all that it writes into a canonical order, and drops it: to see that it
    can be done. That takes half of the time.
    """
    from torch._export.serde import serialize

    kept = getattr(serialize, "canonicalize", None)
    if kept is None:
        yield
        return
    setattr(serialize, "canonicalize", lambda program, constants=None: program)  # noqa: B010
    try:
        yield
    finally:
        setattr(serialize, "canonicalize", kept)  # noqa: B010


class _Sink(DigestedFile):
    """A file that keeps its error: raised through PyTorch's native writer, it ends the process."""

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
        return len(data)


def _has_other_leaves(result: Any) -> bool:
    """Whether a result has something beside tensors: ``None``, a number."""
    from torch.utils import _pytree as pytree

    return len(pytree.tree_leaves(result)) != len(tensors_of(result))


def _is_plain(result: Any) -> bool:
    """Whether a result is nested in Python's own containers only.

    A program that returns another one, such as a model output of transformers, can be loaded only
    where that class was imported before.
    """
    import torch

    if type(result) in (tuple, list):
        return all(map(_is_plain, result))
    if type(result) is dict:
        return all(map(_is_plain, result.values()))
    return isinstance(result, torch.Tensor)


def _returning_tensors(module: torch.nn.Module) -> tuple[torch.nn.Module, list[str]]:
    """The module with only the tensors of its result, which is all that other formats can hold.

    Returns:
        It, and a list that has the names of these tensors once it was called.
    """
    forward = module.forward
    names: list[str] = []

    @functools.wraps(forward)
    def tensors(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        result = forward(*args, **kwargs)
        names[:] = output_names(result)
        return tuple(tensors_of(result))

    same = copy.copy(module)  # the same parameters and submodules, so the same names
    same.forward = tensors
    return same, names


def _export(live: LiveModel, module: torch.nn.Module) -> torch.export.ExportedProgram:
    try:
        return capture(module, live.args, live.kwargs, _dynamic_shapes(live))
    except Exception as error:
        raise CaptureError(
            f"torch.export cannot capture this model: {_first_lines(error)}",
            where=_where(error),
            hint=_SIZES if "Constraints violated" in str(error) else _VALUES,
        ) from error


def _dynamic_shapes(live: LiveModel) -> dict[str, Any] | None:
    """Axes of changing size in the structure that torch.export wants: that of the arguments."""
    if not live.dynamic:
        return None
    import torch
    from torch.utils import _pytree as pytree

    arguments = live.arguments()
    names = iter(named_tensors(arguments))

    def axes(leaf: Any) -> dict[int, Any] | None:
        if not isinstance(leaf, torch.Tensor):
            return None
        return dict.fromkeys(live.dynamic.get(next(names), ()), torch.export.Dim.DYNAMIC)

    shapes: dict[str, Any] = pytree.tree_map(axes, arguments)
    return shapes


@contextmanager
def _running(
    live: LiveModel, program: torch.export.ExportedProgram
) -> Iterator[Future[list[torch.Tensor]]]:
    """Run a program on copies of the example inputs in a thread, with as many threads as here."""
    import torch

    threads = torch.get_num_threads()

    def run() -> list[torch.Tensor]:
        torch.set_num_threads(threads)
        with torch.no_grad():
            return run_program(program, *live.copies())

    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(run)


def _check(live: LiveModel, wanted: list[torch.Tensor], made: list[torch.Tensor]) -> None:
    """Compare what the program made with the module's own result.

    A module may compute something else the first time that it runs, before it was captured.
    """
    if live.result is not None and _differing(wanted, made) is not None:
        wanted = tensors_of(live.run())
    index = _differing(wanted, made)
    if index is not None:
        steady = _differing(wanted, tensors_of(live.run())) is None
        raise MismatchError(
            f"the captured graph does not give the module's own output {index}",
            hint="the model computes something else while torch.compiler.is_exporting()"
            if steady
            else "the model keeps state or draws random numbers between calls",
        )


def _differing(wanted: list[torch.Tensor], made: list[torch.Tensor]) -> int | None:
    """Index of the first output that differs; ``None`` if all are alike."""
    import torch

    for index, (expected, actual) in enumerate(zip(wanted, made, strict=True)):
        close = expected.shape == actual.shape and torch.allclose(
            expected, actual, rtol=1e-4, atol=1e-5, equal_nan=True
        )
        if not close:
            return index
    return None


def _signature(
    live: LiveModel, program: torch.export.ExportedProgram, names: Sequence[str]
) -> Signature:
    nodes = {node.name: node for node in program.graph.nodes}
    results = {
        name: nodes[node].meta["val"]
        for name, node in zip(names, output_nodes(program), strict=True)
    }
    shapes = {
        name: tuple(size if isinstance(size, int) else None for size in result.shape)
        for name, result in results.items()
    }
    return signature_of(live.inputs(), results, live.dynamic, lambda name: shapes[name])


def _first_lines(error: Exception) -> str:
    """The error without the graphs and the debugging advice that torch.export appends."""
    text = str(error).strip().splitlines() or [type(error).__name__]
    return "\n".join(line for line in text[:3] if line.strip())


def _where(error: Exception) -> str | None:
    """The user's line that torch.export stumbled on."""
    frames: list[traceback.FrameSummary] = []
    link: BaseException | None = error
    while link is not None:
        frames = [*traceback.extract_tb(link.__traceback__), *frames]
        link = link.__cause__ or link.__context__
    theirs = [frame for frame in frames if not frame.filename.startswith(_OURS)]
    return user_frame("".join(traceback.format_list(theirs))) or None


register_hop(
    Hop(
        name="torch-export",
        title="torch.export",
        source=TORCH,
        target=EXPORTED,
        convert=convert,
        cost=2.0,
        place=IN_PROCESS,
        packages=("torch",),
    )
)
