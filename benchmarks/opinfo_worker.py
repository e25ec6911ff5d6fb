"""Samples of PyTorch's operator database through the compiler, one after another, in one process.

It reads jobs from standard input and writes a line of JSON before and after each sample, so that
whoever started it (opinfo.py) knows which sample a crash belongs to.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from direct import Array, LiteRT, compile_program, distance, kind_of, tensors_in
from opinfo_limits import CLAMPED, Limits, explained, limits_of

from bridge.converters._capture import capture
from bridge.errors import ConversionError, UnsupportedError
from bridge.program import operator_name

Equality: TypeAlias = Callable[[Array, Array], bool]

LEAST = 100.0  # dB
# What torch.testing allows float32 results, for samples whose result is nearly zero.
RELATIVE, ABSOLUTE = 1.3e-6, 1e-5
MOST_DRAWN = 2000  # samples of one operator that are looked at for an even choice
UNDEFINED = ("empty", "new_empty")  # their values are whatever the memory holds
# Which of equal elements these choose is undefined, unless they are asked to be stable.
CHOOSING = ("sort", "argsort", "topk", "kthvalue", "msort", "median", "nanmedian", "mode")
# A file computes in float32 where PyTorch rounds to these; they differ by such a rounding.
ROUNDED = {torch.float16: 1e-3, torch.bfloat16: 1e-2}
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one sample.

    Attributes:
        status: ``passed``, ``unsupported``, ``wrong``, ``limit`` for what the runtime's kernels do
            by design (opinfo_limits.py), or ``skipped`` for what says nothing about the compiler.
        why: Why it did not pass.
        aten: Operators of the captured program.
    """

    status: str
    why: str = ""
    aten: tuple[str, ...] = ()


class Call(torch.nn.Module):
    """Calls an operator with a sample's tensors as inputs; all else is fixed."""

    def __init__(self, function: Any, sample: Any) -> None:
        super().__init__()
        self.function = function
        arguments = (sample.input, sample.args, sample.kwargs)
        self.leaves, self.tree = torch.utils._pytree.tree_flatten(arguments)
        self.tensors = tensors_in(self.leaves)

    def forward(self, *given: torch.Tensor) -> Any:
        """Call the operator."""
        tensors = iter(given)
        leaves = [next(tensors) if isinstance(leaf, torch.Tensor) else leaf for leaf in self.leaves]
        first, args, kwargs = torch.utils._pytree.tree_unflatten(leaves, self.tree)
        return self.function(first, *args, **kwargs)

    def asks(self, keyword: str) -> bool:
        """Whether the sample sets a keyword argument to true."""
        _, _, kwargs = torch.utils._pytree.tree_unflatten(self.leaves, self.tree)
        return kwargs.get(keyword) is True

    def describe(self) -> str:
        """Return the arguments as text, tensors by type and shape."""
        shown = [_text(leaf) for leaf in self.leaves]
        first, args, kwargs = torch.utils._pytree.tree_unflatten(shown, self.tree)
        named = [f"{name}={value}" for name, value in kwargs.items()]
        return ", ".join([str(first), *map(str, args), *named]).replace("'", "")


def samples(operator: Any, dtype: torch.dtype, most: int) -> list[Any]:
    """Return samples of an operator: the same ones every time, evenly taken from all."""
    torch.manual_seed(zlib.crc32(operator.name.encode()))
    drawn = operator.sample_inputs("cpu", dtype, requires_grad=False)
    found = list(itertools.islice(drawn, MOST_DRAWN))
    if len(found) <= most:
        return found
    return [found[round(index * (len(found) - 1) / (most - 1))] for index in range(most)]


def judge(operator: Any, call: Call, path: Path) -> Outcome:
    """Compile one call, run it, compare it with eager mode."""
    skipped = _unfit(call.tensors)
    if skipped:
        return Outcome(status="skipped", why=skipped)
    try:
        results = tensors_in(call(*_copies(call.tensors)))
        program = capture(call, tuple(_copies(call.tensors)), {})
    except Exception as error:  # noqa: BLE001 - PyTorch's own, before any of our code
        return Outcome(status="skipped", why=f"not captured: {type(error).__name__}")
    if not results or any(each.layout != torch.strided for each in results):
        return Outcome(status="skipped", why="it gives no plain tensors")
    aten = _operators(program)
    try:
        compiled = compile_program(program, path)
    except ConversionError as error:
        return Outcome(status=_verdict_on(error), why=_reason(error), aten=aten)
    except Exception as error:  # noqa: BLE001 - ours, and never meant to escape
        place = traceback.extract_tb(error.__traceback__)[-1]
        why = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {error}"
        return Outcome(status="wrong", why=why[:300], aten=aten)
    beyond = any(_beyond_int32(each) for each in results)
    if beyond:
        return Outcome(status="skipped", why="the result needs 64 bits", aten=aten)
    expected = [_plain(each).numpy() for each in results]
    if operator.name.startswith(UNDEFINED):
        equal = _always
    elif operator.name in CHOOSING and not call.asks("stable"):
        equal = partial(_choose_alike, call.tensors[0].numpy())
    else:
        coarsest = max(ROUNDED.get(each.dtype, 0.0) for each in results)
        equal = partial(_rounds_alike, coarsest)
    limits = limits_of(call, call.tensors, aten)
    status, why = _verdict(compiled.path, call.tensors, expected, limits, equal)
    return Outcome(status=status, why=why, aten=aten)


def _operators(program: torch.export.ExportedProgram) -> tuple[str, ...]:
    called = [node.target for node in program.graph.nodes if node.op == "call_function"]
    operators = [each for each in called if isinstance(each, torch._ops.OpOverload)]
    return tuple(dict.fromkeys(map(operator_name, operators)))


def _copies(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [each.clone() for each in tensors]


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor as NumPy can have it."""
    plain = tensor.detach().contiguous().resolve_conj().resolve_neg()
    return plain.float() if plain.dtype is torch.bfloat16 else plain


def _unfit(tensors: Sequence[torch.Tensor]) -> str:
    """Why a sample says nothing about the compiler; empty if it does."""
    if not tensors:
        return "no tensor goes in"
    if any(each.layout != torch.strided for each in tensors):
        return "sparse"
    if any(each.is_complex() for each in tensors):
        return "complex"
    return "an input needs 64 bits" if any(map(_beyond_int32, tensors)) else ""


def _beyond_int32(tensor: torch.Tensor) -> bool:
    if tensor.dtype not in (torch.int64, torch.uint32, torch.uint64) or not tensor.numel():
        return False
    return int(tensor.max()) > INT32.max or int(tensor.min()) < INT32.min


def _verdict_on(error: ConversionError) -> str:
    """A refusal is honest; a lowering that made another shape than it should is not."""
    return "wrong" if "the lowering of" in str(error) else "unsupported"


def _reason(error: ConversionError) -> str:
    if isinstance(error, UnsupportedError):
        return "; ".join(f"{each.operator}: {each.hint}" for each in error.operators)[:300]
    return error.message[:300]


def _verdict(
    path: Path,
    inputs: Sequence[torch.Tensor],
    expected: Sequence[Array],
    limits: Limits,
    equal: Equality,
) -> tuple[str, str]:
    """The status of a file by its results on both sets of kernels, and why.

    Args:
        path: The file.
        inputs: Its inputs.
        expected: Its results in eager mode.
        limits: What of them may deviate.
        equal: Whether two arrays that differ are as good as each other.
    """

    def alike(want: Array, got: Array) -> bool:
        return not _mismatch(want, got, equal)

    plain = [_plain(each) for each in inputs]
    reached: dict[str, None] = {}
    for name, is_plain in (("plain", True), ("xnnpack", False)):
        try:
            actual = LiteRT(path, plain=is_plain).run(plain)
        except Exception as error:  # noqa: BLE001 - LiteRT raises several types
            return "wrong", f"{name}: {type(error).__name__}: {error}"[:300]
        if len(actual) != len(expected):
            return "wrong", f"{name}: {len(actual)} results instead of {len(expected)}"
        for index, (want, got) in enumerate(zip(expected, actual, strict=True)):
            why = _mismatch(want, got, equal)
            if not why:
                continue
            limit = ""
            if want.shape == got.shape and kind_of(want) == kind_of(got):
                limit = explained(limits, index, want, got, alike)
            if not limit or (limit == CLAMPED and not is_plain):
                return "wrong", f"{name}: {why}"
            reached[limit] = None
    return ("limit", "; ".join(reached)) if reached else ("passed", "")


def _mismatch(want: Array, got: Array, equal: Equality) -> str:
    if want.shape != got.shape:
        return f"shape {list(got.shape)} instead of {list(want.shape)}"
    if kind_of(want) != kind_of(got):
        return f"type {got.dtype} instead of {want.dtype}"
    figure = distance(want, got)
    if figure >= LEAST or equal(want, got):
        return ""
    if kind_of(want) == "f" and np.allclose(
        got, want, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True
    ):
        return ""
    place = np.unravel_index(int(np.argmax(_errors(want, got))), want.shape)
    return f"{figure:.0f} dB, such as {got[place]} instead of {want[place]}"


def _always(want: Array, got: Array) -> bool:
    return True


def _rounds_alike(relative: float, want: Array, got: Array) -> bool:
    """Whether two arrays differ by a rounding to a shorter type; never if there is none."""
    return bool(relative and np.allclose(got, want, rtol=relative, atol=0.0, equal_nan=True))


def _choose_alike(values: Array, want: Array, got: Array) -> bool:
    """Whether two arrays of indices choose equal elements along some axis, each but once."""
    if kind_of(want) != "i" or not want.size:
        return False
    for axis in range(values.ndim):
        # a reduced axis is put back
        whole = [np.expand_dims(each, axis) if each.ndim < values.ndim else each
                 for each in (want.astype(np.int64), got.astype(np.int64))]  # fmt: skip
        fits = np.delete(whole[0].shape, axis).tolist() == np.delete(values.shape, axis).tolist()
        if not fits or max(map(np.max, whole)) >= values.shape[axis] or got.min() < 0:
            continue
        first, second = (np.take_along_axis(values, each, axis) for each in whole)
        if np.array_equal(first, second) and _distinct(whole[1], axis):
            return True
    return False


def _distinct(indices: Array, axis: int) -> bool:
    return bool((np.diff(np.sort(indices, axis=axis), axis=axis) > 0).all())


def _errors(want: Array, got: Array) -> Array:
    with np.errstate(all="ignore"):
        errors = np.abs(want.astype(np.float64) - got.astype(np.float64))
    return np.where((want == got) | (np.isnan(errors) & np.isnan(want) & np.isnan(got)), -1.0,
                    np.nan_to_num(errors, nan=np.inf))  # fmt: skip


def _text(leaf: Any) -> str:
    if isinstance(leaf, torch.Tensor):
        shape = ",".join(map(str, leaf.shape))
        loose = "" if leaf.is_contiguous() else " strided"
        values = f" {leaf.flatten().tolist()}" if leaf.numel() <= 4 else ""
        return f"{str(leaf.dtype).removeprefix('torch.')}[{shape}]{loose}{values}"
    return str(leaf)


def _judged(operator: Any, call: Call, path: Path) -> Outcome:
    """Judge a call; that the judging itself fails must not pass for anything else."""
    try:
        return judge(operator, call, path)
    except Exception as error:  # noqa: BLE001
        return Outcome(status="wrong", why=f"the instrument failed: {error!r}"[:300])


def run_job(job: dict[str, Any], operator: Any, path: Path) -> Iterator[dict[str, Any]]:
    """Run the samples of one operator and type from ``job["start"]`` on; yield what to report."""
    try:
        chosen = samples(operator, getattr(torch, job["dtype"]), job["most"])
    except Exception as error:  # noqa: BLE001 - PyTorch's own test code
        yield {"finished": 0, "why": f"{type(error).__name__}: {error}"[:300]}
        return
    reasons: list[str] = list(job["reasons"])
    for index in range(job["start"], len(chosen)):
        call = Call(operator.op, chosen[index])
        size = sum(each.numel() for each in call.tensors)
        yield {"begin": index, "text": call.describe()[:400], "size": size}
        same = len(reasons) == index >= job["alike"] and len(set(reasons)) == 1
        outcome = Outcome(status="unsupported", why=reasons[0]) if same else None
        outcome = outcome or _judged(operator, call, path)
        if outcome.status == "unsupported":
            reasons.append(outcome.why)
        yield {
            "end": index,
            "status": outcome.status,
            "why": outcome.why,
            "aten": list(outcome.aten),
        }
    yield {"finished": len(chosen), "why": ""}


def main() -> None:
    """Serve jobs until standard input ends."""
    reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no report
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    from torch.testing._internal.common_methods_invocations import op_db

    known = {(each.name, each.variant_test_name): each for each in op_db}
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            job = json.loads(line)
            operator = known[job["name"], job["variant"]]
            for report in run_job(job, operator, Path(folder) / "call.tflite"):
                print(json.dumps(report), file=reports)


if __name__ == "__main__":
    main()
