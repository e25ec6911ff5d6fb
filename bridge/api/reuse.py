"""Keys of content: what a result depends on, so that a second run can take it as it is."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
import site
import sys
import sysconfig
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..availability import version_of
from ..formats import TFLITE
from ..hop import Hop
from ..live import LiveModel
from ..toolchain import toolchain_named
from ..worker import IN_PROCESS, is_ours

if TYPE_CHECKING:
    import torch

_PLAIN = (bool, int, float, complex, str, bytes)


class UnknownContentError(Exception):
    """Something in a model has no content that can be told; nothing made of it is reused."""


def key_of(*parts: Any) -> str:
    """Return a digest of plain JSON data."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def array_digest(array: NDArray[Any]) -> str:
    """Return a digest of an array's type, shape and values."""
    total = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    total.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def hop_key(parent: str, hop: Hop, options: Mapping[str, Any]) -> str:
    """Return the key of what a hop makes: of its parent, its options, and all versions."""
    if is_ours(hop.place):
        versions = {name: version_of(name) for name in hop.packages}
    else:
        versions = {hop.place: toolchain_named(hop.place).folder.name}
    module = sys.modules[hop.convert.__module__]
    code = _first_digest(Path(str(module.__file__)))
    # the direct compiler is the one hop in process to TFLite
    others = others_lowerings() if (hop.target, hop.place) == (TFLITE, IN_PROCESS) else None
    return key_of(parent, hop.name, dict(options), versions, code, own_code(), others)


def others_lowerings() -> dict[str, str]:
    """Return operator → digest of its lowering, for those that are not driftbridge's own."""
    from ..converters.tflite import LOWERINGS

    found = {}
    for lowering in LOWERINGS:
        home = LOWERINGS.home(lowering.operator)
        if home.partition(".")[0] != "bridge":
            found[lowering.operator] = _function_key(lowering.function)
    return found


def _function_key(function: Any) -> str:
    """Key of a function by its code and its file; no two are equal of one that cannot be told."""
    content = _Content()
    try:
        content.value(function)
    except (UnknownContentError, RecursionError):
        return uuid.uuid4().hex
    file = Path(inspect.getfile(function))
    return key_of(content.digest(), _file_digest(file) if file.is_file() else None)


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

    Its code is that of every module that is neither Python's nor installed, and of the classes in
    the module tree. ``None`` if anything in it cannot be told by content (a hook, an object of
    native code, a class typed at a prompt): then nothing is reused.
    """
    return fingerprint_soon(live)()


def fingerprint_soon(live: LiveModel) -> Callable[[], str | None]:
    """Begin with ``fingerprint``; what is returned waits for it.

    The weights are digested in a thread, while the model is captured.
    """
    content = _Content()
    try:
        content.value(live.module)
        content.value(live.args)
        content.value(dict(live.kwargs))
        content.value({name: list(axes) for name, axes in live.dynamic.items()})
    except (UnknownContentError, RecursionError):
        return lambda: None
    for name in sorted(sys.modules):
        file = getattr(sys.modules[name], "__file__", None)
        if file and _is_users(file):
            content.text(_file_digest(Path(file)))
            content.code_of(sys.modules[name])
    version = version_of("torch")
    thread = ThreadPoolExecutor(1, thread_name_prefix="fingerprint")
    key = thread.submit(lambda: key_of("live", content.digest(), version))
    thread.shutdown(wait=False)
    return key.result


class _Content:
    """A digest of values by their content: types, numbers, code, and what refers to what.

    Whatever has an identity is fed once; later it is the same thing again. Both tied weights and
    objects that refer to each other are told so. Tensors are read when the digest is asked for.
    """

    def __init__(self) -> None:
        self._fed: list[bytes | NDArray[Any]] = []
        self._known: dict[int, tuple[int, Any]] = {}  # holds the objects: no id is used again

    def digest(self) -> str:
        total = hashlib.sha256()
        for each in self._fed:
            total.update(each if isinstance(each, bytes) else each.data)
        return total.hexdigest()

    def text(self, text: str) -> None:
        encoded = text.encode(errors="surrogatepass")
        self._fed.append(f"{len(encoded)}:".encode() + encoded)

    def code_of(self, module: ModuleType) -> None:
        """Feed the code that a module has in memory: its file may have changed since."""
        for name, member in list(vars(module).items()):
            members = vars(member).values() if inspect.isclass(member) else (member,)
            for function in filter(inspect.isfunction, members):
                if function.__module__ == module.__name__:
                    self.text(name)
                    self._code(inspect.unwrap(function).__code__, {})

    def value(self, value: Any) -> None:
        """Feed a value; ``UnknownContentError`` if there is no way to tell what is in it."""
        self.text(type(value).__qualname__)
        if value is None or isinstance(value, _PLAIN):
            self.text(repr(value))
        elif isinstance(value, tuple | frozenset):
            self._new(value)  # the compiler shares equal ones, or not: that is no content
        elif id(value) in self._known:
            self.text(f"again {self._known[id(value)][0]}")
        else:
            self._known[id(value)] = (len(self._known), value)
            self._new(value)

    def _new(self, value: Any) -> None:
        import torch

        if isinstance(value, torch.nn.Module):
            self._module(value)
        elif isinstance(value, torch.Tensor):
            self._tensor(value)
        elif isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
            self.text(f"{value.dtype}{value.shape}{array_digest(np.asarray(value))}")
        elif isinstance(value, torch.dtype | torch.device | torch.memory_format | np.dtype):
            self.text(str(value))
        elif isinstance(value, Mapping):
            self._all(each for item in value.items() for each in item)
        elif isinstance(value, list | tuple):
            self._all(value)
        elif isinstance(value, set | frozenset):
            self._all(sorted(map(repr, value)))
        elif inspect.ismodule(value):
            self.text(value.__name__)
        elif isinstance(value, weakref.ref):  # recurrent layers refer to their weights so
            self.value(value())
        elif inspect.isclass(value):
            self.text(f"{value.__module__}.{value.__qualname__}")
        elif inspect.isfunction(value):
            self._function(value)
        elif inspect.ismethod(value):
            self._all((value.__func__, value.__self__))
        elif inspect.isbuiltin(value):
            self.text(f"{value.__module__}.{value.__qualname__}")
            self.value(value.__self__)
        else:
            self._object(value)

    def _all(self, values: Iterable[Any]) -> None:
        listed = list(values)
        self.text(str(len(listed)))
        for each in listed:
            self.value(each)

    def _tensor(self, tensor: torch.Tensor) -> None:
        import torch

        if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            raise UnknownContentError(type(tensor).__qualname__)
        try:
            plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
            values = plain.reshape(-1).view(torch.uint8).numpy()
        except (RuntimeError, TypeError) as error:  # sparse, quantized, on the meta device
            raise UnknownContentError(str(error)) from error
        self.text(f"{tensor.dtype}{tuple(tensor.shape)}")  # which tell how much follows
        self._fed.append(values)

    def _module(self, module: torch.nn.Module) -> None:
        for kind in type(module).__mro__:
            if kind is not object and kind.__module__.partition(".")[0] != "torch":
                self._class(kind)
        for name, value in vars(module).items():
            if name.endswith("_hooks") or "_hooks_" in name:
                if value and "state_dict" not in name:  # those do not run when the model does
                    raise UnknownContentError(f"{type(module).__qualname__}.{name}")
                continue
            self.text(name)
            self.value(value)

    def _class(self, kind: type) -> None:
        """Feed a class by its file, and by what may have been put into it afterwards."""
        try:
            self.text(_file_digest(Path(inspect.getfile(kind))))
        except (TypeError, OSError) as error:
            raise UnknownContentError(kind.__qualname__) from error
        for name, value in vars(kind).items():
            member = value.__func__ if isinstance(value, staticmethod | classmethod) else value
            if inspect.isfunction(member):
                if not Path(member.__code__.co_filename).is_file():
                    raise UnknownContentError(f"{kind.__qualname__}.{name}")
                self.text(name)
                self._code(member.__code__, member.__globals__)
            elif isinstance(member, _PLAIN):
                self._all((name, member))

    def _function(self, function: Any) -> None:
        self._code(function.__code__, function.__globals__)
        self._all((function.__defaults__, function.__kwdefaults__, vars(function)))
        try:
            self._all(cell.cell_contents for cell in function.__closure__ or ())
        except ValueError as error:  # a variable that has no value yet
            raise UnknownContentError(function.__qualname__) from error

    def _code(self, code: CodeType, names: Mapping[str, Any]) -> None:
        """Feed code, and the plain values among the global variables that it reads."""
        self.text(code.co_code.hex())
        self.text(repr((code.co_names, code.co_varnames, code.co_freevars)))
        for name in code.co_names:
            if isinstance(names.get(name), _PLAIN):
                self._all((name, names[name]))
        for each in code.co_consts:
            if inspect.iscode(each):
                self._code(each, names)
            else:
                self.value(each)

    def _object(self, value: Any) -> None:
        """Feed an object by what ``pickle`` would keep of it."""
        try:
            reduced = value.__reduce_ex__(2)
        except Exception as error:
            raise UnknownContentError(type(value).__qualname__) from error
        if isinstance(reduced, str):
            self.text(reduced)
        else:
            self._all(list(part) if isinstance(part, Iterator) else part for part in reduced)


@functools.cache
def _first_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def _digest_of(path: Path, _changed: int, _size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _file_digest(path: Path) -> str:
    """Return the digest of a file as it is now; a notebook lives longer than its files."""
    state = path.stat()
    return _digest_of(path, state.st_mtime_ns, state.st_size)


@functools.cache
def _libraries() -> tuple[str, ...]:
    own = Path(__file__).resolve().parent.parent
    folders = (
        *site.getsitepackages(),
        site.getusersitepackages(),
        sysconfig.get_paths()["stdlib"],
        sysconfig.get_paths()["platstdlib"],
        *(str(each.resolve()) for each in (own, own / "converters", own / "validators")),
        str(own),
    )
    return tuple(f"{folder}{os.sep}" for folder in folders)


def _is_users(file: str) -> bool:
    # some of torch's modules made at run time name a file that is not there
    return file.endswith(".py") and not file.startswith(_libraries()) and Path(file).is_file()
