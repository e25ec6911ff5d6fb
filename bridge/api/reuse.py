"""Keys of content: what a result depends on, so that a second run can take it as it is."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import site
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..availability import version_of
from ..hop import Hop
from ..live import LiveModel
from ..toolchain import toolchain_named
from ..worker import is_ours


class UnknownContentError(Exception):
    """Something in a model has no content that can be told; nothing made of it is reused."""


def key_of(*parts: Any) -> str:
    """Return a digest of plain JSON data."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def array_digest(array: NDArray[Any]) -> str:
    """Return a digest of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def hop_key(parent: str, hop: Hop, options: Mapping[str, Any]) -> str:
    """Return the key of what a hop makes: of its parent, its options, and all versions."""
    if is_ours(hop.place):
        versions = {name: version_of(name) for name in hop.packages}
    else:
        versions = {hop.place: toolchain_named(hop.place).folder.name}
    module = sys.modules[hop.convert.__module__]
    code = _file_digest(Path(str(module.__file__)))
    return key_of(parent, hop.name, dict(options), versions, code, own_code())


@functools.cache
def own_code() -> str:
    """Return a digest of driftbridge's own source: what other code made is not taken over."""
    root = Path(__file__).resolve().parent.parent
    total = hashlib.sha256()
    for folder in (root, root / "converters", root / "validators"):
        for file in sorted(folder.resolve().rglob("*.py")):
            total.update(file.name.encode() + file.read_bytes())
    return total.hexdigest()


def fingerprint(live: LiveModel) -> str | None:
    """Return the key of a live module: its weights, settings, code and example inputs.

    Its code is that of every module that is neither Python's nor installed, and of the files of
    the classes in the module tree. ``None`` if anything in it cannot be told by content (a hook,
    an object of native code, a class typed at a prompt): then nothing is reused.
    """
    total = hashlib.sha256()
    try:
        for name, module in live.module.named_modules():
            _feed(total, name)
            _feed_module(total, module)
        _feed(total, live.args)
        _feed(total, dict(live.kwargs))
        _feed(total, {name: list(axes) for name, axes in live.dynamic.items()})
    except UnknownContentError:
        return None
    for name in sorted(sys.modules):
        file = getattr(sys.modules[name], "__file__", None)
        if file and _is_users(file):
            total.update(_file_digest(Path(file)).encode())
    return key_of("live", total.hexdigest(), version_of("torch"))


def _feed_module(total: Any, module: Any) -> None:
    for kind in type(module).__mro__:
        if kind.__module__.partition(".")[0] in ("torch", "builtins"):
            continue
        try:
            total.update(_file_digest(Path(inspect.getfile(kind))).encode())
        except (TypeError, OSError):
            try:
                total.update(inspect.getsource(kind).encode())
            except (TypeError, OSError) as error:
                raise UnknownContentError(kind.__qualname__) from error
    for name, value in vars(module).items():
        if name == "_modules":
            continue
        if name.endswith("_hooks") or "_hooks_" in name:
            if value:
                raise UnknownContentError(f"{type(module).__qualname__}.{name}")
            continue
        _feed(total, name)
        _feed(total, value)


def _feed(total: Any, value: Any, depth: int = 0) -> None:
    """Feed a value's type and content to a digest."""
    total.update(type(value).__qualname__.encode() + b"\0")
    if depth > 8:
        raise UnknownContentError(type(value).__qualname__)
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        total.update(repr(value).encode() + b"\0")
    elif isinstance(value, Mapping):
        for key in value:
            _feed(total, key, depth + 1)
            _feed(total, value[key], depth + 1)
    elif isinstance(value, list | tuple):
        total.update(str(len(value)).encode() + b"\0")
        for each in value:
            _feed(total, each, depth + 1)
    elif isinstance(value, set | frozenset):
        _feed(total, sorted(map(repr, value)), depth + 1)
    else:
        _feed_object(total, value, depth)


def _feed_object(total: Any, value: Any, depth: int) -> None:
    import torch

    if isinstance(value, torch.Tensor):
        array = value.detach().cpu().contiguous()
        total.update(f"{array.dtype}{tuple(array.shape)}".encode())
        total.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray):
        total.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    elif isinstance(value, torch.dtype | torch.device | torch.memory_format | np.dtype):
        total.update(str(value).encode())
    elif isinstance(value, torch.nn.Module):
        pass  # the module tree is fed by its own walk
    elif inspect.isfunction(value):
        code = value.__code__
        total.update(code.co_code + repr((code.co_names, code.co_varnames)).encode())
        _feed(total, [each for each in code.co_consts if not inspect.iscode(each)], depth + 1)
        _feed(total, value.__defaults__, depth + 1)
        _feed(total, [cell.cell_contents for cell in value.__closure__ or ()], depth + 1)
    elif inspect.isbuiltin(value) or inspect.isclass(value):
        total.update(f"{value.__module__}.{value.__qualname__}".encode())
    elif hasattr(value, "__dict__"):
        _feed(total, vars(value), depth + 1)
    else:
        raise UnknownContentError(type(value).__qualname__)


@functools.cache
def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def _libraries() -> tuple[str, ...]:
    own = Path(__file__).resolve().parent.parent
    return (
        *site.getsitepackages(),
        site.getusersitepackages(),
        sysconfig.get_paths()["stdlib"],
        sysconfig.get_paths()["platstdlib"],
        *(str(each.resolve()) for each in (own, own / "converters", own / "validators")),
        str(own),
    )


def _is_users(file: str) -> bool:
    # some of torch's modules made at run time name a file that is not there
    return file.endswith(".py") and not file.startswith(_libraries()) and Path(file).is_file()
