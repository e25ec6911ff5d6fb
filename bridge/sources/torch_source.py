"""A user's module: found by name, given weights, tried once on its example inputs."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BridgeError, InputError, SourceError, UntrustedPickleError, UsageError
from ..live import LiveModel, bind_arguments
from ..program import user_frame
from ..samples import InputSpec
from ..worker.limits import TimeLimitError, time_limit

if TYPE_CHECKING:
    import torch

_OURS = str(Path(__file__).resolve().parent.parent)


def load_callable(text: str) -> Callable[[], Any]:
    """Find ``package.module:callable`` or ``path/to/file.py:callable``.

    Raises:
        UsageError: The text is not of that form.
        SourceError: There is no such module or attribute, or importing it raised; the user's own
            traceback is kept.
    """
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise UsageError(
            f"{text!r} names no model",
            hint="give package.module:callable, path/to/file.py:callable, or a model file",
        )
    module = call_user(f"importing {place}", lambda: _import(place))
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise SourceError(
                f"{place} has no {name!r}",
                hint=f"it has: {', '.join(_public_callables(module)) or 'no callables'}",
            )
        found = getattr(found, part)
    if not callable(found):
        raise SourceError(f"{text} is not callable")
    return found  # type: ignore[no-any-return]


def build(text: str) -> tuple[torch.nn.Module, tuple[Any, ...] | Mapping[str, Any] | None]:
    """Call a model's callable.

    Returns:
        The module, and the example inputs if the callable returned them too: a tuple of positional
        ones or a mapping of keyword ones.

    Raises:
        SourceError: It needs arguments, raised, or returned no module.
    """
    import inspect

    import torch

    make = load_callable(text)
    if isinstance(make, torch.nn.Module):
        return make, None
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        raise SourceError(
            f"{text} needs arguments to be called: {error}",
            hint="write a function without parameters that returns the module, and name that",
        ) from None
    except ValueError:  # a builtin without a signature; calling it will tell
        pass
    made = call_user(f"calling {text}", make)
    module, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(module, torch.nn.Module):
        raise SourceError(
            f"{text} returned {type(made).__name__}, not a module",
            hint="it may return an nn.Module, or a module and its example inputs",
        )
    if isinstance(inputs, torch.Tensor):
        inputs = (inputs,)
    if inputs is not None and not isinstance(inputs, Mapping):
        inputs = tuple(inputs)
    return module, inputs


def load_weights(module: torch.nn.Module, path: Path, *, trust_pickle: bool = False) -> None:
    """Load a state dictionary into a module, every parameter and buffer of it.

    Args:
        module: The module.
        path: A ``.safetensors`` file, or a PyTorch file (``.pt``, ``.pth``).
        trust_pickle: Allow a PyTorch file to run code when it is loaded.

    Raises:
        UntrustedPickleError: The file wants to run code, and that was not allowed.
        SourceError: The file is missing or damaged, or its names or shapes are not the module's.
    """
    state = _read_state(path, trust_pickle)
    expected = module.state_dict()
    missing, unknown = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
    if missing or unknown:
        raise SourceError(
            f"the weights of {path} are not this module's"
            + _some("missing", missing)
            + _some("unknown", unknown)
        )
    misshapen = [
        f"{name} is {list(state[name].shape)} instead of {list(expected[name].shape)}"
        for name in expected
        if state[name].shape != expected[name].shape
    ]
    if misshapen:
        raise SourceError(f"the weights of {path} do not fit this module" + _some("", misshapen))
    on_meta = any(tensor.is_meta for _, tensor in _tensors(module))
    module.load_state_dict(state, assign=on_meta)  # there is nothing there to copy to


def make_live(
    module: torch.nn.Module,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None,
    declared: Sequence[InputSpec] = (),
    real: Mapping[str, NDArray[Any]] | None = None,
    *,
    seconds: float = 1800.0,
) -> LiveModel:
    """Return a module in evaluation mode with its example inputs, tried once.

    Args:
        module: The module.
        inputs: Example inputs, positional or by name.
        declared: Declared inputs; they take the place of ``inputs``.
        real: One real sample by name; used where there are no other inputs.
        seconds: Most time that a run may take.

    Raises:
        InputError: There are no inputs, or the module does not take them.
        SourceError: Weights are NaN, or there are only their shapes; they are named.
    """
    live = untried(module, inputs, declared, real)
    return replace(live, result=try_once(live, seconds))


def untried(
    module: torch.nn.Module,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None,
    declared: Sequence[InputSpec] = (),
    real: Mapping[str, NDArray[Any]] | None = None,
) -> LiveModel:
    """Return a module in evaluation mode with its example inputs, which it did not run on.

    Args:
        module: The module.
        inputs: Example inputs, positional or by name.
        declared: Declared inputs; they take the place of ``inputs``.
        real: One real sample by name; used where there are no other inputs.

    Raises:
        InputError: There are no inputs, or they do not fit the parameters of ``forward``.
        SourceError: Weights are NaN, or there are only their shapes; they are named.
    """
    import torch

    _refuse_missing(module)
    _refuse_nan(module)
    module.eval()
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    dynamic: dict[str, tuple[int, ...]] = {}
    if declared:
        args, kwargs, dynamic = _declared_inputs(module, declared)
    elif isinstance(inputs, Mapping):
        kwargs = dict(inputs)
    elif inputs is not None:
        args = tuple(inputs)
    elif real is not None:
        kwargs = {name: torch.from_numpy(np.array(array)) for name, array in real.items()}
    else:
        raise InputError(
            f"{type(module).__name__} has no example inputs",
            hint="declare them with --input NAME=1x3x224x224, or give real ones with --inputs",
        )
    live = LiveModel(module=module, args=args, kwargs=kwargs, dynamic=dynamic)
    for name, tensor in live.inputs().items():
        if tensor.dtype is torch.bfloat16:
            raise InputError(
                f"input {name!r} is bfloat16, which NumPy and files of samples do not have",
                hint="take float32 and cast it in forward, or convert module.float()",
            )
    return live


def try_once(live: LiveModel, seconds: float = 1800.0) -> Any:
    """Run a module once, so that a misfit is found here and is told in the user's terms.

    Args:
        live: The module with its inputs.
        seconds: Most time that the run may take.

    Returns:
        What it made of the inputs.

    Raises:
        InputError: It does not take them.
        SourceError: It gave no result in time.
    """
    import torch

    given = ", ".join(f"{n}: {t.dtype}{list(t.shape)}" for n, t in live.inputs().items())
    try:
        with torch.no_grad(), time_limit(seconds):
            return call_user("the model", live.run)
    except TimeLimitError:
        raise SourceError(
            f"the model gave no result within {seconds:g} s on its example inputs",
            hint="a longer time limit is set with --timeout",
        ) from None
    except SourceError as error:
        raise InputError(
            f"the model does not take these inputs ({given}): "
            + error.message.removeprefix("the model raised "),
            where=error.where,
            user_traceback=error.user_traceback,
        ) from error


def _import(place: str) -> Any:
    if not place.endswith(".py"):
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(place)
    path = Path(place).resolve()
    if not path.is_file():
        raise SourceError(f"there is no file {place}")
    name = f"driftbridge_source_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SourceError(f"{place} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look their module up there
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    return module


def call_user(what: str, run: Callable[[], Any]) -> Any:
    """Run the user's code.

    Args:
        what: What is done, for the message.
        run: The code.

    Raises:
        SourceError: It raised; their traceback is kept, without our frames.
    """
    try:
        return run()
    except (BridgeError, TimeLimitError):
        raise
    except Exception as error:
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith(_OURS) and "importlib" not in frame.filename
        ]
        where = user_frame("".join(traceback.format_list(frames))) or None
        lines = [
            "Traceback (most recent call last):\n",
            *traceback.format_list(frames),
            *traceback.format_exception_only(error),
        ]
        raise SourceError(
            f"{what} raised {type(error).__name__}: {error}",
            where=where,
            user_traceback="".join(lines),
        ) from error


def _public_callables(module: Any) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and getattr(value, "__module__", "") == module.__name__
    ]


def _read_state(path: Path, trust_pickle: bool) -> dict[str, torch.Tensor]:
    import torch

    if not path.is_file():
        raise SourceError(f"there is no file {path}")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise SourceError(f"{path} is not a whole safetensors file: {error}") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except pickle.UnpicklingError as error:
        raise UntrustedPickleError(
            f"{path} wants to run code when it is loaded: {_pickle_reason(error)}",
            hint="if you trust whoever made it, say --trust-pickle; safer: a .safetensors file",
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise SourceError(
            f"{path} is truncated or not a PyTorch file: {str(error).splitlines()[0]}"
        ) from error
    if isinstance(state, torch.nn.Module):
        state = state.state_dict()
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping):
        raise SourceError(f"{path} holds {type(state).__name__}, not a state dictionary")
    return dict(state)


def _pickle_reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "Unsupported" in line or "GLOBAL" in line), lines[-1])


def _some(title: str, names: Sequence[str], shown: int = 5) -> str:
    if not names:
        return ""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"; {title + ': ' if title else ''}{', '.join(names[:shown])}{more}"


def _refuse_missing(module: torch.nn.Module) -> None:
    """Refuse a module that was made on the meta device, where tensors have a shape only."""
    missing = [name for name, tensor in _tensors(module) if tensor.is_meta]
    if missing:
        raise SourceError(
            "this module has no weights, but only their shapes (the meta device)"
            + _some("", missing),
            hint="give the weights with --weights, or make the module on the CPU",
        )


def _tensors(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _refuse_nan(module: torch.nn.Module) -> None:
    import torch

    bad = [
        name
        for name, tensor in module.state_dict().items()
        if isinstance(tensor, torch.Tensor) and _has_nan(tensor)
    ]
    if bad:
        raise SourceError(
            "these weights have NaN" + _some("", bad), hint="they were NaN before any conversion"
        )


def _has_nan(tensor: torch.Tensor) -> bool:
    import torch

    if not tensor.is_floating_point():
        return False
    # a sum has NaN if any element has; it reads the weights once and writes nothing
    if tensor.dtype in (torch.float32, torch.float64) and not tensor.detach().sum().isnan():
        return False
    return bool(tensor.isnan().any())


def _declared_inputs(
    module: torch.nn.Module, declared: Sequence[InputSpec]
) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, tuple[int, ...]]]:
    import torch

    rng = np.random.default_rng(0)
    tensors = [torch.from_numpy(np.asarray(spec.draw(rng))) for spec in declared]
    args = tuple(t for spec, t in zip(declared, tensors, strict=True) if not spec.name)
    kwargs = {spec.name: t for spec, t in zip(declared, tensors, strict=True) if spec.name}
    bound = bind_arguments(module, args, kwargs)
    names = {id(value): name for name, value in bound.items()}
    dynamic = {
        names[id(tensor)]: spec.dynamic
        for spec, tensor in zip(declared, tensors, strict=True)
        if spec.dynamic
    }
    return (), bound, dynamic
