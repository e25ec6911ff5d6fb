"""From what a user gives to an opened source with its samples and the key of its content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..artifact import TensorSpec
from ..errors import InputError, UsageError
from ..formats import EXPORTED, TORCHSCRIPT, sniff
from ..samples import InputSpec, Samples, draw_samples, read_samples
from ..sources import Source, open_artifact
from ..sources.torch_source import build, load_weights, make_live
from .plug_ins import import_operators
from .reuse import fingerprint, key_of

if TYPE_CHECKING:
    import torch

DEFAULT_SAMPLES = 16


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How a source is opened.

    Attributes:
        weights: State dictionary to load into the module.
        declared: Declared inputs (``--input``).
        real: File or folder of real inputs (``--inputs``).
        trust_pickle: Whether a weights file may run code when it is loaded.
        samples: Most samples to compare on; ``None`` for all real ones, or 16 drawn ones.
    """

    weights: Path | None = None
    declared: Sequence[InputSpec] = ()
    real: Path | None = None
    trust_pickle: bool = False
    samples: int | None = None


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An opened source.

    Attributes:
        source: The source.
        samples: Inputs to compare on.
        key: Key of its content; ``None`` if that cannot be told.
        options: How it was opened.
    """

    source: Source
    samples: Samples
    key: str | None
    options: SourceOptions = field(default_factory=SourceOptions)

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest says about the source: enough to open it again."""
        artifact = self.source.artifact
        return {
            "text": self.source.text,
            "format": self.source.format.name,
            "key": self.key,
            "weights": str(self.options.weights.resolve()) if self.options.weights else None,
            "inputs": str(self.options.real.resolve()) if self.options.real else None,
            "artifact": artifact.to_json() if artifact else None,
        }


def open_source(
    model: torch.nn.Module | str | Path,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None,
    options: SourceOptions,
    seconds: float,
) -> Opened:
    """Open a model.

    Args:
        model: A module, ``package.module:callable``, ``file.py:callable``, or a model file.
        inputs: Example inputs of a module: a tuple, or a mapping by parameter name.
        options: Weights and inputs from files.
        seconds: Most time that a run of the model may take.

    Raises:
        BridgeError: The source cannot be opened, or the inputs do not fit it.
    """
    if isinstance(model, str | Path) and is_file_source(str(model)):
        if options.weights is not None:
            raise UsageError(f"{model} has its weights in it", hint="leave --weights out")
        return _open_file(Path(model), inputs, options)
    return _open_module(model, inputs, options, seconds)


def is_file_source(text: str) -> bool:
    """Whether a source is a model file and not a callable's name."""
    return Path(text).exists() or not text.rpartition(":")[2].isidentifier() or ":" not in text


def _open_module(
    model: torch.nn.Module | str | Path,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None,
    options: SourceOptions,
    seconds: float,
) -> Opened:
    text = str(model)
    if isinstance(model, str | Path):
        module, own = build(text)
        inputs = inputs if inputs is not None else own
    else:
        module = model
        text = f"{type(model).__module__}.{type(model).__qualname__}"
    if options.weights is not None:
        load_weights(module, options.weights, trust_pickle=options.trust_pickle)
    real = None
    if options.real is not None and inputs is None and not options.declared:
        real = _first_real(module, options.real)
    live = make_live(module, inputs, options.declared, real, seconds=seconds)
    source = Source(text=text, live=live, weights=options.weights)
    examples = {name: tensor.detach().numpy() for name, tensor in live.inputs().items()}
    return Opened(
        source=source,
        samples=_samples(source.signature.inputs, examples, options),
        key=fingerprint(live),
        options=options,
    )


def _open_file(
    path: Path, inputs: tuple[Any, ...] | Mapping[str, Any] | None, options: SourceOptions
) -> Opened:
    given = _given_arrays(inputs, options)
    found = sniff(path)
    if found == EXPORTED:
        import_operators()
    if found == TORCHSCRIPT:
        from ..sources.torchscript_source import read

        artifact = read(path, given)
    else:
        artifact = open_artifact(path)
    source = Source(text=str(path), artifact=artifact)
    specs = artifact.signature.inputs
    examples = given if set(given) == {spec.name for spec in specs} else _drawn(specs, options)
    _check_examples(specs, examples)
    return Opened(
        source=source,
        samples=_samples(specs, examples, options),
        key=key_of("file", artifact.format.name, artifact.sha256),
        options=options,
    )


def _given_arrays(
    inputs: tuple[Any, ...] | Mapping[str, Any] | None, options: SourceOptions
) -> dict[str, NDArray[Any]]:
    if inputs is not None:
        pairs = inputs.items() if isinstance(inputs, Mapping) else enumerate(inputs)
        return {str(name): np.asarray(array) for name, array in pairs}
    rng = np.random.default_rng(0)
    return {
        spec.name or str(index): np.asarray(spec.draw(rng))
        for index, spec in enumerate(options.declared)
    }


def _drawn(specs: Sequence[TensorSpec], options: SourceOptions) -> dict[str, NDArray[Any]]:
    """Examples for a file's own signature; declarations replace its inputs by name or in order."""
    declared = {spec.name or str(index): spec for index, spec in enumerate(options.declared)}
    rng = np.random.default_rng(0)
    drawn = {}
    for index, spec in enumerate(specs):
        declaration = declared.pop(spec.name, None) or declared.pop(str(index), None)
        if declaration is None:
            declaration = InputSpec(
                name=spec.name, shape=tuple(size or 2 for size in spec.shape), dtype=spec.dtype
            )
        drawn[spec.name] = np.asarray(declaration.draw(rng))
    if declared:
        raise InputError(
            f"the model has no input {', '.join(declared)}",
            hint=f"its inputs: {', '.join(map(str, specs))}",
        )
    return drawn


def _check_examples(specs: Sequence[TensorSpec], examples: Mapping[str, NDArray[Any]]) -> None:
    for spec in specs:
        array = examples[spec.name]
        fits = len(array.shape) == len(spec.shape) and all(
            size in (None, actual) for size, actual in zip(spec.shape, array.shape, strict=True)
        )
        if not fits or array.dtype.name != spec.dtype:
            raise InputError(
                f"input {spec.name!r} is {array.dtype}{list(array.shape)}; the model takes {spec}"
            )


def _samples(
    specs: Sequence[TensorSpec], examples: Mapping[str, NDArray[Any]], options: SourceOptions
) -> Samples:
    if options.real is None:
        return draw_samples(examples, options.samples or DEFAULT_SAMPLES)
    samples = read_samples(options.real, specs)
    return samples if options.samples is None else samples.head(options.samples)


def _first_real(module: Any, path: Path) -> dict[str, NDArray[Any]]:
    """The first row of each real input that ``forward`` has a parameter for, as a batch of one."""
    import inspect

    from ..samples import read_arrays

    parameters = set(inspect.signature(module.forward).parameters)
    arrays = {name: each[:1] for name, each in read_arrays(path).items() if name in parameters}
    if not arrays:
        raise InputError(
            f"{path} has no array that {type(module).__name__}.forward has a parameter for",
            hint=f"parameters: {', '.join(sorted(parameters))}",
        )
    return arrays


__all__ = ["Opened", "SourceOptions", "is_file_source", "open_source"]
