"""torch → torchscript: a trace that other inputs confirm, or a script where a trace would lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..axes import with_layouts
from ..errors import ConversionError, MismatchError
from ..formats import TORCH, TORCHSCRIPT
from ..hop import Hop, HopResult, HopTask, register_hop
from ..live import LiveModel, output_names, signature_of, tensors_of
from ..outcome import Stage
from ..quiet import quiet_torch
from ..samples import Arrays, draw_like, vary
from ..worker import IN_PROCESS
from ._torchscript_map import layer_map

if TYPE_CHECKING:
    import torch

_TRIALS = 2
_SUSPICIOUS_TRIALS = 32
_ADVICE = "rewrite control flow that depends on values with torch.where or torch.cond"
_RTOL, _ATOL = 1e-4, 1e-5  # float32 kernels may be chosen differently; a lost branch is far above


def convert(task: HopTask) -> HopResult:
    """Make TorchScript of a live module.

    Options:
        script: Script the module instead of tracing it.

    A trace records one path through the code. A module that could not be captured as a graph is
    scripted first, since its path probably depends on values; if it cannot be scripted, a trace is
    tried. A trace is always run on further, random inputs, and is not shipped if it disagrees with
    the module there.

    Raises:
        MismatchError: The trace disagrees with the module and the module cannot be scripted.
        ConversionError: Scripting was asked for, and failed.
    """
    import torch

    live: LiveModel = task.live
    task.enter(Stage.CAPTURE)
    notes: list[str] = []
    with torch.no_grad(), quiet_torch():
        if task.options.get("script"):
            scripted = _script(live)
        elif task.spine is None:
            scripted = _script_or_trace(live, notes)
        else:
            scripted = _trace_or_script(live, notes)
        task.enter(Stage.SERIALIZE)
        # in memory first: native code that writes to a full disk ends the process
        task.out.write_bytes(scripted.save_to_buffer())
        result = live.run()
        loaded = torch.jit.load(str(task.out))  # type: ignore[no-untyped-call]
    outputs = dict(zip(output_names(result), tensors_of(result), strict=True))
    signature = signature_of(live.inputs(), outputs, live.dynamic)
    return HopResult(
        signature=with_layouts(signature, task.spine) if task.spine else signature,
        layer_map=layer_map(scripted, loaded, task.spine, _root(scripted)),
        producer_version=torch.__version__,
        notes=tuple(notes),
        live=scripted,
    )


def _trace_or_script(live: LiveModel, notes: list[str]) -> Any:
    """Trace, and script only what a trace would get wrong."""
    try:
        return _checked_trace(live, _TRIALS, notes)
    except MismatchError as disagreement:
        try:
            scripted = _script(live)
        except ConversionError as error:
            raise MismatchError(
                f"{disagreement.message}, and it cannot be scripted either: {error.message}",
                hint=_ADVICE,
            ) from error
        notes.append(f"scripted instead of traced: {disagreement.message}")
        return scripted


def _script_or_trace(live: LiveModel, notes: list[str]) -> Any:
    """Script, and trace only what cannot be scripted; then with many more trials."""
    try:
        scripted = _script(live)
    except ConversionError as error:
        try:
            traced = _checked_trace(live, _SUSPICIOUS_TRIALS, notes)
        except MismatchError as disagreement:
            raise MismatchError(
                f"{error.message}; and {disagreement.message}", hint=_ADVICE
            ) from disagreement
        notes.append(
            f"traced, though its control flow may depend on values: {_SUSPICIOUS_TRIALS} random "
            "inputs and the example mirrored agree"
        )
        return traced
    notes.append("scripted: its control flow may depend on values")
    return scripted


def _checked_trace(live: LiveModel, trials: int, notes: list[str]) -> Any:
    """Trace a module and compare it on other inputs; ``MismatchError`` if it is not the module."""
    traced, flat = _trace(live)
    difference = _disagreement(live, traced, flat, trials)
    if difference:
        raise MismatchError(f"a trace would not be this model: {difference}")
    if flat:
        names = ", ".join(output_names(live.run()))
        notes.append(f"TorchScript cannot return this structure; it returns a tuple: {names}")
    return traced


def _trace(live: LiveModel) -> tuple[Any, bool]:
    """Return a trace, and whether it takes and returns flat tensors instead of nested ones."""
    import torch

    args, kwargs = live.copies()
    try:
        if kwargs:
            traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                live.module,
                example_kwarg_inputs=live.arguments(),
                strict=False,
                check_trace=False,
            )
        else:
            traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                live.module, args, strict=False, check_trace=False
            )
    except Exception:  # noqa: BLE001 - whatever the structure did not allow; the flat form tells
        return _trace_flat(live), True
    return traced, False


def _trace_flat(live: LiveModel) -> Any:
    import torch

    class FlatForTracing(torch.nn.Module):
        """The module with its nested inputs and outputs as flat tensors."""

        def __init__(self) -> None:
            super().__init__()
            self.model = live.module

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            args, kwargs = live.with_tensors(list(tensors))
            return tuple(tensors_of(self.model(*args, **kwargs)))

    try:
        return torch.jit.trace(  # type: ignore[no-untyped-call]
            FlatForTracing().eval(),
            tuple(each.clone() for each in live.inputs().values()),
            check_trace=False,
        )
    except Exception as error:
        raise MismatchError(f"tracing failed: {str(error).strip().splitlines()[0]}") from error


def _root(scripted: Any) -> str:
    return "model" if scripted.original_name == "FlatForTracing" else ""


def _script(live: LiveModel) -> Any:
    import torch

    try:
        return torch.jit.script(live.module)
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ConversionError(f"torch.jit.script: {' '.join(lines[:3])}") from error


def _disagreement(live: LiveModel, traced: Any, flat: bool, trials: int) -> str:
    """Say where a trace differs from the module on the example and on random inputs, or nothing."""
    examples = {name: tensor.detach().numpy() for name, tensor in live.inputs().items()}
    inputs = [("the example inputs", examples), *vary(examples).items()]
    inputs += [
        (f"random inputs (seed {seed})", draw_like(examples, seed)) for seed in range(1, trials + 1)
    ]
    for name, arrays in inputs:
        args, kwargs = live.with_inputs(arrays)
        try:
            expected = tensors_of(live.module(*args, **kwargs))
        except Exception:  # noqa: BLE001 - the user's code: it may refuse inputs that we made up
            continue
        if not _gives(traced, live, arrays, flat, expected):
            return f"it disagrees with the module on {name}"
    return ""


def _gives(
    traced: Any, live: LiveModel, arrays: Arrays, flat: bool, expected: list[torch.Tensor]
) -> bool:
    args, kwargs = live.with_inputs(arrays)
    if flat:
        args, kwargs = tuple(live.flatten(args, kwargs)), {}
    try:
        actual = tensors_of(traced(*args, **kwargs))
    except RuntimeError:  # where the module gives a result, a trace that raises is another model
        return False
    return len(expected) == len(actual) and all(
        _agree(*pair) for pair in zip(expected, actual, strict=True)
    )


def _agree(expected: torch.Tensor, actual: torch.Tensor) -> bool:
    return expected.shape == actual.shape and bool(
        np.allclose(
            expected.float().numpy(),
            actual.float().numpy(),
            rtol=_RTOL,
            atol=_ATOL,
            equal_nan=True,
        )
    )


register_hop(
    Hop(
        name="torch-trace",
        title="torch.jit.trace, script where needed",
        source=TORCH,
        target=TORCHSCRIPT,
        convert=convert,
        cost=1.0,
        place=IN_PROCESS,
        packages=("torch",),
        options=("script",),
        script="""
if options.get("script"):
    torch.jit.script(module)
else:
    torch.jit.trace(module, inputs)
""",
    )
)
