"""Runtimes: where an artifact natively runs, and the one way in which all of them are run."""

from __future__ import annotations

import importlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..artifact import Artifact, Signature, TensorSpec
from ..availability import Availability, version_of
from ..errors import InputError, SourceError, UsageError
from ..formats import Format
from ..outcome import Stage
from ..registry import Registry
from ..worker import WORKER, Job, probe_place
from .recording import Recording, read_recording

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What one run gave.

    Attributes:
        outputs: Output name of the artifact's signature → array.
        taps: Tensor name of the artifact → array, for the tensors that were asked for.
    """

    outputs: Arrays
    taps: Arrays = field(default_factory=dict)


class Session(ABC):
    """An opened artifact. Subclasses write only ``_run``; names, shapes and types are checked here.

    Args:
        signature: Inputs and outputs of the artifact.
    """

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> RunResult:
        """Run the artifact once.

        Args:
            inputs: Input name → array of the artifact's own shape, layout and type.

        Raises:
            InputError: A name, a shape or a type does not fit the signature.
        """
        names = [spec.name for spec in self.signature.inputs]
        unknown = sorted(set(inputs) - set(names))
        if unknown:
            raise InputError(
                f"there is no input {', '.join(map(repr, unknown))}",
                hint=f"inputs: {', '.join(map(str, self.signature.inputs))}",
            )
        for spec in self.signature.inputs:
            if spec.name not in inputs:
                raise InputError(
                    f"input {spec.name!r} is missing; given: {', '.join(inputs) or 'none'}"
                )
            array = inputs[spec.name]
            fits = len(array.shape) == len(spec.shape) and all(
                size in (None, actual) for size, actual in zip(spec.shape, array.shape, strict=True)
            )
            if not fits or array.dtype.name != spec.dtype:
                raise InputError(f"input {spec} does not take {array.dtype}{list(array.shape)}")
        # native code reads memory in C order, some of it without looking
        return self._run({name: np.require(inputs[name], requirements="C") for name in names})

    def watch(
        self, inputs: Mapping[str, NDArray[Any]], see: Callable[[str, NDArray[Any]], None]
    ) -> None:
        """Run once, and show each tap.

        Args:
            inputs: As for ``run``.
            see: Called with the name and the value of each tap; the value is not to be kept.
        """
        for name, value in self.run(inputs).taps.items():
            see(name, value)

    @abstractmethod
    def _run(self, inputs: Arrays) -> RunResult:
        """Run once; ``inputs`` has exactly the signature's names, in order.

        The arrays of the result are the caller's own: no later run changes them. The inputs stay
        as they are, whatever the artifact does to its copies of them.
        """


class Runtime(ABC):
    """A place where artifacts of one or more formats run natively.

    Subclasses write only ``_open``; what was asked for is checked here.

    Attributes:
        name: Unique name, such as ``litert-xnnpack``.
        title: What it is, for people.
        formats: Formats that it runs.
        place: Where it runs: ``IN_PROCESS``, ``WORKER`` or the name of a toolchain.
        packages: Distributions of our own environment that it needs; the first one is the runtime
            itself.
        taps: Whether it can show tensors inside the artifact.
        cuts: Whether it can run the pieces of an artifact on inputs of their own; such a runtime
            also writes ``_open_cut``.
        reference_only: Whether it exists to make the truth, and is no place where anyone ships.
        threads: How many it may use, where it has a say. It is set on an instance, to take times;
            everything else runs with one.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    formats: ClassVar[tuple[Format, ...]]
    place: ClassVar[str] = WORKER
    packages: ClassVar[tuple[str, ...]] = ()
    taps: ClassVar[bool] = False
    cuts: ClassVar[bool] = False
    reference_only: ClassVar[bool] = False
    threads: int = 1

    def probe(self) -> Availability:
        """Tell whether the runtime can be used here, without importing its framework."""
        return probe_place(self.place, self.packages)

    def version(self) -> str:
        """Return the version of the library that runs the artifact."""
        return version_of(self.packages[0]) or "unknown"

    def open(
        self, artifact: Artifact, taps: Sequence[str] = (), cuts: Sequence[TensorSpec] = ()
    ) -> Session:
        """Load an artifact.

        Args:
            artifact: What to run; its file is not changed.
            taps: Tensors to show in every run's result, in any order; repeats count once. Without
                any the shipped file itself runs; with some, an instrumented copy of it may.
            cuts: Tensors of the artifact whose readers are fed instead, so that each piece between
                cut tensors runs on its own. The session takes them as further inputs, named
                ``fed_name(tensor)``.

        Raises:
            UsageError: It runs other formats than the artifact's, or shows or feeds no tensors.
            SourceError: The file is missing, or it has no such tensor, input or output.
            Exception: The file cannot be loaded; the message is the runtime's own.
        """
        if artifact.format not in self.formats:
            raise UsageError(
                f"{self.title} runs {', '.join(map(str, self.formats))}, not {artifact.format}"
            )
        if taps and not self.taps:
            raise UsageError(f"{self.title} cannot show tensors inside a model")
        if cuts and not self.cuts:
            raise UsageError(f"{self.title} cannot run the pieces of a model on their own")
        if not artifact.path.exists():
            raise SourceError(f"there is no file {artifact.path}")
        shown = list(dict.fromkeys(taps))
        return self._open_cut(artifact, shown, cuts) if cuts else self._open(artifact, shown)

    @abstractmethod
    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        """Load an artifact of one of ``formats``; ``taps`` has no repeats."""

    def _open_cut(self, artifact: Artifact, taps: list[str], cuts: Sequence[TensorSpec]) -> Session:
        """Load an artifact cut apart; the session's signature is ``cut_signature``."""
        raise NotImplementedError


def fed_name(tensor: str) -> str:
    """Return the name of the input that the readers of a cut tensor read."""
    return f"cut:{tensor}"


def cut_signature(artifact: Artifact, cuts: Sequence[TensorSpec]) -> Signature:
    """Return an artifact's signature with an input for each cut tensor after its own."""
    fed = tuple(replace(each, name=fed_name(each.name)) for each in cuts)
    return replace(artifact.signature, inputs=(*artifact.signature.inputs, *fed))


RUNTIMES: Registry[type[Runtime]] = Registry(
    "runtime", packages=("bridge.validators.runtimes",), group="driftbridge.runtimes"
)


def register_runtime(runtime: type[Runtime]) -> type[Runtime]:
    """Class decorator: add a runtime; a name that is taken raises ``RegistryError``."""
    RUNTIMES.register(runtime.name, runtime, home=runtime.__module__)
    return runtime


def store_inputs(folder: Path, inputs: Mapping[str, NDArray[Any]]) -> None:
    """Write inputs for ``run_runtime``: name → samples stacked on the first axis."""
    counts = {len(stacked) for stacked in inputs.values()}
    if len(counts) != 1:
        raise InputError(f"the inputs have different numbers of samples: {sorted(counts)}")
    count = counts.pop()
    with Recording(folder, count) as recording:
        for index in range(count):
            recording.add({"inputs": _sample(inputs, index)})


def read_results(folder: Path) -> RunResult:
    """Return what ``run_runtime`` wrote: every array is ``[K, *shape]``, mapped from disk."""
    recorded = read_recording(folder)
    return RunResult(outputs=recorded["outputs"], taps=recorded.get("taps", {}))


def runtime_job(
    runtime: Runtime,
    artifact: Artifact,
    *,
    inputs: Path,
    samples: int,
    results: Path,
    taps: Sequence[str] = (),
    cuts: Sequence[TensorSpec] = (),
) -> Job:
    """Return the work of running an artifact where its runtime belongs.

    Args:
        runtime: What runs it.
        artifact: What to run.
        inputs: Folder written by ``store_inputs``.
        samples: How many of them to run.
        results: Folder for ``read_results``.
        taps: Tensors to show.
        cuts: Tensors whose readers are fed.
    """
    kind = type(runtime)
    return Job(
        place=runtime.place,
        function=f"{__name__}:{run_runtime.__name__}",
        arguments={
            "runtime": f"{kind.__module__}:{kind.__qualname__}",
            "artifact": artifact.to_json(),
            "inputs": str(inputs),
            "samples": samples,
            "results": str(results),
            "taps": list(taps),
            "cuts": [each.to_json() for each in cuts],
        },
    )


def run_runtime(
    arguments: Mapping[str, Any], enter: Callable[[Stage], None], say: Callable[[str], None]
) -> dict[str, Any]:
    """Run an artifact over samples by reference; this is what crosses to a worker.

    Results go to disk as they come, so that memory holds a few samples' tensors and no more.

    Args:
        arguments: Those of ``runtime_job``, as JSON data: ``runtime`` (``"module:Class"``),
            ``artifact``, ``inputs``, ``samples``, ``results``, ``taps`` and ``cuts``.
        enter: Called before a stage begins.
        say: Called with a line of progress.

    Returns:
        ``version``, ``load_seconds``, ``seconds`` (one per sample).
    """
    module, _, name = arguments["runtime"].partition(":")
    runtime: Runtime = getattr(importlib.import_module(module), name)()
    enter(Stage.LOAD)
    started = time.perf_counter()
    session = runtime.open(
        Artifact.from_json(arguments["artifact"]),
        arguments["taps"],
        [TensorSpec.from_json(each) for each in arguments["cuts"]],
    )
    loaded = time.perf_counter()
    enter(Stage.RUN)
    stacked = read_recording(Path(arguments["inputs"]))["inputs"]
    count = arguments["samples"]
    stored = min((len(each) for each in stacked.values()), default=0)
    if not 0 < count <= stored:
        raise InputError(f"{count} samples were asked for, and {stored} are stored")
    seconds: list[float] = []
    with Recording(Path(arguments["results"]), count) as recording:
        for index in range(count):
            sample = _sample(stacked, index)
            before = time.perf_counter()
            result = session.run(sample)
            seconds.append(time.perf_counter() - before)
            recording.add({"outputs": result.outputs, "taps": result.taps})
    return {
        "version": runtime.version(),
        "load_seconds": loaded - started,
        "seconds": seconds,
    }


def _sample(stacked: Mapping[str, NDArray[Any]], index: int) -> Arrays:
    # np.array, because indexing a stack of scalars gives no array, and a mapped one is read-only
    return {name: np.array(each[index]) for name, each in stacked.items()}
