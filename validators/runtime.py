"""Runtimes: where an artifact natively runs, and the one way in which all of them are run."""

from __future__ import annotations

import importlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..artifact import Artifact, Signature
from ..availability import Availability, packages_installed
from ..errors import InputError
from ..formats import Format
from ..outcome import Stage
from ..registry import Registry
from ..toolchain import probe as probe_toolchain
from ..worker import IN_PROCESS, WORKER

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
        for spec in self.signature.inputs:
            if spec.name not in inputs:
                raise InputError(f"input {spec.name!r} is missing; given: {', '.join(inputs)}")
            array = inputs[spec.name]
            fits = len(array.shape) == len(spec.shape) and all(
                size in (None, actual) for size, actual in zip(spec.shape, array.shape, strict=True)
            )
            if not fits or array.dtype.name != spec.dtype:
                raise InputError(f"input {spec} does not take {array.dtype}{list(array.shape)}")
        return self._run({spec.name: inputs[spec.name] for spec in self.signature.inputs})

    @abstractmethod
    def _run(self, inputs: Arrays) -> RunResult:
        """Run once; ``inputs`` has exactly the signature's names, in order."""


class Runtime(ABC):
    """A place where artifacts of one or more formats run natively.

    Attributes:
        name: Unique name, such as ``litert-xnnpack``.
        title: What it is, for people.
        formats: Formats that it runs.
        place: Where it runs: ``IN_PROCESS``, ``WORKER`` or the name of a toolchain.
        packages: Distributions of our own environment that it needs.
        taps: Whether it can show tensors inside the artifact.
        shares: Why it does not run the untouched file when it is tapped, if that is so: the lite
            interpreter, for one, shows layers of an instrumented twin. Empty otherwise.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    formats: ClassVar[tuple[Format, ...]]
    place: ClassVar[str] = WORKER
    packages: ClassVar[tuple[str, ...]] = ()
    taps: ClassVar[bool] = False

    def probe(self) -> Availability:
        """Tell whether the runtime can be used here, without importing its framework."""
        if self.place not in (IN_PROCESS, WORKER):
            return probe_toolchain(self.place)
        return packages_installed(self.packages)

    @abstractmethod
    def version(self) -> str:
        """Return the version of the library that runs the artifact."""

    @abstractmethod
    def open(self, artifact: Artifact, taps: Sequence[str] = ()) -> Session:
        """Load an artifact.

        Args:
            artifact: What to run; its file is not changed.
            taps: Tensors to show in every run's result. Without any the shipped file itself runs;
                with some, an instrumented copy of it may.

        Raises:
            BridgeError: The file cannot be loaded, or a tensor cannot be shown.
        """


RUNTIMES: Registry[type[Runtime]] = Registry(
    "runtime", packages=("bridge.validators.runtimes",), group="driftbridge.runtimes"
)


def register_runtime(runtime: type[Runtime]) -> type[Runtime]:
    """Class decorator: add a runtime; a name that is taken raises ``RegistryError``."""
    RUNTIMES.register(runtime.name, runtime, home=runtime.__module__)
    return runtime


def run_runtime(
    arguments: Mapping[str, Any], enter: Callable[[Stage], None], say: Callable[[str], None]
) -> dict[str, Any]:
    """Run an artifact over samples by reference; this is what crosses to a worker.

    Args:
        arguments: ``runtime`` (``"module:Class"``), ``artifact`` (JSON), ``inputs`` (an npz file
            with, per input, its samples stacked on a new first axis: ``[K, *shape]``), ``taps``
            (tensor names), ``samples`` (how many of the K to run) and ``results`` (the npz file to
            write: ``out/NAME`` and ``tap/NAME``, each ``[K, *shape]``).
        enter: Called before a stage begins.
        say: Called with a line of progress.

    Returns:
        ``version``, ``load_seconds``, ``seconds`` (one per sample).
    """
    module, _, name = arguments["runtime"].partition(":")
    runtime: Runtime = getattr(importlib.import_module(module), name)()
    enter(Stage.LOAD)
    started = time.perf_counter()
    session = runtime.open(Artifact.from_json(arguments["artifact"]), arguments["taps"])
    loaded = time.perf_counter()
    enter(Stage.RUN)
    with np.load(arguments["inputs"]) as stored:
        stacked = {name: stored[name] for name in stored.files}
    seconds: list[float] = []
    results: list[RunResult] = []
    for index in range(arguments["samples"]):
        before = time.perf_counter()
        results.append(session.run({name: array[index] for name, array in stacked.items()}))
        seconds.append(time.perf_counter() - before)
    arrays = {}
    for kind in ("outputs", "taps"):
        for key in getattr(results[0], kind):
            arrays[f"{kind}/{key}"] = np.stack([getattr(each, kind)[key] for each in results])
    np.savez(Path(arguments["results"]), **arrays)
    return {
        "version": runtime.version(),
        "load_seconds": loaded - started,
        "seconds": seconds,
    }
