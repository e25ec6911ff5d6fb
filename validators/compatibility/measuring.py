"""Measuring an artifact where its runtime lives: times, memory and the values that come out."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...artifact import Artifact
from ...formats import TFLITE
from ...outcome import Stage
from ...worker import Job, WorkFailure, WorkPool
from ..recording import read_recording
from ..runtime import Runtime, Session, store_inputs
from .latency import ThreadLatency, machine, thread_counts
from .memory import ARENA, Growth, arena_bytes

MOST_RUNS = 100
MOST_SAMPLES = 16
SECONDS = 0.5  # for the later runs of one number of threads
SLOW_SECONDS = 2.0  # of one run: then other numbers of threads are left out

Inputs = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What measuring an artifact gave.

    Attributes:
        reason: Why nothing was measured; empty if it was.
        runtime: Name and version of what ran it.
        arena: Bytes of LiteRT's arena.
        peak: Bytes by which the process grew.
        method: How memory was measured.
        latency: The times, as the report has them; ``None`` if they were not asked for.
        outputs: Output → its least and greatest value.
        samples: Number of samples that the values are of.
    """

    reason: str = ""
    runtime: str = ""
    arena: int | None = None
    peak: int | None = None
    method: str = ""
    latency: Mapping[str, Any] | None = None
    outputs: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    samples: int = 0


def measure(
    runtime: Runtime,
    artifact: Artifact,
    inputs: Mapping[str, NDArray[Any]],
    *,
    pool: WorkPool,
    scratch: Path,
    latency: bool,
) -> Measurement:
    """Measure an artifact in a worker; that it cannot be is a reason, and no error.

    Args:
        runtime: What runs it.
        artifact: The artifact.
        inputs: Input of the artifact → samples stacked on the first axis.
        pool: Where the runtime runs.
        scratch: Folder for the inputs; it is empty or not there.
        latency: Whether to take times.
    """
    availability = runtime.probe()
    if not availability.available:
        return Measurement(reason=availability.reason)
    store_inputs(scratch, inputs)
    kind = type(runtime)
    job = Job(
        place=runtime.place,
        function=f"{__name__}:{run_measurement.__name__}",
        arguments={
            "runtime": f"{kind.__module__}:{kind.__qualname__}",
            "artifact": artifact.to_json(),
            "inputs": str(scratch),
            "threads": thread_counts(artifact.format) if latency else (),
        },
    )
    try:
        found = pool.call(job)
    except WorkFailure as failure:
        return Measurement(reason=f"{failure.symptom} at {failure.stage}: {failure.message}")
    name = f"{runtime.title} {found['version']}"
    threads = found["threads"]
    return Measurement(
        runtime=name,
        arena=found["arena"],
        peak=found["peak"],
        method=found["method"],
        latency={
            "machine": machine(),
            "runtime": name,
            "load_ms": threads[0]["load_ms"],
            "threads": threads,
            "note": found["note"],
        }
        if threads
        else None,
        outputs={each: (low, high) for each, (low, high) in found["outputs"].items()},
        samples=found["samples"],
    )


def run_measurement(
    arguments: Mapping[str, Any], enter: Callable[[Stage], None], say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure an artifact; this is what crosses to a worker.

    Args:
        arguments: ``runtime`` (``"module:Class"``), ``artifact``, ``inputs`` (a folder of
            ``store_inputs``), ``threads``: numbers of threads to time, 1 first; none for no times.
        enter: Called before a stage begins.
        say: Called with lines of progress.

    Returns:
        ``version``, ``arena``, ``peak``, ``method``, ``threads``: rows of times, ``note`` on them,
        ``outputs``: the least and the greatest value of each, ``samples``: how many those are of.
    """
    module, _, name = arguments["runtime"].partition(":")
    kind: type[Runtime] = getattr(importlib.import_module(module), name)
    artifact = Artifact.from_json(arguments["artifact"])
    samples = _samples(Path(arguments["inputs"]))
    constants = _constants(artifact)
    enter(Stage.LOAD)
    _import(kind())
    growth = Growth()
    session, load_ms = _open(kind(), artifact)
    growth.look()
    enter(Stage.RUN)
    first_ms = _run(session, samples[0])[0]
    peak = growth.peak()
    arena = None
    if constants is not None and hasattr(session, "interpreter"):
        arena = arena_bytes(session.interpreter, constants)
    timed = tuple(arguments["threads"])
    values = _Values()
    runs = _runs(session, samples, values, MOST_RUNS if timed else len(samples))
    del session  # one model at a time
    slow = min(runs) > SLOW_SECONDS * 1000
    rows = [ThreadLatency(threads=1, load_ms=load_ms, first_ms=first_ms, runs=runs)]
    rows += [] if slow else [_timed(kind, artifact, samples, threads) for threads in timed[1:]]
    return {
        "version": kind().version(),
        "arena": arena,
        "peak": peak,
        "method": growth.method + (f". {ARENA}" if arena is not None else ""),
        "threads": [row.to_json() for row in rows] if timed else [],
        "note": f"a run takes {min(runs) / 1000:.1f} s: timed with one thread only" if slow else "",
        "outputs": values.ranges,
        "samples": values.samples,
    }


def _import(runtime: Runtime) -> None:
    """Import the framework, so that loading it counts in no figure."""
    for name in runtime.packages:
        with contextlib.suppress(ImportError):  # its module may have another name
            importlib.import_module(name.replace("-", "_"))


def _timed(
    kind: type[Runtime], artifact: Artifact, samples: Sequence[Inputs], threads: int
) -> ThreadLatency:
    runtime = kind()
    runtime.threads = threads
    session, load_ms = _open(runtime, artifact)
    first_ms = _run(session, samples[0])[0]
    runs = _runs(session, samples, None, MOST_RUNS)
    return ThreadLatency(threads=threads, load_ms=load_ms, first_ms=first_ms, runs=runs)


def _open(runtime: Runtime, artifact: Artifact) -> tuple[Session, float]:
    started = time.perf_counter()
    session = runtime.open(artifact)
    return session, (time.perf_counter() - started) * 1000


def _run(session: Session, sample: Inputs) -> tuple[float, Mapping[str, NDArray[Any]]]:
    started = time.perf_counter()
    outputs = session.run(sample).outputs
    return (time.perf_counter() - started) * 1000, outputs


def _runs(
    session: Session, samples: Sequence[Inputs], values: _Values | None, most: int
) -> list[float]:
    """Run over the samples again and again; return the times, of which there is at least one."""
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while not times or (len(times) < most and time.perf_counter() < end):
        index = len(times) % len(samples)
        milliseconds, outputs = _run(session, samples[index])
        if values is not None and len(times) < len(samples):
            values.add(outputs)
        times.append(milliseconds)
    return times


@dataclass
class _Values:
    """The least and the greatest value of each output; what is no number does not count."""

    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    samples: int = 0

    def add(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        self.samples += 1
        for name, array in outputs.items():
            if array.dtype.kind not in "biuf":
                continue
            found = finite_range(array)
            if found is not None:
                low, high = self.ranges.get(name, found)
                self.ranges[name] = (min(low, found[0]), max(high, found[1]))


def finite_range(values: NDArray[Any]) -> tuple[float, float] | None:
    """Return the least and the greatest finite value; ``None`` if there is none."""
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    if np.isfinite(low) and np.isfinite(high):
        return low, high
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else None


def _samples(folder: Path) -> list[Inputs]:
    stacked = read_recording(folder)["inputs"]
    count = min((len(each) for each in stacked.values()), default=0)
    # np.array, because indexing a stack of scalars gives no array, and a mapped one is read-only
    return [
        {name: np.array(each[index]) for name, each in stacked.items()} for index in range(count)
    ]


def _constants(artifact: Artifact) -> frozenset[int] | None:
    """Tensors of a TFLite file that it holds the elements of; ``None`` for other formats."""
    if artifact.format != TFLITE:
        return None
    from ...inspection.tflite_graph import read_graph

    tensors = read_graph(artifact.path).tensors[0]
    return frozenset(index for index, each in enumerate(tensors) if each.constant)
