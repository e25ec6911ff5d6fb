"""Running an artifact over samples where its runtime lives, and reading what came out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..artifact import Artifact, Signature, TensorSpec
from ..samples import Samples
from ..worker import WorkPool
from .runtime import RunResult, Runtime, read_results, runtime_job, store_inputs


@dataclass(frozen=True, kw_only=True)
class Run:
    """What running an artifact over K samples gave.

    Attributes:
        arrays: Outputs and inner tensors by the artifact's names, each ``[K, *shape]``.
        version: Version of the runtime.
        load_seconds: Time to load the artifact.
        seconds: Time of each sample.
    """

    arrays: RunResult
    version: str = ""
    load_seconds: float = 0.0
    seconds: tuple[float, ...] = ()

    def output(self, spec: TensorSpec) -> NDArray[Any]:
        """Return an output ``[K, *shape]`` in the source's axes."""
        return to_source_axes(self.arrays.outputs[spec.name], spec.permutation)

    def tap(self, tensor: str, permutation: tuple[int, ...] | None = None) -> NDArray[Any]:
        """Return an inner tensor ``[K, *shape]`` in the source's axes."""
        return to_source_axes(self.arrays.taps[tensor], permutation)


@dataclass(kw_only=True)
class Runner:
    """Runs artifacts on inputs that are given in the source's names, axes and types.

    Attributes:
        pool: Where the runtimes run.
        scratch: Folder for arrays; whoever owns it deletes it.
        inputs: The source's inputs, in order.
    """

    pool: WorkPool
    scratch: Path
    inputs: Sequence[TensorSpec]
    _runs: int = field(default=0)

    def run(
        self, runtime: Runtime, artifact: Artifact, samples: Samples, taps: Sequence[str] = ()
    ) -> Run:
        """Run every sample; ``WorkFailure`` if that fails in whatever way."""
        self._runs += 1
        inputs = self.scratch / f"inputs-{self._runs}"
        results = self.scratch / f"results-{self._runs}"
        store_inputs(inputs, self._inputs_for(artifact.signature, samples))
        facts = self.pool.call(
            runtime_job(
                runtime,
                artifact,
                inputs=inputs,
                samples=samples.count,
                results=results,
                taps=taps,
            )
        )
        shutil.rmtree(inputs)
        return Run(
            arrays=read_results(results),
            version=facts["version"],
            load_seconds=facts["load_seconds"],
            seconds=tuple(facts["seconds"]),
        )

    def _inputs_for(self, signature: Signature, samples: Samples) -> dict[str, NDArray[Any]]:
        return artifact_inputs(self.inputs, signature, samples)


def artifact_inputs(
    inputs: Sequence[TensorSpec], signature: Signature, samples: Samples
) -> dict[str, NDArray[Any]]:
    """Return samples in an artifact's names, axes and types.

    Args:
        inputs: The source's inputs; the artifact's correspond by their order.
        signature: The artifact's.
        samples: Inputs in the source's names, axes and types.
    """
    return {
        its.name: _for_artifact(samples.arrays[source.name], its)
        for source, its in zip(inputs, signature.inputs, strict=True)
    }


def to_source_axes(stacked: NDArray[Any], permutation: tuple[int, ...] | None) -> NDArray[Any]:
    """Undo ``artifact_axes = transpose(source_axes, permutation)`` on ``[K, *shape]``."""
    if permutation is None or stacked.ndim != len(permutation) + 1:
        return stacked
    return stacked.transpose(0, *(int(axis) + 1 for axis in np.argsort(permutation)))


def _for_artifact(stacked: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    if spec.permutation is not None:
        stacked = stacked.transpose(0, *(axis + 1 for axis in spec.permutation))
    return np.ascontiguousarray(stacked.astype(spec.dtype, copy=False))
