"""Everything that is asked of an artifact, as the report has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...artifact import Artifact, TensorSpec, size_of
from ...errors import BridgeError
from ...formats import TFLITE
from ...inspection import Facts, read_facts
from ...inspection.facts import DamagedError
from ...inspection.tflite_graph import read_graph
from ...layers import Spine
from ...samples import Samples
from ...worker import WorkPool
from ..running import artifact_inputs
from ..validation import runtimes_for
from .contract import Range, contract
from .gpu import gpu_support
from .measuring import MOST_SAMPLES, Measurement, measure
from .nnapi import NNAPI
from .operators import minimum_runtime, plain_rows, tflite_rows
from .origins import origins_of
from .tensors import notable_tensors
from .xnnpack import Delegation, delegation

NOT_RUN = "it was not run (--no-validate)"

_DECLARED = "min_runtime_version"


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What is known of the artifacts.

    Attributes:
        compatibility: Format → what of it runs where.
        contract: Format → its inputs and outputs.
    """

    compatibility: Mapping[str, Any] = field(default_factory=dict)
    contract: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Assessor:
    """Asks everything of artifacts of one source.

    Attributes:
        inputs: The source's inputs.
        samples: Inputs to run with, in the source's names.
        pool: Where native code runs; ``None`` to run none.
        scratch: Folder for arrays.
        latency: Whether to take times.
        spines: Layers of the source.
        declared: Input of the source → the range that the user declared.
        say: Called with lines of progress.
    """

    inputs: Sequence[TensorSpec]
    samples: Samples
    pool: WorkPool | None
    scratch: Path
    latency: bool = True
    spines: Sequence[Spine | None] = ()
    declared: Mapping[str, Range] = field(default_factory=dict)
    say: Callable[[str], None] = lambda text: None

    def assess(self, artifacts: Sequence[Artifact]) -> Assessment:
        """Ask everything of each artifact; what cannot be told is a reason."""
        compatibility, contracts = {}, {}
        for artifact in artifacts:
            name = artifact.format.name
            self.say(f"{name}: compatibility" + (", latency" if self._runs_timed else ""))
            measurement = self._measure(artifact)
            compatibility[name] = self._compatibility(artifact, measurement)
            contracts[name] = contract(
                artifact,
                inputs=self.inputs,
                samples=self.samples,
                declared=self.declared,
                measurement=measurement,
            )
        return Assessment(compatibility=compatibility, contract=contracts)

    @property
    def _runs_timed(self) -> bool:
        return self.latency and self.pool is not None

    def _measure(self, artifact: Artifact) -> Measurement:
        if self.pool is None:
            return Measurement(reason=NOT_RUN)
        runtimes = runtimes_for(artifact.format)
        if not runtimes:
            return Measurement(reason=f"no runtime here runs {artifact.format}")
        if len(artifact.signature.inputs) != len(self.inputs):
            return Measurement(reason="its inputs are not the source's")
        return measure(
            runtimes[0](),
            artifact,
            artifact_inputs(self.inputs, artifact.signature, self.samples.head(MOST_SAMPLES)),
            pool=self.pool,
            scratch=self.scratch / f"measure-{artifact.format}",
            latency=self.latency,
        )

    def _compatibility(self, artifact: Artifact, measurement: Measurement) -> dict[str, Any]:
        facts, reason = None, ""
        try:
            _, facts = read_facts(artifact.path)
        except BridgeError as error:
            reason = error.message
        rows = plain_rows(facts.operators) if facts else []
        document: dict[str, Any] = {
            "reason": reason or measurement.reason,
            "operators": [row.to_json() for row in rows],
            "min_runtime": None,
            "details": dict(facts.details) if facts else {},
            "xnnpack": None,
            "gpu": None,
            "nnapi": NNAPI,
            "tensors": {"dynamic": [], "rank_above_4": [], "int64": []},
            "memory": {
                "file": size_of(artifact.path),
                "weights": facts.parameter_bytes if facts else 0,
                "arena": measurement.arena,
                "peak": measurement.peak,
                "method": measurement.method,
            },
            "latency": measurement.latency,
        }
        if artifact.format == TFLITE and facts is not None:
            document |= self._tflite(artifact, facts)
        return document

    def _tflite(self, artifact: Artifact, facts: Facts) -> dict[str, Any]:
        try:
            graph = read_graph(artifact.path)
        except DamagedError as error:
            return {"reason": f"it is damaged: {error}"}
        origins = origins_of(artifact.layer_map, [artifact.spine, *self.spines], artifact.producer)
        rows = tflite_rows(graph)
        taken = (
            Delegation(version="", reason=NOT_RUN)
            if self.pool is None
            else delegation(artifact.path, origins.place(graph.main), self.pool)
        )
        declared = facts.details.get(_DECLARED)
        return {
            "operators": [row.to_json() for row in rows],
            "min_runtime": minimum_runtime(rows, declared, outside=graph.outside),
            "xnnpack": taken.rows(graph.main),
            "gpu": gpu_support(artifact.path, graph, origins, self.pool),
            "tensors": notable_tensors(graph),
        }
