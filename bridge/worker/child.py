"""The program that runs in a worker process: it takes jobs as JSON lines and answers in kind.

It is started by its path, with the Python of our own environment or of a toolchain, and makes the
``bridge`` package importable from its own place without putting our site-packages on the path:
a toolchain must see its own pinned libraries only. Whatever it imports for a toolchain may need
the standard library and numpy, and nothing else of ours.

Lines in:  ``{"path": [...]}`` once, then ``{"function": "module:name", "arguments": {...}}``.
Lines out: ``{"stage": ...}``, ``{"progress": ...}``, then ``{"result": ...}`` or
``{"error": ...}``.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, TextIO


def main() -> None:
    """Serve jobs until standard input closes."""
    requests, answers = _claim_streams()
    _die_with_parent()
    sys.path.extend(each for each in json.loads(requests.readline())["path"] if each)
    _make_bridge_importable()
    for line in requests:
        request = json.loads(line)
        _answer(answers, _serve(request["function"], request["arguments"], answers))


def _claim_streams() -> tuple[TextIO, TextIO]:
    """Keep the protocol's streams to ourselves: native code prints to standard output at will."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(2, 1)
    return requests, answers


def _die_with_parent() -> None:
    """Ask the kernel to end this process when the parent ends, however it ends (Linux)."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _make_bridge_importable() -> None:
    folder = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(
        "bridge", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package bridge at {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bridge"] = module
    spec.loader.exec_module(module)


def _answer(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _serve(reference: str, arguments: dict[str, Any], answers: TextIO) -> dict[str, Any]:
    try:
        module, _, name = reference.partition(":")
        function: Any = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
        result = function(
            arguments,
            lambda stage: _answer(answers, {"stage": str(stage)}),
            lambda text: _answer(answers, {"progress": str(text)}),
        )
        return {"result": result}
    except BaseException as error:  # noqa: BLE001 - the boundary: every end of a job is an answer
        from bridge.worker.failure import describe

        return {"error": {**describe(error), "traceback": traceback.format_exc()}}


if __name__ == "__main__":
    main()
