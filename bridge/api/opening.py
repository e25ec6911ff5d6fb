"""From what a user gives to an opened source with its samples and the key of its content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..artifact import TensorSpec
from ..errors import InputError, UsageError
from ..formats import EXPORTED, TORCHSCRIPT, sniff
from ..samples import (
    EXPECTED,
    LABELS,
    Domain,
    ImageOptions,
    InputSpec,
    Samples,
    domain_of,
    draw_samples,
    read_arrays,
)
from ..samples.iterables import example_arguments
from ..sources import Source, open_artifact
from ..sources.torch_source import build, load_weights, make_live
from .execution import Reached
from .plug_ins import import_operators
from .reuse import fingerprint_soon, key_of, own_code
from .sampling import (
    DEFAULT_SAMPLES,
    RealInputs,
    draw_again,
    find_real,
    program_of,
    read_real,
    recorded,
    settle,
)

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How a source is opened.

    Attributes:
        weights: State dictionary to load into the module.
        declared: Declared inputs (``--input``).
        real: Real inputs (``--inputs``): a file or folder of arrays, a folder of images,
            ``file.py:callable`` that returns an iterable, or an iterable.
        images: How images become inputs.
        trust_pickle: Whether a weights file may run code when it is loaded.
        samples: Most samples to compare on; ``None`` for all real ones, or 16 drawn ones.
    """

    weights: Path | None = None
    declared: Sequence[InputSpec] = ()
    real: Path | str | Iterable[Any] | None = None
    images: ImageOptions = field(default_factory=ImageOptions)
    trust_pickle: bool = False
    samples: int | None = None

    def ranges(self, inputs: Sequence[TensorSpec]) -> dict[str, tuple[float, float]]:
        """Return the declared ranges by the names of the model's inputs."""
        named = {spec.name: spec for spec in inputs}
        rest = [spec for spec in self.declared if spec.name not in named]
        free = [name for name in named if name not in {spec.name for spec in self.declared}]
        pairs = [(spec.name, spec) for spec in self.declared if spec.name in named]
        pairs += zip(free, rest, strict=False)
        return {name: spec.range for name, spec in pairs if spec.range is not None}


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An opened source.

    Attributes:
        source: The source.
        samples: Inputs to compare on.
        find_key: Gives the key of its content, ``None`` if that cannot be told; it may have to
            wait for it.
        options: How it was opened.
        made_up: Inputs whose example was drawn from a declared shape, and not given.
    """

    source: Source
    samples: Samples
    find_key: Callable[[], str | None]
    options: SourceOptions = field(default_factory=SourceOptions)
    made_up: frozenset[str] = frozenset()

    @property
    def key(self) -> str | None:
        """Key of its content; ``None`` if that cannot be told."""
        return self.find_key()

    def settled(
        self, captured: Reached | None, before: Mapping[str, Any], seconds: float
    ) -> Opened:
        """Return the same with samples drawn from what the captured program tells.

        Args:
            captured: The capture of a live source.
            before: The manifest of an earlier run, whose finding is taken if nothing has changed.
            seconds: Most time of a run of the program.
        """
        key, stored = self.domain_key(), before.get("domain")
        if stored and key is not None and stored["key"] == key:
            return replace(self, samples=draw_again(self.samples, Domain.from_json(stored)))
        made = captured.made if captured else None
        program = None
        if self.samples.domain is not None:
            program = program_of(
                self.source.artifact, made.artifact if made else None, made.live if made else None
            )
        samples = settle(
            self.samples,
            program,
            file=self.source.artifact,
            declared=self.options.ranges(self.source.signature.inputs),
            made_up=self.made_up,
            seconds=seconds,
        )
        return replace(self, samples=samples)

    def domain_key(self) -> str | None:
        """Return the key of all that the domain of the inputs depends on."""
        if self.key is None:
            return None
        declared = self.options.ranges(self.source.signature.inputs)
        return key_of(self.key, declared, sorted(self.made_up), own_code())

    def domain_json(self) -> dict[str, Any] | None:
        """Return what the manifest says of the domain of drawn inputs; ``None`` for real ones."""
        if self.samples.domain is None:
            return None
        return {"key": self.domain_key(), **self.samples.domain.to_json()}

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest says about the source: enough to open it again."""
        artifact, images = self.source.artifact, self.options.images
        return {
            "text": self.source.text,
            "format": self.source.format.name,
            "key": self.key,
            "weights": str(self.options.weights.resolve()) if self.options.weights else None,
            "inputs": recorded(self.options.real),
            "images": None if images == ImageOptions() else asdict(images),
            "artifact": artifact.to_json() if artifact else None,
        }


def open_source(
    model: torch.nn.Module | str | Path,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None,
    options: SourceOptions,
    seconds: float,
    *,
    compared: bool = True,
) -> Opened:
    """Open a model.

    Args:
        model: A module, ``package.module:callable``, ``file.py:callable``, or a model file.
        inputs: Example inputs of a module: a tuple, or a mapping by parameter name.
        options: Weights and inputs from files.
        seconds: Most time that a run of the model may take.
        compared: Whether anything is compared on the samples; if not, none is drawn beside the
            examples.

    Raises:
        BridgeError: The source cannot be opened, or the inputs do not fit it.
    """
    drawn = options.samples or DEFAULT_SAMPLES if compared else 1
    if isinstance(model, str | Path) and is_file_source(str(model)):
        if options.weights is not None:
            raise UsageError(f"{model} has its weights in it", hint="leave --weights out")
        return _open_file(Path(model), inputs, options, drawn)
    return _open_module(model, inputs, options, seconds, drawn)


def is_file_source(text: str) -> bool:
    """Whether a source is a model file and not a callable's name."""
    return Path(text).exists() or not text.rpartition(":")[2].isidentifier() or ":" not in text


def _open_module(
    model: torch.nn.Module | str | Path,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None,
    options: SourceOptions,
    seconds: float,
    drawn: int,
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
    real = _found_real(options)
    first = None
    if real is not None and inputs is None and not options.declared:
        if real.items is not None:
            inputs = example_arguments(real.items[0], _parameter_count(module))
        else:
            first = _first_real(module, real)
    live = make_live(module, inputs, options.declared, first, seconds=seconds)
    source = Source(text=text, live=live, weights=options.weights)
    examples = {name: tensor.detach().numpy() for name, tensor in live.inputs().items()}
    specs = source.signature.inputs
    made_up = _made_up(specs, options) if options.declared else frozenset()
    return Opened(
        source=source,
        samples=_samples(specs, examples, options, real, made_up, drawn),
        find_key=fingerprint_soon(live),
        options=options,
        made_up=made_up,
    )


def _open_file(
    path: Path,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None,
    options: SourceOptions,
    drawn: int,
) -> Opened:
    given, real = _given_arrays(inputs, options), _found_real(options)
    found = sniff(path)
    if found == EXPORTED:
        import_operators()
    if found == TORCHSCRIPT:
        from ..sources.torchscript_source import read

        artifact = read(path, given or _first_rows(real))
    else:
        artifact = open_artifact(path)
    source = Source(text=str(path), artifact=artifact)
    specs = artifact.signature.inputs
    examples = given if set(given) == {spec.name for spec in specs} else _drawn(specs, options)
    _check_examples(specs, examples)
    made_up = _made_up(specs, options) if inputs is None else frozenset()
    return Opened(
        source=source,
        samples=_samples(specs, examples, options, real, made_up, drawn),
        find_key=lambda: key_of("file", artifact.format.name, artifact.sha256),
        options=options,
        made_up=made_up,
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


def _first_rows(real: RealInputs | None) -> dict[str, NDArray[Any]]:
    """The first row of every real input that lies in a file of arrays, as a batch of one."""
    if real is None or real.path is None or real.images:
        return {}
    arrays = read_arrays(real.path).items()
    return {name: each[:1] for name, each in arrays if name not in (EXPECTED, LABELS)}


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


def _made_up(specs: Sequence[TensorSpec], options: SourceOptions) -> frozenset[str]:
    """Inputs that are known by their shape only."""
    return frozenset(spec.name for spec in specs) - set(options.ranges(specs))


def _found_real(options: SourceOptions) -> RealInputs | None:
    real = None if options.real is None else find_real(options.real, options.samples)
    if options.images != ImageOptions() and not (real and real.images):
        raise UsageError(
            "--resize, --crop, --mean, --std and --channel-order are for images",
            hint="give a folder of them with --inputs",
        )
    return real


def _samples(
    specs: Sequence[TensorSpec],
    examples: dict[str, NDArray[Any]],
    options: SourceOptions,
    real: RealInputs | None,
    made_up: frozenset[str],
    drawn: int,
) -> Samples:
    if real is None:
        domain = domain_of(examples, declared=options.ranges(specs), made_up=made_up)
        return draw_samples(examples, drawn, domain)
    return read_real(real, specs, images=options.images, examples=examples, most=options.samples)


def _parameter_count(module: Any) -> int:
    import inspect

    return len(inspect.signature(module.forward).parameters)


def _first_real(module: Any, real: RealInputs) -> dict[str, NDArray[Any]]:
    """The first row of each real input that ``forward`` has a parameter for, as a batch of one."""
    import inspect

    path = real.path
    assert path is not None
    if real.images:
        raise InputError(
            f"{type(module).__name__} has no example inputs, and images do not tell their layout",
            hint="declare the input of the images with --input NAME=1x3x224x224",
        )
    parameters = set(inspect.signature(module.forward).parameters)
    arrays = {name: each[:1] for name, each in read_arrays(path).items() if name in parameters}
    if not arrays:
        raise InputError(
            f"{path} has no array that {type(module).__name__}.forward has a parameter for",
            hint=f"parameters: {', '.join(sorted(parameters))}",
        )
    return arrays


__all__ = ["Opened", "SourceOptions", "is_file_source", "open_source"]
