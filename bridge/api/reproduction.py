"""A failure in a folder: a script with the library alone, and the tensors that it needs."""

from __future__ import annotations

import math
import operator
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..artifact import data_file
from ..availability import version_of
from ..converters._capture import capture
from ..errors import ConversionError
from ..formats import EXPORTED, TORCH
from ..hop import Hop
from ..outcome import Symptom
from ..planning import Route
from ..toolchain import environment_of, python_of, toolchain_named
from ..worker import WorkPool, is_ours
from .pieces import Piece
from .shrinking import Shrunk, piece_execution, piece_source

if TYPE_CHECKING:
    import torch

SCRIPT = "reproduce.py"
_TENSORS = "tensors.pt"
_PROGRAM = "piece.pt2"
_MARK = "the conversion begins"
_MOST_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A folder that reruns a failure.

    Attributes:
        folder: Where it is.
        confirmed: Whether its script was run and failed in the conversion as recorded.
        said: The last line of that run.
    """

    folder: Path
    confirmed: bool
    said: str


class _NotWritableError(Exception):
    """Something in a graph has no form in Python source."""


def write_reproduction(
    shrunk: Shrunk, folder: Path, *, text: str, pool: WorkPool, options: Mapping[str, Any]
) -> Reproduction:
    """Write a folder with ``reproduce.py``, run it once, and say whether it fails as recorded.

    The script builds the part as a module of ``torch.ops`` calls and hands it to the library that
    the hop wraps. It does without driftbridge, unless driftbridge is that library. Where the hop
    starts from another file (ONNX), that file is in the folder, with the module that it was made
    from in ``piece.py``.

    Args:
        shrunk: What to write.
        folder: Where; files of these names are replaced.
        text: What the user converted.
        pool: Where the hops before the failing one run, and the limits of the script.
        options: The options of the hops.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    hop = shrunk.route.hops[-1]
    state = {"weights": dict(shrunk.piece.module.named_buffers()), "inputs": shrunk.piece.inputs}
    torch.save({name: dict(each) for name, each in state.items()}, folder / _TENSORS)
    used = {name: options[name] for name in hop.options if options.get(name) is not None}
    head = list(_head(shrunk, text, hop))
    try:
        body = list(_module_code(shrunk.piece))
    except _NotWritableError:
        file = folder / _PROGRAM
        torch.export.save(
            capture(shrunk.piece.module, tuple(shrunk.piece.inputs.values()), {}), file
        )
        body = [
            f'program = torch.export.load(Path(__file__).with_name("{_PROGRAM}"))',
            "module = program.module()",
            f'TENSORS = torch.load(Path(__file__).with_name("{_TENSORS}"), weights_only=True)',
            'inputs = tuple(TENSORS["inputs"].values())',
        ]
    imports = ["from pathlib import Path", "", "import torch", ""]
    call = list(_call(hop, used))
    if hop.source in (EXPORTED, TORCH):
        lines = [*head, *imports, *body, "", *call]
    else:
        name = _source_file(shrunk, folder, pool, options)
        (folder / "piece.py").write_text("\n".join([*head, *imports, *body, ""]), encoding="utf-8")
        place = f'source = str(Path(__file__).with_name("{name}"))'
        lines = [*head, *imports[:1], "", place, "", *call]
    (folder / SCRIPT).write_text("\n".join([*lines, ""]), encoding="utf-8")
    return _confirm(shrunk, folder, hop, min(_MOST_SECONDS, pool.limits.seconds))


def _head(shrunk: Shrunk, text: str, hop: Hop) -> Iterator[str]:
    """What this is, as comments: a message may hold anything."""
    failure = shrunk.failure
    yield f"# {len(shrunk.piece.units)} of the {shrunk.total} operators of {text}"
    yield f"# are enough for {hop.title} ({hop.name}, {hop.source} to {hop.target}) to fail."
    yield f"# {failure.symptom} at {failure.stage}:"
    yield from (f"#   {line}" for line in failure.message.splitlines())
    if is_ours(hop.place):
        needs = [f"{name}=={version_of(name)}" for name in ("torch", *hop.packages)]
        yield f"# It needs {' '.join(dict.fromkeys(needs))}"
    else:
        requirements = toolchain_named(hop.place).requirements
        yield f"# It needs what driftbridge's toolchain {hop.place} has"
        if requirements is not None:
            packages = [line for line in requirements.read_text().splitlines() if line[:1] != "#"]
            yield f"#   ({' '.join(each for each in packages if each.startswith(hop.imports))})"
    yield "# It ends with an error, or dies, as long as the failure is there."
    yield ""


def _module_code(piece: Piece) -> Iterator[str]:
    """The part as a module in plain PyTorch."""
    graph = piece.module.graph
    places = {unit.nodes[0].name: unit for unit in piece.units}
    namespaces = {str(node.target).partition(".")[0] for node in graph.nodes if _is_call(node)}
    for name in sorted(namespaces - {"aten", "prim", "prims"}):
        yield f"import {name}  # its operators"
    yield f'TENSORS = torch.load(Path(__file__).with_name("{_TENSORS}"), weights_only=True)'
    yield from ("", "", "class Piece(torch.nn.Module):", "    def __init__(self):")
    yield "        super().__init__()"
    yield '        for name, tensor in TENSORS["weights"].items():'
    yield "            self.register_buffer(name, tensor)"
    names = ", ".join(("self", *piece.inputs))
    yield from ("", f"    def forward({names}):")
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        unit = places.get(node.name)
        if unit is not None and (unit.module or unit.source):
            yield f"        # {', '.join(filter(None, (unit.module, unit.source)))}"
        yield f"        {node.name} = {_expression(node)}"
    (output,) = (node for node in graph.nodes if node.op == "output")
    yield f"        return {_code(output.args[0])}"
    yield from ("", "", "module = Piece().eval()", 'inputs = tuple(TENSORS["inputs"].values())')
    yield "program = torch.export.export(module, inputs)"


def _is_call(node: torch.fx.Node) -> bool:
    return node.op == "call_function" and node.target is not operator.getitem


def _expression(node: torch.fx.Node) -> str:
    if node.target is operator.getitem:
        return f"{_code(node.args[0])}[{node.args[1]}]"
    if not hasattr(node.target, "_schema"):
        raise _NotWritableError(str(node.target))
    arguments = [_code(each) for each in node.args]
    arguments += [f"{name}={_code(each)}" for name, each in node.kwargs.items()]
    return f"torch.ops.{node.target}({', '.join(arguments)})"


def _code(value: Any) -> str:
    """A value as Python source."""
    import torch

    if isinstance(value, torch.fx.Node):
        if value.op != "get_attr":
            return value.name
        if not isinstance(value.meta.get("val"), torch.Tensor):
            raise _NotWritableError(value.name)
        return f"self.{value.target}"
    if isinstance(value, list | tuple):
        inside = ", ".join(_code(each) for each in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside},)"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if value is None or isinstance(value, bool | int | float | complex | str):
        return repr(value)
    if isinstance(value, torch.device):
        return f"torch.device({str(value)!r})"
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
        return str(value)
    raise _NotWritableError(type(value).__name__)


def _call(hop: Hop, options: Mapping[str, Any]) -> Iterator[str]:
    """The conversion itself: by the library's own call, or by driftbridge for its own compiler."""
    yield f"options = {dict(options)!r}"
    yield f'print("{_MARK}", flush=True)'
    if hop.script:
        yield from hop.script.strip().splitlines()
    else:
        given = "module, inputs" if hop.source == TORCH else "source"
        if hop.source == EXPORTED:
            yield 'source = "piece.pt2"'
            yield "torch.export.save(program, source)"
        yield "from bridge.api import ConvertOptions, convert"
        yield ""
        yield f'wanted = ConvertOptions(route="{hop.name}", hop_options=options)'
        yield f'result = convert({given}, to="{hop.target}", options=wanted, validate=False)'
        yield "assert result.ok, [outcome.detail for outcome in result.outcomes]"
    yield 'print("it converts: the failure is gone")'


def _source_file(shrunk: Shrunk, folder: Path, pool: WorkPool, options: Mapping[str, Any]) -> str:
    """Make the file that the failing hop starts from, and return its name in the folder."""
    hops = shrunk.route.hops[:-1]
    route = Route(source=shrunk.route.source, target=hops[-1].target, hops=hops)
    scratch = Path(tempfile.mkdtemp(prefix="driftbridge-"))
    try:
        execution = piece_execution(
            piece_source(shrunk.piece, route, scratch), pool, scratch, options
        )
        tried = execution.follow(route)
        if not tried.ok:
            said = "; ".join(outcome.detail for outcome in tried.outcomes if outcome.detail)
            raise ConversionError(f"the part does not come as far as {route.target}: {said}")
        artifact = execution.final[route.target].artifact
        assert artifact is not None
        for file in (artifact.path, data_file(artifact.path)):
            if file.is_dir():
                shutil.copytree(file, folder / file.name, dirs_exist_ok=True)
            elif file.exists():
                shutil.copy(file, folder / file.name)
        return artifact.path.name
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _confirm(shrunk: Shrunk, folder: Path, hop: Hop, seconds: float) -> Reproduction:
    """Run the script where its library is, and compare the end with the failure."""
    if is_ours(hop.place):
        path = os.pathsep.join(each for each in sys.path if each)
        python, environment = sys.executable, {**os.environ, "PYTHONPATH": path}
    else:
        python, environment = str(python_of(hop.place)), environment_of(hop.place)
    symptom = shrunk.failure.symptom
    scratch = tempfile.mkdtemp(prefix="driftbridge-")  # for what the conversion leaves
    try:
        done = subprocess.run(
            [python, str(folder.resolve() / SCRIPT)],
            cwd=scratch,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        said = f"no result after {seconds:g} s"
        return Reproduction(folder=folder, confirmed=symptom is Symptom.TIMEOUT, said=said)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    began = _MARK in done.stdout
    died = done.returncode < 0
    as_recorded = died if symptom is Symptom.CRASH else done.returncode > 0
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    said = f"killed by signal {-done.returncode}" if died else (lines or ["nothing"])[-1].strip()
    return Reproduction(folder=folder, confirmed=began and as_recorded, said=said)
