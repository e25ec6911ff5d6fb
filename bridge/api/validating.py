"""``validate``: run a folder's artifacts again, or any artifact against its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..report import html_report, report_document
from ..samples import Samples
from ..worker import Limits, WorkPool
from .assessing import assess
from .attribution import attribute_failures
from .comparing import DriftOptions, compare
from .folder import MANIFEST, MEASURED, PAGE, REPORT, ResultFolder, read_json
from .foreign import validate_foreign
from .opening import SourceOptions
from .plug_ins import import_operators
from .stored import folder_artifacts, folder_samples, folder_source
from .verdicts import verdict_exit_code

if TYPE_CHECKING:
    import torch

Say = Callable[[str], None]

__all__ = ["Comparison", "validate"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What ``validate`` found.

    Attributes:
        report: The report; with a folder it is also in its ``report.json``.
        folder: The folder that was validated or written, if any.
    """

    report: Mapping[str, Any]
    folder: Path | None = None

    @property
    def exit_code(self) -> int:
        """0 if all is well, 1 if a comparison failed or could not be made."""
        return verdict_exit_code(self.report)


def validate(
    path: str | Path,
    *,
    against: torch.nn.Module | str | Path | None = None,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    samples: Iterable[Any] | None = None,
    source_options: SourceOptions | None = None,
    limits: Limits | None = None,
    drift: DriftOptions | None = None,
    latency: bool = True,
    blame: bool = True,
    say: Say = lambda text: None,
) -> Comparison:
    """Compare artifacts with their source.

    Args:
        path: A folder that ``convert`` made, or with ``against`` any artifact.
        against: The artifact's source: a module, a callable's name, or a model file.
        inputs: Example inputs of a module.
        out: Result folder for an artifact with ``against``: a copy of it, its source, the report
            and, where a layer fails, its reproduction. Nothing is kept without.
        samples: Real inputs to compare on, as for ``convert``.
        source_options: Weights, declared and real inputs; for a folder only the inputs count.
        limits: Time and memory of each piece of work.
        drift: How drift is judged.
        latency: Whether the artifacts are timed.
        blame: Whether a layer that introduces a failure is cut out and reproduced in the folder.
        say: Called with lines of progress.

    Returns:
        The report. A runtime that fails is an outcome in it, not an exception.

    Raises:
        UsageError: An artifact without ``against``, or ``out`` cannot hold the results.
        SourceError: The folder, the artifact or the source cannot be read.
        ConversionError: A live source cannot be captured.
        InputError: The inputs do not fit.
        StorageError: A folder cannot be written.
    """
    options = source_options or SourceOptions()
    drift = drift or DriftOptions()
    if samples is not None:
        options = replace(options, real=samples)
    report: Mapping[str, Any]
    with WorkPool(limits=limits or Limits(), progress=say) as pool:
        if against is not None:
            folder = None if out is None else Path(out)
            report, compared_on = validate_foreign(
                Path(path),
                against,
                inputs,
                options,
                pool,
                drift,
                out=folder,
                latency=latency,
                say=say,
            )
        else:
            folder = _result_folder(Path(path), out)
            report, compared_on = _validate_folder(
                folder, options, pool, drift, latency=latency, say=say
            )
    if blame and folder is not None:
        report = attribute_failures(folder, samples=compared_on, limits=limits, say=say)
    return Comparison(report=report, folder=folder)


def _result_folder(path: Path, out: str | Path | None) -> Path:
    if not (path / MANIFEST).is_file():
        raise UsageError(
            f"{path} is not a folder that driftbridge made (no {MANIFEST} in it)",
            hint="an artifact is validated with --against its source",
        )
    if out is not None:
        raise UsageError(
            f"the results in {path} are validated where they are",
            hint="--out belongs to an artifact with --against",
        )
    return path


def _validate_folder(
    path: Path,
    options: SourceOptions,
    pool: WorkPool,
    drift: DriftOptions,
    *,
    latency: bool,
    say: Say,
) -> tuple[Mapping[str, Any], Samples]:
    """Compare and write the report; return it, and on what inputs."""
    import_operators()
    with ResultFolder.open(path) as folder:
        manifest, before = folder.manifest(), read_json(path / REPORT)
        artifacts = folder_artifacts(path, manifest)
        source = folder_source(manifest, artifacts)
        assert source.artifact is not None
        samples = folder_samples(path, manifest, source.artifact, options, pool.limits.seconds)
        wanted = [each["format"] for each in before["conversions"] if each["ok"]]
        validation = compare(
            source=source,
            reference=None,
            artifacts=[artifacts[name] for name in wanted],
            samples=samples,
            pool=pool,
            scratch=folder.scratch,
            say=say,
            drift=drift,
            store=path / MEASURED,
        )
        assessment = assess(
            [artifacts[name] for name in wanted],
            source=source,
            samples=samples,
            spine=source.artifact.spine,
            pool=pool,
            scratch=folder.scratch,
            latency=latency,
            say=say,
        )
        report = report_document(
            source=before["source"],
            options={**before["options"], "drift": drift.to_json()},
            conversions=(),
            spine=source.artifact.spine,
            validation=validation,
            key=None,
            assessment=assessment,
        )
        report["conversions"] = before["conversions"]
        page = folder.new_text(PAGE, html_report(report))
        folder.publish({PAGE: page}, {REPORT: report})
        return report, samples
