"""Running an artifact over samples where its runtime lives, and reading what came out."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..artifact import Artifact, Quantization, Signature, TensorSpec
from ..samples import Samples
from ..worker import WorkPool
from .quantization.affine import dequantized, quantized
from .quantization.recipe import recipe_of
from .runtime import RunResult, Runtime, fed_name, read_results, runtime_job, store_inputs


@dataclass(frozen=True, kw_only=True)
class Run:
    """What running an artifact over K samples gave.

    Attributes:
        arrays: Outputs and inner tensors by the artifact's names, each ``[K, *shape]``, as they
            are stored.
        quantization: What the integers of inner tensors stand for, by name.
        folder: Where they lie on disk.
        version: Version of the runtime.
        load_seconds: Time to load the artifact.
        seconds: Time of each sample.
        deterministic: Whether the first sample gave the same bits twice; ``None`` if it ran once.
    """

    arrays: RunResult
    quantization: Mapping[str, Quantization] = field(default_factory=dict)
    folder: Path | None = None
    version: str = ""
    load_seconds: float = 0.0
    seconds: tuple[float, ...] = ()
    deterministic: bool | None = None

    def output(self, spec: TensorSpec) -> NDArray[Any]:
        """Return an output ``[K, *shape]`` in the source's axes; integers become real values."""
        real = dequantized(self.arrays.outputs[spec.name], spec.quantization)
        return to_source_axes(real, spec.permutation)

    def discard(self) -> None:
        """Free the disk; the arrays cannot be read any more."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def tap(self, tensor: str, permutation: tuple[int, ...] | None = None) -> NDArray[Any]:
        """Return an inner tensor ``[K, *shape]`` in the source's axes; integers become real."""
        real = dequantized(self.arrays.taps[tensor], self.quantization.get(tensor))
        return to_source_axes(real, permutation)


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
    _runs: Iterator[int] = field(default_factory=itertools.count)

    def run(
        self,
        runtime: Runtime,
        artifact: Artifact,
        samples: Samples,
        taps: Sequence[str] = (),
        feeds: Mapping[str, NDArray[Any]] | None = None,
        *,
        again: bool = False,
    ) -> Run:
        """Run every sample.

        Args:
            runtime: Where.
            artifact: What.
            samples: Inputs in the source's names, axes and types.
            taps: Tensors of the artifact to show.
            feeds: Tensor of the artifact → ``[K, *shape]`` that its readers are fed instead, in the
                artifact's axes and type.
            again: Run the first sample once more at the end, to see whether it gives the same bits.

        Raises:
            WorkFailure: That fails in whatever way.
        """
        feeds = feeds or {}
        cuts = [
            TensorSpec(name=name, shape=array.shape[1:], dtype=array.dtype.name)
            for name, array in feeds.items()
        ]
        fed = {fed_name(name): array for name, array in feeds.items()}
        number = next(self._runs)
        inputs, results = self.scratch / f"inputs-{number}", self.scratch / f"results-{number}"
        given = artifact_inputs(self.inputs, artifact.signature, samples) | fed
        if again:
            given = {name: np.concatenate([each, each[:1]]) for name, each in given.items()}
        store_inputs(inputs, given)
        facts = self.pool.call(
            runtime_job(
                runtime,
                artifact,
                inputs=inputs,
                samples=samples.count + again,
                results=results,
                taps=taps,
                cuts=cuts,
            )
        )
        shutil.rmtree(inputs)
        arrays = read_results(results)
        known = recipe_of(artifact).tensors if taps else {}
        run = Run(
            folder=results,
            quantization={name: each.quantization for name, each in known.items()},
            arrays=arrays,
            version=facts["version"],
            load_seconds=facts["load_seconds"],
            seconds=tuple(facts["seconds"][: samples.count]),
        )
        return _without_repetition(run, samples.count) if again else run


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


def _without_repetition(run: Run, count: int) -> Run:
    """Take the first sample's second results off a run, and compare them with the first ones."""
    outputs = run.arrays.outputs
    same = all(each[0].tobytes() == each[count].tobytes() for each in outputs.values())
    kept = RunResult(
        outputs={name: each[:count] for name, each in outputs.items()}, taps=run.arrays.taps
    )
    return replace(run, arrays=kept, deterministic=same)


def to_source_axes(stacked: NDArray[Any], permutation: tuple[int, ...] | None) -> NDArray[Any]:
    """Undo ``artifact_axes = transpose(source_axes, permutation)`` on ``[K, *shape]``."""
    if permutation is None or stacked.ndim != len(permutation) + 1:
        return stacked
    return stacked.transpose(0, *(int(axis) + 1 for axis in np.argsort(permutation)))


def _for_artifact(stacked: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    if spec.permutation is not None:
        stacked = stacked.transpose(0, *(axis + 1 for axis in spec.permutation))
    if spec.quantization is not None:
        stacked = quantized(stacked, spec.quantization, spec.dtype)
    return np.ascontiguousarray(stacked.astype(spec.dtype, copy=False))
