"""``diagnose``: run every framework, hop, runtime and toolchain once, and say which ones work.

A model of one layer goes through every hop and every runtime by the machinery that conversions
use. Nothing is installed.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..artifact import Artifact
from ..availability import Availability, packages_installed, version_of
from ..hop import HOPS, Hop, reference_of
from ..outcome import Outcome, Stage, Symptom
from ..sources import Source
from ..toolchain import Toolchain, environment_of, toolchains
from ..validators.running import Runner
from ..validators.runtime import RUNTIMES, Runtime
from ..worker import WORKER, Job, Limits, WorkFailure, WorkPool
from ..worker.failure import describe
from .execution import Execution, Reached
from .toy import (
    Say,
    ShelteredPool,
    Trial,
    example,
    failure_text,
    import_framework,
    last_lines,
    missing_toolchain,
    toy,
    try_artifact,
)

DEFAULT_LIMITS = Limits(seconds=120.0)

# neither is a failure of its own, and neither is a success
_NOT_RUN = (Symptom.UNAVAILABLE, Symptom.NOT_REACHED)
_DEADLY = (Symptom.CRASH, Symptom.TIMEOUT, Symptom.OUT_OF_MEMORY)


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What became of one thing that was tried.

    Attributes:
        kind: ``framework``, ``hop``, ``runtime`` or ``toolchain``.
        name: Its name.
        version: Its version, or that of the library that it uses; may be empty.
        symptom: How the trial ended.
        stage: Where a failure happened; ``None`` for what did not fail.
        reason: Why it does not work, or could not be tried.
        mend: The command that makes it work, if there is one.
        seconds: Time that the trial took.
    """

    kind: str
    name: str
    version: str = ""
    symptom: Symptom = Symptom.OK
    stage: Stage | None = None
    reason: str = ""
    mend: str = ""
    seconds: float = 0.0

    @property
    def works(self) -> bool:
        """Whether it ran, and gave the right result."""
        return self.symptom is Symptom.OK

    @property
    def broken(self) -> bool:
        """Whether it is there, and failed; what is not installed is not broken."""
        return not self.works and self.symptom not in _NOT_RUN

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis as plain JSON data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "version": self.version,
            "works": self.works,
            "symptom": self.symptom.value,
            "stage": self.stage.value if self.stage else None,
            "reason": self.reason,
            "mend": self.mend,
            "seconds": round(self.seconds, 3),
        }


def diagnose(say: Say = lambda text: None, *, limits: Limits = DEFAULT_LIMITS) -> list[Diagnosis]:
    """Run everything that is installed once; toolchains that are not installed stay so.

    Args:
        say: Called with lines of progress.
        limits: Time and memory of each piece of work.

    Returns:
        One diagnosis for each framework, hop, runtime and toolchain, in this order.
    """
    with (
        tempfile.TemporaryDirectory(prefix="driftbridge-doctor-") as scratch,
        ShelteredPool(limits=limits, progress=say) as pool,
    ):
        return _Examination(pool=pool, scratch=Path(scratch), say=say).all()


@dataclass(kw_only=True)
class _Examination:
    """One call of ``diagnose``: files by the hop that made them, and what runs of them gave."""

    pool: WorkPool
    scratch: Path
    say: Say
    products: dict[str, Artifact] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)

    def all(self) -> list[Diagnosis]:
        frameworks = [self._framework(name) for name in _distributions()]
        torch_works = any(each.name == "torch" and each.works for each in frameworks)
        # made in our own process only after a worker has shown that torch can be imported
        source = Source(text="a model of one layer", live=toy()) if torch_works else None
        execution = self._execution(source) if source else None
        made = [self._hop(hop, execution) for hop in HOPS]
        if source is not None:
            self._run_products(source)
        hops = [self._with_trials(each) for each in made]
        runtimes = [self._runtime(kind()) for kind in RUNTIMES]
        return [
            *(_with_users(each, [*hops, *runtimes]) for each in frameworks),
            *hops,
            *runtimes,
            *(self._toolchain(each) for each in toolchains()),
        ]

    def _framework(self, name: str) -> Diagnosis:
        version = version_of(name) or ""
        row = Diagnosis(kind="framework", name=name, version=version)
        installed = packages_installed([name])
        if not installed.available:
            return _unavailable(row, installed)
        self.say(f"framework {name}")
        function = reference_of(import_framework)
        started = time.perf_counter()
        try:
            self.pool.call(Job(place=WORKER, function=function, arguments={"distribution": name}))
        except WorkFailure as error:
            row = replace(
                row,
                symptom=error.symptom,
                stage=error.stage,
                reason=failure_text(error),
                mend=f"pip install --force-reinstall '{name}=={version}'",
            )
        return replace(row, seconds=time.perf_counter() - started)

    def _execution(self, source: Source) -> Execution:
        examples = self.scratch / "examples.npz"
        np.savez(examples, **example())  # type: ignore[arg-type]
        return Execution(
            source=source,
            pool=self.pool,
            scratch=self.scratch,
            examples=examples,
            say=self.say,
        )

    def _hop(self, hop: Hop, execution: Execution | None) -> Diagnosis:
        row = Diagnosis(kind="hop", name=hop.name)
        missing = _missing(hop)
        if missing is not None:
            return _unavailable(row, missing)
        if execution is None:
            reason = "PyTorch does not work here, and makes the model that it is tried on"
            return replace(row, symptom=Symptom.NOT_REACHED, reason=reason)
        try:
            reached = execution.reach(hop.target, hop.name)
        except Exception as error:  # noqa: BLE001 - a stage boundary: a hop may answer anything
            described = describe(error)
            symptom = Symptom(described["symptom"])
            return replace(row, symptom=symptom, stage=Stage.SERIALIZE, reason=described["message"])
        if reached.error is not None:
            return replace(row, symptom=Symptom.NOT_REACHED, reason=str(reached.error))
        outcome = _outcome_of(hop, reached)
        if not outcome.ok:
            return _failed(row, outcome)
        version = version_of(hop.packages[0]) or "" if hop.packages else ""
        if reached.made is not None and reached.made.artifact is not None:
            artifact = self.products[hop.name] = reached.made.artifact
            version = artifact.producer_version if artifact.producer == hop.name else version
        return replace(row, version=version, seconds=outcome.seconds)

    def _run_products(self, source: Source) -> None:
        runner = Runner(pool=self.pool, scratch=self.scratch, inputs=source.signature.inputs)
        for kind in RUNTIMES:
            runtime = kind()
            if _missing(runtime) is not None:
                continue
            for hop, artifact in self.products.items():
                if artifact.format not in runtime.formats:
                    continue
                self.say(f"runtime {runtime.name}: the file of {hop}")
                trial = try_artifact(runner, runtime, hop, artifact)
                self.trials.append(trial)
                if trial.outcome.symptom in _DEADLY:
                    break  # each more would cost another process, or the whole time limit

    def _runtime(self, runtime: Runtime) -> Diagnosis:
        """A runtime fails if it fails on a file that runs elsewhere, or on every file."""
        row = Diagnosis(kind="runtime", name=runtime.name)
        missing = _missing(runtime)
        if missing is not None:
            return _unavailable(row, missing)
        trials = [each for each in self.trials if each.outcome.subject == runtime.name]
        if not trials:
            formats = " or ".join(map(str, runtime.formats))
            reason = f"no {formats} file could be made here to try it on"
            return replace(row, symptom=Symptom.NOT_REACHED, reason=reason)
        good = [each for each in trials if each.outcome.ok]
        for each in trials:
            if not each.outcome.ok and (self._runs(each.hop) or not good):
                return _failed(row, each.outcome, f"on the file of {each.hop}: ")
        seconds = sum(each.outcome.seconds for each in trials)
        return replace(row, version=good[0].version, seconds=seconds)

    def _with_trials(self, row: Diagnosis) -> Diagnosis:
        """A hop fails too if its file runs nowhere, though a runtime runs other hops' files."""
        if not row.works or self._runs(row.name):
            return row
        working = {each.outcome.subject for each in self.trials if each.outcome.ok}
        for each in self.trials:
            if each.hop == row.name and each.outcome.subject in working:
                return _failed(row, each.outcome, f"its file in {each.outcome.subject}: ")
        return row

    def _runs(self, hop: str) -> bool:
        return any(each.outcome.ok for each in self.trials if each.hop == hop)

    def _toolchain(self, toolchain: Toolchain) -> Diagnosis:
        name = toolchain.name
        row = Diagnosis(kind="toolchain", name=name)
        missing = missing_toolchain(name)
        if missing is not None:
            return _unavailable(row, missing)
        self.say(f"toolchain {name}")
        started = time.perf_counter()
        symptom, reason = _check_packages(toolchain, self.pool.limits.seconds)
        row = replace(row, seconds=time.perf_counter() - started)
        if symptom is Symptom.OK:
            return row
        mend = f"driftbridge toolchain remove {name} && driftbridge toolchain install {name}"
        return replace(row, symptom=symptom, stage=Stage.LOAD, reason=reason, mend=mend)


def _distributions() -> list[str]:
    """Return every distribution that a hop or a runtime needs, in the order of their use."""
    needed = [name for hop in HOPS for name in hop.packages]
    needed += [name for runtime in RUNTIMES for name in runtime.packages]
    return list(dict.fromkeys(needed))


def _with_users(row: Diagnosis, others: Sequence[Diagnosis]) -> Diagnosis:
    """A framework that can be imported, and that nothing works with, does not work."""
    users = {("hop", hop.name) for hop in HOPS if row.name in hop.packages}
    users |= {("runtime", kind.name) for kind in RUNTIMES if row.name in kind.packages}
    tried = [
        each for each in others if (each.kind, each.name) in users and each.symptom not in _NOT_RUN
    ]
    if not row.works or not tried or any(each.works for each in tried):
        return row
    first = tried[0]
    reason = f"it can be imported, and nothing works with it; {first.name}: {first.reason}"
    return replace(row, symptom=first.symptom, stage=first.stage, reason=reason)


def _check_packages(toolchain: Toolchain, seconds: float) -> tuple[Symptom, str]:
    """Start a toolchain's Python, and let its pip tell whether all packages are there."""
    command = [str(toolchain.python), "-m", "pip", "check", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            command,
            env=environment_of(toolchain.name),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Symptom.TIMEOUT, f"pip check gave no result after {seconds:g} s"
    except OSError as error:
        return Symptom.ERROR, f"its Python cannot be started: {error}"
    if done.returncode < 0:
        return Symptom.CRASH, f"its Python was killed by signal {-done.returncode}"
    if done.returncode:
        return Symptom.ERROR, last_lines(done.stdout + done.stderr)
    return Symptom.OK, ""


def _missing(each: Hop | Runtime) -> Availability | None:
    """Return why a hop or a runtime is not installed, or ``None`` if it is."""
    availability = each.probe()
    return missing_toolchain(each.place) if availability.available else availability


def _unavailable(row: Diagnosis, availability: Availability) -> Diagnosis:
    return replace(
        row, symptom=Symptom.UNAVAILABLE, reason=availability.reason, mend=availability.mend
    )


def _failed(row: Diagnosis, outcome: Outcome, context: str = "") -> Diagnosis:
    return replace(
        row,
        symptom=outcome.symptom,
        stage=outcome.stage,
        reason=context + outcome.detail,
        seconds=outcome.seconds,
    )


def _outcome_of(hop: Hop, reached: Reached) -> Outcome:
    """Return a hop's success on one of the routes, or else what says most about its failure."""
    outcomes = [o for each in reached.tried for o in each.outcomes if o.subject == hop.name]
    return min(outcomes, key=lambda each: 0 if each.ok else 2 if each.symptom in _NOT_RUN else 1)
