"""``convert``: one source to every format, validated, with a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifact import Artifact, data_file
from ..errors import UsageError
from ..formats import EXPORTED, FORMATS, TFLITE, TORCH, Format, format_named
from ..layers import Spine
from ..outcome import Outcome
from ..report import html_report, manifest_document, report_document, stored_artifacts
from ..report.manifest import ManifestEntry
from ..validators.compatibility.assessment import Assessment
from ..worker import Limits, WorkPool
from .assessing import assess
from .attribution import attribute_failures
from .comparing import DriftOptions, compare
from .execution import Execution, Made, Reached
from .folder import EXAMPLES, MANIFEST, MEASURED, PAGE, REPORT, ResultFolder, read_json
from .opening import Opened, SourceOptions, open_source
from .recorded import recorded_inputs
from .reuse import array_digest, key_of, own_code
from .verdicts import verdict_exit_code

if TYPE_CHECKING:
    import torch

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What became of one target format.

    Attributes:
        format: Its name.
        routes: Name and outcomes of each route that was tried, in order.
        artifact: The result in its folder; ``None`` if no route succeeded.
        seconds: Time of all the hops of the route that succeeded.
        reused: Whether an earlier run's result was taken.
        error: Why no route could be tried, if that is so.
    """

    format: str
    routes: tuple[tuple[str, tuple[Outcome, ...]], ...]
    artifact: Artifact | None
    seconds: float = 0.0
    reused: bool = False
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What ``convert`` made.

    Attributes:
        folder: Where everything lies.
        artifacts: Format name → artifact, for the targets that were reached.
        conversions: One for each target, in the order asked for.
        report: The content of ``report.json``.
        stale: Files of an earlier run in the folder that this run could not make again.
        reused: Whether all of it is an earlier run's.
    """

    folder: Path
    artifacts: Mapping[str, Artifact]
    conversions: tuple[Conversion, ...]
    report: Mapping[str, Any]
    stale: tuple[str, ...] = ()
    reused: bool = False

    @property
    def outcomes(self) -> list[Outcome]:
        """The outcomes of all hops of all routes, in order."""
        return [o for each in self.conversions for _, outcomes in each.routes for o in outcomes]

    @property
    def ok(self) -> bool:
        """Whether every target was reached and, if validated, none failed."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """0 if all is well, 1 if a comparison failed, 2 if a conversion did."""
        if any(each.artifact is None for each in self.conversions):
            return 2
        return verdict_exit_code(self.report)


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """How a conversion is done.

    Attributes:
        route: Only routes of this name, or through the hop of this name.
        hop_options: Options of hops, such as ``opset``.
        limits: Time and memory of each piece of work.
        drift: How drift is judged.
        latency: Whether the artifacts are timed, if they are run at all.
        blame: Whether a layer that introduces a failure is cut out and reproduced.
    """

    route: str | None = None
    hop_options: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    drift: DriftOptions = field(default_factory=DriftOptions)
    latency: bool = True
    blame: bool = True


def convert(
    model: torch.nn.Module | str | Path,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None = None,
    *,
    to: Sequence[str] | str,
    out: str | Path = "out",
    samples: Iterable[Any] | None = None,
    source_options: SourceOptions | None = None,
    options: ConvertOptions | None = None,
    validate: bool = True,
    say: Say = lambda text: None,
) -> Result:
    """Convert a model to one or more formats, and compare each result with the source.

    Args:
        model: A module, ``package.module:callable``, ``file.py:callable``, or the path of a
            ``.pt2``, TorchScript or ONNX file.
        inputs: Example inputs of a module: a tuple of positional ones, or a mapping by name.
        to: Names of formats: ``"tflite"``, ``["onnx", "tflite"]``.
        out: Folder for the results. What is in it stays as it was until the new results are
            complete, and if there are none.
        samples: Real inputs to compare on: an iterable of arrays or tensors, of tuples in the
            order of the inputs, or of mappings by name.
        source_options: Weights, declared and real inputs.
        options: Route, options of the hops, limits.
        validate: Whether the artifacts are run and compared.
        say: Called with lines of progress.

    Returns:
        The artifacts, the outcomes of all hops, and the report. A target that could not be reached
        is an outcome, not an exception.

    Raises:
        UsageError: A format or the value of an option is unknown, or an input does not fit.
        SourceError: The model cannot be opened.
        StorageError: The folder cannot be written.
    """
    formats = _formats([to] if isinstance(to, str) else to)
    _refuse_file_name(Path(out))
    options = options or ConvertOptions()
    source_options = source_options or SourceOptions()
    if samples is not None:
        source_options = replace(source_options, real=samples)
    opened = open_source(model, inputs, source_options, options.limits.seconds, compared=validate)
    if opened.source.format in formats:
        raise UsageError(f"the source is {opened.source.format} already")
    with (
        ResultFolder.open(Path(out)) as folder,
        WorkPool(limits=options.limits, progress=say) as pool,
    ):
        result = _Run(
            opened=opened,
            formats=formats,
            folder=folder,
            pool=pool,
            options=options,
            validate=validate,
            say=say,
        ).run()
    # without an artifact nothing was published: the folder is an earlier run's
    if options.blame and validate and result.artifacts and not result.reused:
        report = attribute_failures(result.folder, limits=options.limits, say=say)
        result = replace(result, report=report)
    return result


def _formats(names: Sequence[str]) -> list[Format]:
    formats = [format_named(name) for name in dict.fromkeys(names)]
    if not formats:
        raise UsageError("no target format was given", hint="--to tflite,onnx")
    if TORCH in formats:
        raise UsageError("torch is a source, not a target: a live module has no file")
    return formats


def _refuse_file_name(out: Path) -> None:
    """Refuse ``model.tflite`` for the folder of the results, unless there is such a folder."""
    if out.suffix in {each.suffix for each in FORMATS.values() if each.suffix} and not out.is_dir():
        alone = "; bridge.to_tflite makes the file alone" if out.suffix == TFLITE.suffix else ""
        raise UsageError(
            f"--out {out} is the name of a file, and the results are a folder",
            hint=f"--out {out.with_suffix('')} makes model{out.suffix} in it{alone}",
        )


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One call of ``convert``."""

    opened: Opened
    formats: Sequence[Format]
    folder: ResultFolder
    pool: WorkPool
    options: ConvertOptions
    validate: bool
    say: Say

    def run(self) -> Result:
        manifest = self.folder.manifest()
        execution = self._execution(manifest)
        for each in self.formats:
            execution.preload(each, self.options.route)
        reference = self._reference(execution)
        if not self.validate:
            return self._finish(execution, manifest, reference)
        opened = self.opened.settled(reference, manifest, self.options.limits.seconds)
        return replace(self, opened=opened)._finish(execution, manifest, reference)

    def _finish(
        self, execution: Execution, manifest: Mapping[str, Any], reference: Reached | None
    ) -> Result:
        reached = [execution.reach(each, self.options.route) for each in self.formats]
        key = self._report_key(reached, reference)
        earlier = self._earlier_report(key)
        if earlier is not None and all(each.made and each.made.reused for each in reached):
            if not (self.folder.path / PAGE).is_file():
                self.folder.publish({PAGE: self.folder.new_text(PAGE, html_report(earlier))}, {})
            return self._result(reached, earlier, stale=(), reused=True)
        validation = None
        made = [each.made.artifact for each in reached if each.made]
        artifacts = [each for each in made if each is not None]
        if self.validate:
            validation = compare(
                source=self.opened.source,
                reference=reference,
                artifacts=artifacts,
                samples=self.opened.samples,
                pool=self.pool,
                scratch=self.folder.scratch,
                say=self.say,
                drift=self.options.drift,
                store=self.folder.path / MEASURED,
            )
        conversions = [self._conversion(each) for each in reached]
        report = report_document(
            source=self.opened.to_json(),
            options={**self._options(), **recorded_inputs(self.opened.options)},
            conversions=conversions,
            spine=execution.spine,
            validation=validation,
            key=key,
            assessment=self._assess(artifacts, execution.spine),
        )
        stale: tuple[str, ...] = ()
        if not manifest or any(each.artifact for each in conversions):
            stale = self._publish(execution, manifest, report, conversions)
        return self._result(reached, report, stale=stale, reused=False)

    def _assess(self, artifacts: Sequence[Artifact], spine: Spine | None) -> Assessment:
        return assess(
            artifacts,
            source=self.opened.source,
            samples=self.opened.samples,
            declared=self.opened.options.declared,
            spine=spine,
            pool=self.pool if self.validate else None,
            scratch=self.folder.scratch,
            latency=self.options.latency,
            say=self.say,
        )

    def _execution(self, manifest: Mapping[str, Any]) -> Execution:
        examples = self.folder.scratch / EXAMPLES
        np.savez(examples, **self.opened.samples.first())  # type: ignore[arg-type]
        return Execution(
            source=self.opened.source,
            key=lambda: self.opened.key,
            pool=self.pool,
            scratch=self.folder.scratch,
            options=self.options.hop_options,
            stored={
                entry.key: entry
                for entry in stored_artifacts(self.folder.path, manifest)
                if entry.key is not None
            },
            examples=examples,
            say=self.say,
        )

    def _reference(self, execution: Execution) -> Reached | None:
        """Capture a live module first: its graph is what everything is compared with."""
        if self.opened.source.format != TORCH:
            return None
        return execution.reach(EXPORTED)

    def _options(self) -> dict[str, Any]:
        options = self.options
        drift = options.drift.to_json()
        return {
            "route": options.route,
            "validate": self.validate,
            "drift": drift,
            "latency": options.latency,
            **options.hop_options,
        }

    def _report_key(self, reached: Sequence[Reached], reference: Reached | None) -> str | None:
        keys = [each.made.key if each.made else None for each in reached]
        if None in keys or self.opened.key is None:
            return None
        samples = self.opened.samples
        content = [
            (name, stacked.shape, stacked.dtype.name, array_digest(stacked))
            for name, stacked in samples.arrays.items()
        ]
        labels = None if samples.labels is None else array_digest(samples.labels)
        referred = reference.made.key if reference and reference.made else None
        return key_of(keys, referred, content, labels, samples.origin, self._options(), own_code())

    def _earlier_report(self, key: str | None) -> dict[str, Any] | None:
        file = self.folder.path / REPORT
        if key is None or not file.is_file():
            return None
        report = read_json(file)
        return report if report.get("key") == key else None

    def _conversion(self, reached: Reached) -> Conversion:
        made = reached.made
        return Conversion(
            format=reached.target.name,
            routes=tuple((each.route.name, each.outcomes) for each in reached.tried),
            artifact=self._published(made) if made else None,
            seconds=made.seconds if made else 0.0,
            reused=bool(made and made.reused),
            error=str(reached.error) if reached.error else "",
        )

    def _published(self, made: Made) -> Artifact:
        assert made.artifact is not None
        return replace(made.artifact, path=self.folder.path / made.artifact.format.filename)

    def _publish(
        self,
        execution: Execution,
        before: Mapping[str, Any],
        report: Mapping[str, Any],
        conversions: Sequence[Conversion],
    ) -> tuple[str, ...]:
        entries = [
            ManifestEntry(artifact=self._published(made), key=made.key, seconds=made.seconds)
            for made in execution.final.values()
        ]
        new = {entry.artifact.path.name for entry in entries}
        same_source = bool(before) and before["source"]["key"] == self.opened.key is not None
        kept = [each for each in before.get("artifacts", ()) if each["path"] not in new]
        left = {*before.get("stale", ())} - new
        if not same_source:
            left |= {each["path"] for each in kept}
        manifest = manifest_document(
            source=self.opened.to_json(),
            options=self._options(),
            entries=entries,
            outcomes=[o for each in conversions for _, outcomes in each.routes for o in outcomes],
            stale=sorted(name for name in left if (self.folder.path / name).exists()),
            domain=self.opened.domain_json() if self.validate else None,
        )
        if same_source:
            manifest["artifacts"] += kept
        made = [each.artifact for each in execution.final.values() if not each.reused]
        files = {
            path.name: path
            for artifact in made
            if artifact is not None
            for path in (artifact.path, data_file(artifact.path))
            if path.exists()
        }
        files[EXAMPLES] = self.folder.scratch / EXAMPLES
        files[PAGE] = self.folder.new_text(PAGE, html_report(report))
        self.folder.publish(files, {REPORT: report, MANIFEST: manifest})
        return tuple(manifest["stale"])

    def _result(
        self,
        reached: Sequence[Reached],
        report: Mapping[str, Any],
        *,
        stale: tuple[str, ...],
        reused: bool,
    ) -> Result:
        conversions = tuple(self._conversion(each) for each in reached)
        return Result(
            folder=self.folder.path,
            artifacts={e.format: e.artifact for e in conversions if e.artifact is not None},
            conversions=conversions,
            report=report,
            stale=stale,
            reused=reused,
        )
