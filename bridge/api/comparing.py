"""Comparing: the reference of a source, and its artifacts against it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..artifact import Artifact
from ..outcome import Outcome, Stage
from ..samples import Samples
from ..sources import Source
from ..validators.reference import (
    Reference,
    artifact_reference,
    live_reference,
    reference_runtime,
)
from ..validators.results import Validation
from ..validators.running import Runner
from ..validators.validation import Validator
from ..worker import WorkFailure, WorkPool
from ..worker.failure import describe, failure
from .execution import Reached


def compare(
    *,
    source: Source,
    reference: Reached | None,
    artifacts: Sequence[Artifact],
    samples: Samples,
    pool: WorkPool,
    scratch: Path,
    say: Callable[[str], None],
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
    return Validator(runner=runner, reference=truth, samples=samples, say=say).validate(artifacts)


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
        return artifact_reference(runner, source.artifact, samples)
    if captured is not None and captured.made is not None and captured.made.artifact is not None:
        return artifact_reference(runner, captured.made.artifact, samples)
    assert source.live is not None
    try:
        return live_reference(runner, source.live, first.signature, samples)
    except Exception as error:
        raise failure(describe(error), Stage.RUN) from error
