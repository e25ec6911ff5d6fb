"""Which inputs a model is compared on: real ones, or drawn from what its inputs can be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..artifact import Artifact, TensorSpec
from ..errors import InputError
from ..formats import EXPORTED, ONNX
from ..mutation import kept_state
from ..samples import (
    Arrays,
    Domain,
    Edge,
    ImageOptions,
    InputRange,
    Samples,
    domain_of,
    draw_samples,
    more,
    read_images,
    read_items,
    read_samples,
)
from ..samples.drawing import draw_edge
from ..samples.images import image_files
from ..samples.inferring import chooses, infer
from ..samples.inferring_onnx import infer_onnx
from ..samples.iterables import take
from ..samples.ranges import channel_axis
from ..sources.torch_source import call_user, load_callable
from ..validators.taps.exported import load_program
from ..worker.limits import TimeLimitError, time_limit
from .plug_ins import import_operators

if TYPE_CHECKING:
    import torch

DEFAULT_SAMPLES = 16
_STEP = 1e-6  # of a float32, a few units in the last place
_MOST_CHANGE = 1e-2


@dataclass(frozen=True, kw_only=True)
class RealInputs:
    """Real inputs as the user gave them.

    Attributes:
        name: What they are called, in messages and in the report.
        path: A file of arrays, or a folder of arrays or images.
        items: What an iterable gave; ``None`` for a path.
    """

    name: str
    path: Path | None = None
    items: Sequence[Any] | None = None

    @property
    def images(self) -> bool:
        """Whether they are images: of a folder without arrays."""
        if self.path is None or not self.path.is_dir() or any(self.path.glob("*.npy")):
            return False
        return bool(image_files(self.path))


def find_real(given: Path | str | Iterable[Any], most: int | None) -> RealInputs:
    """Find real inputs; an iterable is read here, because it may be read only once.

    Args:
        given: A path, ``file.py:callable`` or ``module:callable`` that returns an iterable, or an
            iterable itself.
        most: Most items to take of an iterable.

    Raises:
        InputError: It gives nothing, or is no iterable.
        SourceError: The callable cannot be found or raised.
    """
    if isinstance(given, str | Path):
        text = str(given)
        if not names_callable(text):
            return _in_path(Path(text))
        made = load_callable(text)
        iterable = call_user(f"calling {text}", made)
        name = text.rpartition("/")[2]
        return RealInputs(
            name=name, items=call_user(f"looping over {text}", lambda: take(iterable, most))
        )
    name = f"a {type(given).__name__}"
    return RealInputs(name=name, items=take(given, most))


def _in_path(path: Path) -> RealInputs:
    found = RealInputs(name=path.name, path=path)
    if path.is_dir() and not found.images and not any(path.glob("*.npy")):
        raise InputError(
            f"{path} holds neither arrays (NAME.npy) nor images (png, jpeg)",
            hint="give one NAME.npy per input, a folder of images, or an .npz file",
        )
    return found


def names_callable(text: str) -> bool:
    """Whether a text names a callable and not a path."""
    place, _, name = text.rpartition(":")
    return bool(place) and name.isidentifier() and not Path(text).exists()


def recorded(given: Any) -> str | None:
    """Return what the manifest says of real inputs, to find them again; an iterable is gone."""
    if not isinstance(given, str | Path):
        return None
    text = str(given)
    if not names_callable(text):
        return str(Path(text).resolve())
    place, _, name = text.rpartition(":")
    return f"{Path(place).resolve()}:{name}" if place.endswith(".py") else text


def read_real(
    real: RealInputs,
    specs: Sequence[TensorSpec],
    *,
    images: ImageOptions,
    examples: Arrays,
    most: int | None,
) -> Samples:
    """Read real inputs as samples of a model.

    Images are those of the model's one image input; its other inputs, if it has any, are drawn.

    Args:
        real: What the user gave.
        specs: The model's inputs.
        images: How images are brought to size and range.
        examples: Example inputs.
        most: Most samples.

    Raises:
        InputError: They do not fit the inputs.
    """
    if real.items is not None:
        samples = read_items(real.items, specs, real.name)
    elif real.images:
        return _with_images(real, specs, images, examples, most)
    else:
        assert real.path is not None
        samples = read_samples(real.path, specs)
    if most is None or most >= samples.count:
        return samples
    return replace(samples.head(most), origin=f"the first {most} of {samples.origin}")


def _with_images(
    real: RealInputs,
    specs: Sequence[TensorSpec],
    options: ImageOptions,
    examples: Arrays,
    most: int | None,
) -> Samples:
    assert real.path is not None
    wide = [spec for spec in specs if len(spec.shape) == 4]
    fitting = [each for each in wide if channel_axis(examples[each.name].shape) is not None]
    if len(fitting or wide) != 1:
        raise InputError(
            f"{real.path} is a folder of images, and the model takes {', '.join(map(str, specs))}",
            hint="give an npz file with an array for each input",
        )
    spec = (fitting or wide)[0]
    stacked, how = read_images(real.path, spec, options, most)
    drawn = draw_samples(examples, len(stacked))
    return Samples(
        arrays={**drawn.arrays, spec.name: stacked},
        origin=f"{len(stacked)} real samples: {how}",
        how={**drawn.how, spec.name: how},
    )


def settle(
    samples: Samples,
    program: torch.export.ExportedProgram | None,
    *,
    file: Artifact | None = None,
    declared: Mapping[str, tuple[float, float]],
    made_up: Collection[str],
    seconds: float,
) -> Samples:
    """Return samples drawn from what the captured program tells of its inputs.

    Args:
        samples: The samples so far; real ones stay as they are.
        program: The captured program, if there is one.
        file: The user's file, if that is the source; an ONNX graph tells something too.
        declared: Ranges that the user declared.
        made_up: Inputs whose example was drawn from a declared shape.
        seconds: Most time of a run of the program.
    """
    if samples.domain is None:
        return samples
    examples = samples.first()
    inferred: Mapping[str, InputRange] = {}
    if program is not None:
        inferred = infer(program, examples)
    elif file is not None and file.format == ONNX:
        inferred = infer_onnx(file.path, examples)
    domain = domain_of(examples, declared=declared, inferred=inferred, made_up=made_up)
    edges: tuple[Edge, ...] = (Edge.MIXED,)  # whether a constant tells anything is not known
    if program is not None:
        edges = steady_edges(program, examples, domain, seconds)
    domain = Domain(inputs=domain.inputs, edges=edges)
    return draw_samples(examples, samples.count, domain)


def draw_again(samples: Samples, domain: Domain) -> Samples:
    """Return drawn samples as they are drawn from another domain; real ones stay."""
    if samples.domain is None:
        return samples
    return draw_samples(samples.first(), samples.count, domain)


def steady_edges(
    program: torch.export.ExportedProgram, examples: Arrays, domain: Domain, seconds: float
) -> tuple[Edge, ...]:
    """Return the edges of a domain at which a program's result is finite and means something.

    A constant image has no largest pixel, and a normalisation divides it by zero or by rounding:
    such samples tell nothing of a conversion.
    """
    if program.example_inputs is None or kept_state(program):
        return ()
    edges = [edge for edge in Edge if edge is Edge.MIXED or not chooses(program)]
    run = _runner(program)
    try:
        with time_limit(seconds):
            if _result(run, examples) is None:
                return tuple(edges)  # NaN is this model's own way
            return tuple(edge for edge in edges if _steady(run, draw_edge(examples, domain, edge)))
    except TimeLimitError:
        return ()


def program_of(
    source: Artifact | None, captured: Artifact | None, live: Any
) -> torch.export.ExportedProgram | None:
    """Return the captured program of a source, if it has one.

    Args:
        source: The user's file, if the source is one.
        captured: The capture of a live source, if it succeeded.
        live: The program itself, if it was captured in this process.
    """
    if live is not None:
        return live  # type: ignore[no-any-return]
    artifact = captured or source
    if artifact is None or artifact.format != EXPORTED:
        return None
    import_operators()
    return load_program(artifact.path)


def _runner(program: torch.export.ExportedProgram) -> Callable[[Arrays], list[Any]]:
    import torch
    from torch.utils import _pytree as pytree

    module = program.module()

    def run(arrays: Arrays) -> list[Any]:
        following = iter(arrays.values())
        args, kwargs = pytree.tree_map(
            lambda leaf: torch.tensor(next(following)) if isinstance(leaf, torch.Tensor) else leaf,
            program.example_inputs,
        )
        with torch.no_grad():
            return pytree.tree_leaves(module(*args, **kwargs))

    return run


def _steady(run: Callable[[Arrays], list[Any]], arrays: Arrays) -> bool:
    """Whether the result is finite, and nearly the same for nearly the same inputs."""
    nearly = {
        name: array + (_STEP * (1 + np.abs(array)) * _alternating(array)).astype(array.dtype)
        if array.dtype.kind == "f"
        else array
        for name, array in arrays.items()
    }
    first, second = _result(run, arrays), _result(run, nearly)
    if first is None or second is None or first.shape != second.shape:
        return False
    return float(np.linalg.norm(first - second)) <= _MOST_CHANGE * float(np.linalg.norm(first))


def _alternating(array: NDArray[Any]) -> NDArray[Any]:
    return np.where(np.arange(array.size) % 2, 1.0, -1.0).reshape(array.shape)


def _result(run: Callable[[Arrays], list[Any]], arrays: Arrays) -> NDArray[Any] | None:
    """All numbers of a result; ``None`` if one is not finite or the model does not take these."""
    import torch

    try:
        results = run(arrays)
    except (RuntimeError, ValueError, IndexError, AssertionError):
        return None
    tensors = [
        (torch.view_as_real(each) if each.is_complex() else each).double().ravel()
        for each in results
        if isinstance(each, torch.Tensor)
    ]
    numbers: NDArray[Any] = torch.cat(tensors).numpy() if tensors else np.zeros(0)
    return numbers if np.isfinite(numbers).all() else None


__all__ = [
    "DEFAULT_SAMPLES",
    "RealInputs",
    "draw_again",
    "find_real",
    "more",
    "names_callable",
    "program_of",
    "read_real",
    "recorded",
    "settle",
    "steady_edges",
]
