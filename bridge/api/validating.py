"""``validate``: run a folder's artifacts again, or any artifact against its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..artifact import Artifact, Signature, TensorSpec
from ..errors import BridgeError, ConversionError, InputError, UsageError
from ..formats import EXPORTED, TORCH, format_named
from ..inspection import inspect
from ..report import html_report, report_document, stored_artifacts
from ..samples import Samples
from ..validators.alignment import align, can_align
from ..validators.quantization.recipe import recipe_of
from ..validators.running import Runner
from ..worker import Limits, WorkFailure, WorkPool
from .assessing import assess
from .attribution import attribute_failures
from .comparing import DriftOptions, compare
from .execution import Execution
from .folder import MANIFEST, MEASURED, PAGE, REPORT, ResultFolder, read_json
from .opening import SourceOptions, open_source
from .plug_ins import import_operators
from .reporting import read_report
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
        report: The report; of a folder it is also in its ``report.json``.
        folder: The folder, if one was validated.
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
        samples: Real inputs to compare on, as for ``convert``.
        source_options: Weights, declared and real inputs; for a folder only the inputs count.
        limits: Time and memory of each piece of work.
        drift: How drift is judged.
        latency: Whether the artifacts are timed.
        blame: Whether a layer of a folder's that introduces a failure is cut out and reproduced.
        say: Called with lines of progress.

    Returns:
        The report. A runtime that fails is an outcome in it, not an exception.

    Raises:
        UsageError: An artifact without ``against``.
        SourceError: The folder, the artifact or the source cannot be read.
        InputError: The inputs do not fit.
    """
    options = source_options or SourceOptions()
    drift = drift or DriftOptions()
    if samples is not None:
        options = replace(options, real=samples)
    with WorkPool(limits=limits or Limits(), progress=say) as pool:
        if against is not None:
            return _validate_artifact(
                Path(path), against, inputs, options, pool, drift, latency=latency, say=say
            )
        if not (Path(path) / MANIFEST).is_file():
            raise UsageError(
                f"{path} is not a folder that driftbridge made (no {MANIFEST} in it)",
                hint="an artifact is validated with --against its source",
            )
        compared_on = _validate_folder(Path(path), options, pool, drift, latency=latency, say=say)
    if blame:
        report = attribute_failures(Path(path), samples=compared_on, limits=limits, say=say)
    else:
        report = read_report(path)
    return Comparison(report=report, folder=Path(path))


def _validate_folder(
    path: Path,
    options: SourceOptions,
    pool: WorkPool,
    drift: DriftOptions,
    *,
    latency: bool,
    say: Say,
) -> Samples:
    """Compare, write the report, and return on what inputs."""
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
        return samples


def _validate_artifact(
    path: Path,
    against: torch.nn.Module | str | Path,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None,
    options: SourceOptions,
    pool: WorkPool,
    drift: DriftOptions,
    *,
    latency: bool,
    say: Say,
) -> Comparison:
    opened = open_source(against, inputs, options, pool.limits.seconds)
    with ResultFolder.temporary() as folder:
        execution = Execution(source=opened.source, pool=pool, scratch=folder.scratch, say=say)
        reference = execution.reach(EXPORTED) if opened.source.format == TORCH else None
        opened = opened.settled(reference, {}, pool.limits.seconds)
        origin = opened.source.artifact
        if reference is not None:
            if reference.made is None:
                failed = [o.detail for each in reference.tried for o in each.outcomes if o.detail]
                raise ConversionError(
                    "the source cannot be captured, so it is no reference: " + "; ".join(failed)
                )
            origin = reference.made.artifact
        assert origin is not None
        artifact = foreign_artifact(path, origin.signature)
        if can_align(artifact, origin):
            runner = Runner(pool=pool, scratch=folder.scratch, inputs=origin.signature.inputs)
            artifact = _aligned(artifact, origin, runner, opened.samples, say)
        validation = compare(
            source=opened.source,
            reference=reference,
            artifacts=[artifact],
            samples=opened.samples,
            pool=pool,
            scratch=folder.scratch,
            say=say,
            drift=drift,
        )
        assessment = assess(
            [artifact],
            source=opened.source,
            samples=opened.samples,
            declared=opened.options.declared,
            spine=origin.spine,
            pool=pool,
            scratch=folder.scratch,
            latency=latency,
            say=say,
        )
        report = report_document(
            source=opened.to_json(),
            options={"drift": drift.to_json()},
            conversions=(),
            spine=origin.spine,
            validation=validation,
            key=None,
            assessment=assessment,
        )
        return Comparison(report=report)


def _aligned(
    artifact: Artifact, origin: Artifact, runner: Runner, samples: Samples, say: Say
) -> Artifact:
    """Look for the layers; an artifact whose layers cannot be looked for says why."""
    say(f"{artifact.path.name}: looking for the layers of the source in it")
    try:
        return align(artifact, origin, runner=runner, samples=samples).applied(artifact)
    except (WorkFailure, BridgeError) as error:
        return replace(artifact, notes=(*artifact.notes, f"its layers were not found: {error}"))


def foreign_artifact(path: Path, source: Signature) -> Artifact:
    """Return a file as an artifact of a source.

    A file that lies in a result folder has its layer map from there; any other file has none.
    Inputs and outputs correspond to the source's by name if the names are the same, else by order;
    a tensor whose shape is the source's with the channels last is taken to be just that.

    Raises:
        SourceError: The file cannot be read.
        InputError: Its inputs or outputs cannot be the source's.
    """
    manifest = path.parent / MANIFEST
    if manifest.is_file():
        for stored in stored_artifacts(path.parent, read_json(manifest)):
            if stored.artifact.path.name == path.name:
                return stored.artifact
    found = inspect(path)
    signature = Signature(
        inputs=_corresponding("input", path, source.inputs, found.signature.inputs),
        outputs=_corresponding("output", path, source.outputs, found.signature.outputs),
    )
    artifact = Artifact(
        format=format_named(found.format.name),
        path=path,
        sha256=found.sha256,
        size=found.size,
        signature=signature,
        producer=found.producer,
        producer_version=found.producer_version,
    )
    return replace(artifact, precision=recipe_of(artifact).precision)


def _corresponding(
    kind: str, path: Path, source: tuple[TensorSpec, ...], its: tuple[TensorSpec, ...]
) -> tuple[TensorSpec, ...]:
    if not its:  # a format that stores no signature takes and gives what the source does
        return source
    if len(its) != len(source):
        raise InputError(
            f"{path} has {len(its)} {kind}(s), the source {len(source)}: "
            f"{', '.join(map(str, its))} and {', '.join(map(str, source))}"
        )
    by_name = {spec.name: spec for spec in its}
    if set(by_name) == {spec.name for spec in source}:
        its = tuple(by_name[spec.name] for spec in source)
    return tuple(_placed(kind, path, *pair) for pair in zip(source, its, strict=True))


def _placed(kind: str, path: Path, source: TensorSpec, its: TensorSpec) -> TensorSpec:
    rank = len(source.shape)
    if _same_sizes(source.shape, its.shape):
        return its
    if rank >= 3 and rank == len(its.shape):
        last = (0, *range(2, rank), 1)
        if _same_sizes(tuple(source.shape[axis] for axis in last), its.shape):
            return replace(its, permutation=last)
    raise InputError(f"{path}: its {kind} {its} cannot be the source's {source}")


def _same_sizes(first: tuple[int | None, ...], second: tuple[int | None, ...]) -> bool:
    return len(first) == len(second) and all(
        one is None or other is None or one == other
        for one, other in zip(first, second, strict=True)
    )
