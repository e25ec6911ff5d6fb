"""Comparing: the reference of a source, and its artifacts against it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artifact import Artifact
from ..errors import UsageError
from ..outcome import Outcome, Stage
from ..samples import Samples
from ..sources import Source
from ..validators.drift.plan import DEFAULT_BYTES
from ..validators.drift.records import RecordStore
from ..validators.reference import (
    Reference,
    artifact_reference,
    live_reference,
    reference_runtime,
)
from ..validators.results import Validation
from ..validators.running import Runner
from ..validators.thresholds import ThresholdTable, read_thresholds
from ..validators.validation import Validator
from ..worker import WorkFailure, WorkPool
from ..worker.failure import describe, failure
from .execution import Reached


@dataclass(frozen=True, kw_only=True)
class DriftOptions:
    """How drift is judged.

    Attributes:
        thresholds: TOML file with limits other than driftbridge's own, each with its reason.
        fail_on: The least verdict that makes the exit code 1: ``fail`` or ``warn``.
    """

    thresholds: Path | None = None
    fail_on: str = "fail"

    def __post_init__(self) -> None:
        if self.fail_on not in ("warn", "fail"):
            raise UsageError(f"it cannot fail on {self.fail_on!r}", hint="warn, fail")

    def table(self) -> ThresholdTable:
        """Read the limits; ``UsageError`` if one has no reason."""
        return ThresholdTable() if self.thresholds is None else read_thresholds(self.thresholds)

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON data, with the limits and not the file."""
        return {"thresholds": self.table().to_json()["overrides"], "fail_on": self.fail_on}


def compare(
    *,
    source: Source,
    reference: Reached | None,
    artifacts: Sequence[Artifact],
    samples: Samples,
    pool: WorkPool,
    scratch: Path,
    say: Callable[[str], None],
    drift: DriftOptions | None = None,
    store: Path | None = None,
) -> Validation | None:
    """Run a source's reference and compare artifacts with it.

    Args:
        source: What the artifacts were made from.
        reference: The capture of a live source.
        artifacts: What to compare.
        samples: Inputs in the source's names, axes and types.
        pool: Where the runtimes run.
        scratch: Folder for arrays.
        say: Called with lines of progress.
        drift: How drift is judged.
        store: Folder for what is measured on the way, from which an interrupted run goes on.

    Returns:
        The comparison; ``None`` if there is nothing to compare. If the reference does not run,
        its outcome says so and there are no rows.
    """
    if not artifacts:
        return None
    runner = Runner(pool=pool, scratch=scratch, inputs=source.signature.inputs)
    try:
        truth = _reference(runner, source, reference, artifacts[0], samples, say)
    except WorkFailure as error:
        name = _reference_name(source)
        return Validation(
            reference=name,
            reference_outcome=Outcome(
                subject=name,
                target=source.format.name,
                stage=error.stage,
                symptom=error.symptom,
                detail=str(error),
            ),
            origin=samples.origin,
            samples=samples.count,
            how=samples.how,
        )
    drift = drift or DriftOptions()
    validation = Validator(
        runner=runner,
        reference=truth,
        samples=samples,
        thresholds=drift.table(),
        memory=pool.limits.memory or DEFAULT_BYTES,
        store=RecordStore(folder=store),
        say=say,
    ).validate(artifacts)
    if store is not None:  # the report has it all now
        shutil.rmtree(store, ignore_errors=True)
    return validation


def _reference_name(source: Source) -> str:
    """Name of the runtime that should have made the truth of a source."""
    return "eager-float64" if source.artifact is None else reference_runtime(source.artifact.format)


def _reference(
    runner: Runner,
    source: Source,
    captured: Reached | None,
    first: Artifact,
    samples: Samples,
    say: Callable[[str], None],
) -> Reference:
    say(f"reference: {samples.count} samples")
    if source.artifact is not None:
        return artifact_reference(runner, source.artifact, samples, say)
    if captured is not None and captured.made is not None and captured.made.artifact is not None:
        return artifact_reference(runner, captured.made.artifact, samples, say)
    assert source.live is not None
    try:
        return live_reference(runner, source.live, first.signature, samples)
    except Exception as error:
        raise failure(describe(error), Stage.RUN) from error
