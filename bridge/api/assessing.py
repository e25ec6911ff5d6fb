"""Assessing: what of the artifacts of a source runs where, and their contracts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..artifact import Artifact
from ..layers import Spine
from ..samples import InputSpec, Samples
from ..sources import Source
from ..validators.compatibility.assessment import Assessment, Assessor
from ..worker import WorkPool


def assess(
    artifacts: Sequence[Artifact],
    *,
    source: Source,
    samples: Samples,
    declared: Sequence[InputSpec] = (),
    spine: Spine | None,
    pool: WorkPool | None,
    scratch: Path,
    latency: bool,
    say: Callable[[str], None],
) -> Assessment:
    """Ask everything of artifacts that is asked beside drift.

    Args:
        artifacts: The artifacts; the files are where their paths say.
        source: What they were made from.
        samples: Inputs in the source's names, axes and types.
        declared: Inputs as the user declared them.
        spine: The layers of the source.
        pool: Where native code runs; ``None`` to run none.
        scratch: Folder for arrays.
        latency: Whether to take times.
        say: Called with lines of progress.
    """
    inputs = source.signature.inputs
    ranges = {}
    for place, each in enumerate(declared):
        name = each.name or (inputs[place].name if place < len(inputs) else "")
        if each.low is not None and each.high is not None:
            ranges[name] = (each.low, each.high)
    return Assessor(
        inputs=inputs,
        samples=samples,
        pool=pool,
        scratch=scratch,
        latency=latency,
        spines=[spine],
        declared=ranges,
        say=say,
    ).assess(artifacts)
