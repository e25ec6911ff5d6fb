"""Files of captured programs, whose operators may be others' than PyTorch's.

An operator exists where the code that registers it was imported. A program says which code that is
for each of its custom operators, so that it can be loaded in another process.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import SourceError

if TYPE_CHECKING:
    import torch

_RECORD = "custom_operators.json"


def load_program_file(path: Path) -> torch.export.ExportedProgram:
    """Load a captured program; what registers its custom operators is imported first.

    Raises:
        SourceError: The file is damaged, or an operator in it is not registered.
    """
    import torch

    for operator, code in _recorded(path).items():
        if not _is_registered(operator):
            _register(operator, code["module"], code["file"])
    try:
        return torch.export.load(path)
    except Exception as error:  # torch has errors of many kinds for a file that it cannot read
        said = str(error).splitlines() or [type(error).__name__]
        raise SourceError(
            f"torch.export cannot load {path}: {said[0]}",
            hint="if it has operators that are not PyTorch's, import what registers them first",
        ) from error


def extra_files(program: torch.export.ExportedProgram) -> dict[str, str]:
    """What to store beside a program: who registers its custom operators; nothing if it has none.

    Args:
        program: The program, in a process in which its operators are registered.
    """
    known = {operator: _registrar(operator) for operator in sorted(set(_operators(program)))}
    found = {operator: code for operator, code in known.items() if code}
    return {_RECORD: json.dumps(found)} if found else {}


def _operators(program: torch.export.ExportedProgram) -> Iterator[str]:
    """Names of the operators of a program and of the branches and bodies in it."""
    import torch

    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                if isinstance(node.target, torch._ops.OpOverload):
                    yield node.target.namespace + "::" + node.target._opname


def _registrar(operator: str) -> dict[str, str] | None:
    """Module and file that register an operator, if it is one of ``torch.library.custom_op``.

    Of others only a package of the same name as their namespace is known, as torchvision is.
    """
    from torch._library.custom_ops import OPDEFS

    definition: Any = OPDEFS.get(operator)
    if definition is not None:
        name = str(definition._init_fn.__module__)
    else:
        name = operator.partition("::")[0]
    file = getattr(sys.modules.get(name), "__file__", None)
    is_torch = name.partition(".")[0] == "torch"
    return {"module": name, "file": str(file)} if file and not is_torch else None


def _recorded(path: Path) -> dict[str, dict[str, str]]:
    """What a file says of its custom operators; nothing where it is none that says it."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(f"/extra/{_RECORD}"):
                    return dict(json.loads(archive.read(name)))
    except (OSError, zipfile.BadZipFile):
        pass  # torch tells what is wrong with it
    return {}


def _register(operator: str, name: str, file: str) -> None:
    """Import the code that registers an operator: by its module's name, or from its file."""
    cause: Exception | None = None
    loads = (lambda: importlib.import_module(name), lambda: _run(name, Path(file)))
    # a script would do again all that it did
    for load in () if name == "__main__" else loads:
        try:
            load()
        except Exception as error:  # noqa: BLE001 - a user's module raises what it likes
            cause = error
        if _is_registered(operator):
            return
    where = f"the script {file}" if name == "__main__" else f"the module {name} ({file})"
    raise SourceError(
        f"the program has the operator {operator}, which is not registered here"
        + (f": {type(cause).__name__}: {cause}" if cause else ""),
        hint=f"{where} registered it: put that into a module that can be imported",
    ) from cause


def _run(name: str, file: Path) -> None:
    """Import a file as a module of a name that need not be on the path."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)


def _is_registered(operator: str) -> bool:
    import torch

    return bool(torch._C._jit_get_schemas_for_operator(operator))
