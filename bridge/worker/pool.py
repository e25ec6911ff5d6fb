"""Where work runs: in this process, in a worker of our environment, or in a toolchain's worker."""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from ..availability import Availability, packages_installed
from ..errors import BridgeError, UsageError
from ..outcome import Stage
from ..toolchain import environment_of, probe, python_of
from .failure import WorkFailure, describe, failure
from .limits import Limits, TimeLimitError, time_limit
from .process import WorkerProcess

IN_PROCESS = "in process"
WORKER = "worker"


def is_ours(place: str) -> bool:
    """Whether work at a place runs with our own Python and packages, and not in a toolchain."""
    return place == IN_PROCESS or place.partition(":")[0] == WORKER


def probe_place(place: str, packages: Sequence[str]) -> Availability:
    """Tell whether work that needs ``packages`` can run at a place."""
    if is_ours(place):
        return packages_installed(packages)
    try:
        return probe(place)
    except UsageError as error:
        return Availability(available=False, reason=error.message)


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking a growing graph again and again (12 % of a capture).

    What is made in the block mostly stays, and reference counts free the rest.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of work.

    Attributes:
        place: ``IN_PROCESS``, ``WORKER`` (optionally ``worker:GROUP``, a process of its own), or
            the name of a toolchain.
        function: ``"module:name"`` of ``function(arguments, enter, progress) -> result``, where
            ``enter(stage)`` is called before a stage begins and arguments and result are JSON data.
        arguments: Its arguments.
        live: Objects handed to the function as ``arguments["live"]`` when it runs in process.
        first_stage: Stage that counts as entered before the function says otherwise.
    """

    place: str
    function: str
    arguments: dict[str, Any]
    live: Any = None
    first_stage: Stage = Stage.LOAD


@dataclass(kw_only=True)
class WorkPool:
    """The worker processes of one run; each place has one, which imports its framework once.

    Use it as a context manager, so that no process outlives the run.

    Attributes:
        limits: Limits of every job.
        progress: Called with a line of text when a job has something to say.
    """

    limits: Limits = field(default_factory=Limits)
    progress: Callable[[str], None] = lambda text: None
    _workers: dict[str, WorkerProcess] = field(default_factory=dict)
    _starting: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> WorkPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def call(self, job: Job) -> Any:
        """Run ``job`` where it belongs and return its result.

        Raises:
            WorkFailure: It failed, in whatever way; with the stage and the symptom.
            KeyboardInterrupt: The user interrupted; the workers end with the pool.
        """
        if job.place == IN_PROCESS:
            return self._call_here(job)
        while True:
            worker = self.ready(job.place, job.first_stage)
            with worker.turn:
                if worker.alive:  # and not dead of another thread's job
                    return self._call_worker(worker, job)

    def _call_worker(self, worker: WorkerProcess, job: Job) -> Any:
        try:
            return worker.call(
                job.function,
                job.arguments,
                limits=self.limits,
                first_stage=job.first_stage,
                progress=self.progress,
            )
        finally:
            if not worker.alive:
                self._drop(job.place, worker)

    def ready(self, place: str, stage: Stage) -> WorkerProcess:
        """Return the worker of a place; its toolchain is made now if there is none.

        Raises:
            WorkFailure: The toolchain cannot be made.
        """
        try:
            return self.worker(place)
        except BridgeError as error:
            raise failure(describe(error), stage) from error

    def preload(self, place: str, modules: Sequence[str]) -> None:
        """Start the worker of a place and let it import modules, without waiting for it.

        A toolchain that is not there yet is not made for that.
        """
        if place != IN_PROCESS and modules and not probe_place(place, ()).mend:
            self.worker(place).preload(modules)

    def worker(self, place: str) -> WorkerProcess:
        """Return the worker of ``place``, starting it if there is none that lives."""
        with self._starting:
            known = self._workers.get(place)
            if known is not None and known.alive:
                return known
            if known is not None:
                with known.turn:  # the thread whose job it died of still reads what it said
                    self._drop(place, known)
            if is_ours(place):
                started = WorkerProcess(path=sys.path)
            else:
                started = WorkerProcess(
                    python=str(python_of(place, self.progress)), environment=environment_of(place)
                )
            self._workers[place] = started
            return started

    def _drop(self, place: str, worker: WorkerProcess) -> None:
        """Forget a worker that is dead; another thread may have done so, and started a new one."""
        worker.close()
        if self._workers.get(place) is worker:
            del self._workers[place]

    def _call_here(self, job: Job) -> Any:
        stage = job.first_stage

        def enter(entered: Stage) -> None:
            nonlocal stage
            stage = entered

        module, _, name = job.function.partition(":")
        try:
            function: Any = importlib.import_module(module)
            for part in name.split("."):
                function = getattr(function, part)
            with time_limit(self.limits.seconds), collector_paused():
                return function({**job.arguments, "live": job.live}, enter, self.progress)
        except WorkFailure:
            raise
        except (Exception, TimeLimitError) as error:
            raise failure(
                {**describe(error), "traceback": traceback.format_exc()}, stage
            ) from error
