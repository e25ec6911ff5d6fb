"""torch → torchscript: a trace that other inputs confirm, or a script where a trace would lie."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConversionError, MismatchError
from ..formats import TORCH, TORCHSCRIPT
from ..hop import Hop, HopResult, HopTask, register_hop
from ..live import LiveModel, output_names, signature_of, tensors_of
from ..outcome import Stage
from ..samples import draw_like
from ..worker import IN_PROCESS
from ._torchscript_map import layer_map

if TYPE_CHECKING:
    import torch

_RTOL, _ATOL = 1e-4, 1e-5  # float32 kernels may be chosen differently; a lost branch is far above


def convert(task: HopTask) -> HopResult:
    """Make TorchScript of a live module.

    Options:
        script: Script the module instead of tracing it.

    A trace records one path through the code. It is run on a second, random input, and if it
    disagrees with the module there, the module is scripted; if that is impossible too, nothing is
    shipped.

    Raises:
        MismatchError: The trace disagrees with the module and the module cannot be scripted.
        ConversionError: Scripting was asked for, and failed.
    """
    import torch

    live: LiveModel = task.live
    task.enter(Stage.CAPTURE)
    notes: tuple[str, ...] = ()
    with torch.no_grad():
        if task.options.get("script"):
            scripted = _script(live)
        else:
            scripted, notes = _trace_or_script(live)
        task.enter(Stage.SERIALIZE)
        scripted.save(str(task.out))
        args, kwargs = _copies(live)
        result = live.module(*args, **kwargs)
    outputs = dict(zip(output_names(result), tensors_of(result), strict=True))
    return HopResult(
        signature=signature_of(live.inputs(), outputs, live.dynamic),
        layer_map=layer_map(scripted, torch.jit.load(str(task.out)), task.spine),
        producer_version=torch.__version__,
        notes=notes,
        live=scripted,
    )


def _trace_or_script(live: LiveModel) -> tuple[Any, tuple[str, ...]]:
    try:
        traced = _trace(live)
        difference = _disagreement(live, traced)
    except Exception as error:  # noqa: BLE001 - tracing runs the user's code: anything may come
        difference = f"tracing failed: {error}"
    if not difference:
        return traced, ()
    try:
        scripted = _script(live)
    except ConversionError as error:
        raise MismatchError(
            f"a trace would not be this model ({difference}), and it cannot be scripted either: "
            f"{error.message}",
            where=error.where,
            hint="rewrite control flow that depends on values with torch.where or torch.cond",
        ) from error
    return scripted, (f"scripted instead of traced: {difference}",)


def _trace(live: LiveModel) -> Any:
    import torch

    args, kwargs = _copies(live)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the check below judges what the tracer only suspects
        if kwargs:
            arguments = {name: value for name, value in live.arguments().items()}
            return torch.jit.trace(
                live.module, example_kwarg_inputs=arguments, strict=False, check_trace=False
            )
        return torch.jit.trace(live.module, args, strict=False, check_trace=False)


def _script(live: LiveModel) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.jit.script(live.module)
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ConversionError(f"torch.jit.script: {' '.join(lines[:3])}") from error


def _disagreement(live: LiveModel, traced: Any) -> str:
    """Say where a trace differs from the module on the example and on random inputs, or nothing."""
    examples = {name: tensor.numpy() for name, tensor in live.inputs().items()}
    trials = [("the example inputs", examples)]
    trials += [(f"random inputs (seed {seed})", draw_like(examples, seed)) for seed in (1, 2)]
    for name, arrays in trials:
        args, kwargs = live.with_inputs(arrays)
        expected = tensors_of(live.module(*args, **kwargs))
        args, kwargs = live.with_inputs(arrays)
        actual = tensors_of(traced(*args, **kwargs))
        if len(expected) != len(actual) or any(
            not _agree(*pair) for pair in zip(expected, actual, strict=True)
        ):
            return f"it disagrees with the module on {name}"
    return ""


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


def _copies(live: LiveModel) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return live.with_inputs({name: tensor.numpy() for name, tensor in live.inputs().items()})


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
    )
)
