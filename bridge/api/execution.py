"""Execution: the hops of the planned routes, each run once, with the next best route on failure."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..artifact import Artifact, Signature, digest, size_of
from ..errors import BridgeError, UnavailableError, UsageError
from ..formats import TORCH, Format
from ..hop import HOPS, Hop, reference_of, run_hop
from ..layers import LayerMap, Spine
from ..outcome import Outcome, Stage, Symptom
from ..planning import Route, plan, routes
from ..report.manifest import ManifestEntry
from ..sources import Source
from ..worker import IN_PROCESS, Job, WorkFailure, WorkPool
from .folder import storage_errors
from .reuse import hop_key


@dataclass(frozen=True, kw_only=True)
class Made:
    """A model in one format during a run.

    Attributes:
        artifact: The file; ``None`` for the live module that everything begins with.
        key: Key of its content; ``None`` if it cannot be told, and nothing is reused.
        live: The object that the file was written from, in this process.
        seconds: Time of all hops up to here.
        reused: Whether the file is an earlier run's.
    """

    artifact: Artifact | None
    key: str | None
    live: Any = None
    seconds: float = 0.0
    reused: bool = False


@dataclass(frozen=True, kw_only=True)
class TriedRoute:
    """One route that was tried.

    Attributes:
        route: The route.
        outcomes: One for each of its hops that was entered, and ``NOT_REACHED`` for the others.
    """

    route: Route
    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """Whether the target was reached: every hop that is not a refinement succeeded."""
        return all(
            outcome.ok or hop.refines
            for hop, outcome in zip(self.route.hops, self.outcomes, strict=True)
        )


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What became of one target.

    Attributes:
        target: The format that was asked for.
        made: The result, if a route succeeded.
        tried: The routes in the order in which they were tried.
        error: Why none could be tried, if that is so.
    """

    target: Format
    made: Made | None
    tried: tuple[TriedRoute, ...]
    error: BridgeError | None = None


@dataclass(kw_only=True)
class Execution:
    """One run of conversions from one source.

    Attributes:
        source: Where the routes begin.
        key: Gives the key of the source; ``None`` if its content cannot be told. It is asked for
            late, as it may have to wait.
        pool: Where the hops run.
        scratch: Folder for new files.
        options: The user's options, by name.
        stored: Key → artifact of an earlier run, whose file is still as it was.
        examples: npz file with one sample of the inputs; ``None`` if there are none.
        say: Called with lines of progress.
        final: Format → what the successful routes made of it, to be published.
        spine: The source's layers, once they are known.
    """

    source: Source
    key: Callable[[], str | None] = lambda: None
    pool: WorkPool
    scratch: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    stored: Mapping[str, ManifestEntry] = field(default_factory=dict)
    examples: Path | None = None
    say: Callable[[str], None] = lambda text: None
    final: dict[Format, Made] = field(default_factory=dict)
    spine: Spine | None = None
    _done: dict[tuple[str, int], Made | Outcome] = field(default_factory=dict)

    def preload(self, target: Format, route: str | None = None) -> None:
        """Let the workers of a target's best route start while this process captures the model."""
        for each in routes(self.source.format, target, name=route)[:1]:
            _, _, begin = self._resume(each)
            for hop in each.hops[begin:]:
                self.pool.preload(hop.place, hop.imports)

    def reach(self, target: Format, route: str | None = None) -> Reached:
        """Make the artifact of a target by the best route that works.

        Args:
            target: Format to make.
            route: Only routes of this name, or through the hop of this name.

        Raises:
            UsageError: An option has a value that a hop does not know.
        """
        tried: list[TriedRoute] = []
        try:
            plan(self.source.format, target, route)
        except UnavailableError as error:
            return Reached(target=target, made=None, tried=(), error=error)
        for each in routes(self.source.format, target, name=route):
            ignored = self._ignored(each)
            if ignored:
                tried.append(TriedRoute(route=each, outcomes=(_ignoring(each, ignored),)))
                continue
            made, attempt = self._follow(each)
            tried.append(attempt)
            if made is not None:
                return Reached(target=target, made=made, tried=tuple(tried))
        return Reached(target=target, made=None, tried=tuple(tried))

    def follow(self, route: Route) -> TriedRoute:
        """Take one route as far as it goes, and no other if it fails."""
        return self._follow(route)[1]

    def _ignored(self, route: Route) -> list[str]:
        """Options that the user set, that a hop to this format takes, and that no hop here does."""
        asked = {name for name, value in self.options.items() if value is not None}
        known = {name for hop in HOPS if hop.target == route.target for name in hop.options}
        return sorted(asked & known - {name for hop in route.hops for name in hop.options})

    def _start(self) -> Made:
        artifact = self.source.artifact
        if artifact is not None and self.spine is None:
            self.spine = artifact.spine
        key = self.key() if artifact is not None else None
        return Made(artifact=artifact, key=key, live=self.source.live)

    def _follow(self, route: Route) -> tuple[Made | None, TriedRoute]:
        made, outcomes, begin = self._resume(route)
        passed: list[Made] = []
        for index in range(begin, len(route.hops)):
            hop = route.hops[index]
            result = self._step(hop, made)
            if isinstance(result, Outcome):
                outcomes.append(result)
                if hop.refines:
                    continue
                outcomes += [_not_reached(later, result) for later in route.hops[index + 1 :]]
                return None, TriedRoute(route=route, outcomes=tuple(outcomes))
            outcomes.append(_success(hop, result, made))
            made = result
            passed.append(made)
        for each in passed:
            if each.artifact is not None:
                self.final[each.artifact.format] = each
        return made, TriedRoute(route=route, outcomes=tuple(outcomes))

    def _resume(self, route: Route) -> tuple[Made, list[Outcome], int]:
        """Begin after the last hop of the route whose result an earlier run left."""
        made = self._start()
        source = self.key() if self.stored else None
        if source is None:
            return made, [], 0
        keys = [source]
        for hop in route.hops:
            keys.append(hop_key(keys[-1], hop, self._options_of(hop)))
        last = max(
            (index for index, key in enumerate(keys[1:], 1) if key in self.stored), default=0
        )
        if not last:
            return made, [], 0
        for key in keys[1 : last + 1]:
            if key in self.stored:
                made = _reused(self.stored[key])
                self.spine = self.stored[key].artifact.spine or self.spine
                self.final[self.stored[key].artifact.format] = made
        outcomes = [
            Outcome(
                subject=hop.name,
                target=hop.target.name,
                stage=Stage.SERIALIZE,
                symptom=Symptom.OK,
                reused=True,
            )
            for hop in route.hops[:last]
        ]
        return made, outcomes, last

    def _step(self, hop: Hop, parent: Made) -> Made | Outcome:
        """Run a hop on a parent, or give the result of having done so.

        Raises:
            UsageError: An option has a value that the hop does not know.
        """
        known = (hop.name, id(parent.artifact))
        if known not in self._done:
            started = time.perf_counter()
            try:
                if hop.place != IN_PROCESS and not self._stored(hop, parent):
                    self.pool.ready(hop.place, Stage.LOAD)
                started = time.perf_counter()  # making a toolchain is no part of a conversion
                self._done[known] = self._run(hop, parent, started)
            except WorkFailure as error:
                if error.usage:
                    raise UsageError(error.message, where=error.where, hint=error.hint) from error
                self._done[known] = Outcome(
                    subject=hop.name,
                    target=hop.target.name,
                    stage=error.stage,
                    symptom=error.symptom,
                    detail=str(error),
                    seconds=time.perf_counter() - started,
                )
        return self._done[known]

    def _run(self, hop: Hop, parent: Made, started: float) -> Made:
        options = self._options_of(hop)
        stored = self._stored(hop, parent)
        if stored is not None:
            return _reused(stored)
        self.say(f"{hop.title}: {hop.source} → {hop.target}")
        with storage_errors(self.scratch):
            folder = Path(tempfile.mkdtemp(prefix=f"{hop.name}-", dir=self.scratch))
        out = folder / hop.target.filename
        answer = self.pool.call(
            Job(
                place=hop.place,
                function=reference_of(run_hop),
                arguments={
                    "convert": reference_of(hop.convert),
                    "source": parent.artifact.to_json() if parent.artifact else None,
                    "out": str(out),
                    "options": options,
                    "spine": self.spine.to_json() if self.spine else None,
                    "examples": str(self.examples) if self.examples else None,
                },
                live=parent.live,
                first_stage=Stage.CAPTURE if hop.source == TORCH else Stage.LOAD,
            )
        )
        if not out.exists():
            raise WorkFailure(
                f"{hop.name} ended without an error and without a result",
                stage=Stage.SERIALIZE,
                symptom=Symptom.ERROR,
            )
        spine = Spine.from_json(answer["spine"]) if answer["spine"] else None
        self.spine = spine or self.spine
        artifact = Artifact(
            format=hop.target,
            path=out,
            sha256=answer["sha256"] or digest(out),
            size=size_of(out),
            signature=Signature.from_json(answer["signature"]),
            producer=hop.name,
            producer_version=answer["producer_version"],
            parent=parent.artifact.sha256 if parent.artifact else "",
            layer_map=LayerMap.from_json(answer["layer_map"]).resolved(),
            spine=spine,
            notes=tuple(answer["notes"]),
            precision=answer["precision"],
        )
        return Made(
            artifact=artifact,
            key=self._key(hop, parent),
            live=answer.get("live") if hop.place == IN_PROCESS else None,
            seconds=parent.seconds + time.perf_counter() - started,
        )

    def _key(self, hop: Hop, parent: Made) -> str | None:
        key = parent.key if parent.artifact is not None else self.key()
        return hop_key(key, hop, self._options_of(hop)) if key else None

    def _stored(self, hop: Hop, parent: Made) -> ManifestEntry | None:
        key = self._key(hop, parent) if self.stored else None
        return self.stored.get(key) if key is not None else None

    def _options_of(self, hop: Hop) -> dict[str, Any]:
        return {
            name: self.options[name] for name in hop.options if self.options.get(name) is not None
        }


def _reused(entry: ManifestEntry) -> Made:
    return Made(artifact=entry.artifact, key=entry.key, seconds=entry.seconds, reused=True)


def _success(hop: Hop, made: Made, parent: Made) -> Outcome:
    return Outcome(
        subject=hop.name,
        target=hop.target.name,
        stage=Stage.SERIALIZE,
        symptom=Symptom.OK,
        seconds=0.0 if made.reused else made.seconds - parent.seconds,
        reused=made.reused,
    )


def _ignoring(route: Route, options: list[str]) -> Outcome:
    hop = route.hops[-1]
    return Outcome(
        subject=hop.name,
        target=hop.target.name,
        stage=Stage.LOWER,
        symptom=Symptom.UNSUPPORTED,
        detail=f"it does not take {', '.join('--' + each.replace('_', '-') for each in options)}",
    )


def _not_reached(hop: Hop, cause: Outcome) -> Outcome:
    return Outcome(
        subject=hop.name,
        target=hop.target.name,
        stage=cause.stage,
        symptom=Symptom.NOT_REACHED,
        detail=f"{cause.subject} did not succeed",
    )
