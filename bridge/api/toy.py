"""The model of one layer that the doctor tries everything on, and the shelter where it does so.

Everything runs in worker processes, also what a conversion does in process, so that nothing that
crashes or hangs takes the examination with it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..artifact import Artifact
from ..availability import Availability
from ..errors import MismatchError
from ..hop import reference_of, run_hop
from ..live import LiveModel
from ..outcome import Outcome, Stage, Symptom
from ..samples import Arrays, Samples
from ..toolchain import probe, toolchain_named
from ..validators.running import Run, Runner
from ..validators.runtime import Runtime
from ..worker import IN_PROCESS, WORKER, Job, WorkFailure, WorkPool
from ..worker.failure import describe, failure

Say = Callable[[str], None]

_SHELTER = f"{WORKER}:in-process"
_INPUT = "input"  # the parameter of Sequential.forward
_WEIGHT = (np.arange(12, dtype=np.float32).reshape(3, 4) - 5) / 8
_BIAS = np.array([0.5, -1.0, 2.0], dtype=np.float32)
_INPUTS = np.random.default_rng(0).standard_normal((2, 1, 4)).astype(np.float32)
_TOLERANCE = 0.01  # of the largest value: delegates may compute in half precision
_SHOWN_LINES = 4


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One file run in one runtime.

    Attributes:
        hop: The hop that made the file.
        outcome: What became of it; the subject is the runtime.
        version: Version of the runtime, if it ran.
    """

    hop: str
    outcome: Outcome
    version: str = ""


class ShelteredPool(WorkPool):
    """A pool that runs nothing in our own process, and makes no toolchain."""

    def call(self, job: Job) -> Any:
        """Run ``job`` in a worker; ``WorkFailure`` if it fails, or its toolchain is not there."""
        if job.place == IN_PROCESS:
            hop = job.function == reference_of(run_hop)
            function = reference_of(run_sheltered_hop) if hop else job.function
            job = replace(job, place=_SHELTER, function=function, live=None)
        missing = missing_toolchain(job.place)
        if missing is not None:
            raise WorkFailure(
                missing.reason,
                stage=job.first_stage,
                symptom=Symptom.UNAVAILABLE,
                hint=missing.mend,
            )
        return super().call(job)


def toy() -> LiveModel:
    """Return the model that everything is tried on: ``input @ weight.T + bias``."""
    import torch

    layer = torch.nn.Linear(_WEIGHT.shape[1], _WEIGHT.shape[0])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(_WEIGHT))
        layer.bias.copy_(torch.from_numpy(_BIAS))
    module = torch.nn.Sequential(layer).eval()
    return LiveModel(module=module, args=(torch.from_numpy(_INPUTS[0]),))


def example() -> Arrays:
    """Return one sample of the model's inputs."""
    return {_INPUT: _INPUTS[0]}


def try_artifact(runner: Runner, runtime: Runtime, hop: str, artifact: Artifact) -> Trial:
    """Run a file that a hop made of the model, and compare its result with the layer's own."""
    started = time.perf_counter()
    symptom, stage, detail, version = Symptom.OK, Stage.COMPARE, "", ""
    try:
        version = _run_and_compare(runner, runtime, artifact)
    except WorkFailure as error:
        symptom, stage, detail = error.symptom, error.stage, failure_text(error)
    outcome = Outcome(
        subject=runtime.name,
        target=artifact.format.name,
        stage=stage,
        symptom=symptom,
        detail=detail,
        seconds=time.perf_counter() - started,
    )
    return Trial(hop=hop, outcome=outcome, version=version)


def missing_toolchain(place: str) -> Availability | None:
    """Return why a place is a toolchain that is not installed, or ``None``."""
    if place.partition(":")[0] in (IN_PROCESS, WORKER) or toolchain_named(place).installed:
        return None
    return replace(probe(place), available=False)


def failure_text(error: WorkFailure) -> str:
    """Return a failure's message, with the end of what a process wrote before it died."""
    last = last_lines(error.traceback) if error.symptom is Symptom.CRASH else ""
    return f"{error}\n{last}".strip()


def last_lines(text: str) -> str:
    """Return the end of what a program wrote."""
    return "\n".join(text.strip().splitlines()[-_SHOWN_LINES:])


def import_framework(
    arguments: Mapping[str, Any], enter: Callable[[Stage], None], say: Say
) -> dict[str, Any]:
    """Import the packages of an installed distribution; this runs in a worker.

    Args:
        arguments: ``distribution``, its name.
        enter: Called before a stage begins.
        say: Not used; every function that crosses to a worker takes it.

    Returns:
        Nothing; that it returns is the answer.
    """
    name = arguments["distribution"]
    enter(Stage.LOAD)
    own = name.replace("-", "_")
    found = [
        module
        for module, distributions in importlib.metadata.packages_distributions().items()
        if name in distributions
    ]
    for module in [own] if own in found else found or [own]:
        importlib.import_module(module)
    return {}


def run_sheltered_hop(
    arguments: Mapping[str, Any], enter: Callable[[Stage], None], say: Say
) -> dict[str, Any]:
    """Run a hop that belongs in process in a worker, which makes the live model for itself."""
    live = toy() if arguments["source"] is None else None
    answer = run_hop({**arguments, "live": live}, enter, say)
    del answer["live"]  # it cannot cross back; the next hop reads the file
    return answer


def _run_and_compare(runner: Runner, runtime: Runtime, artifact: Artifact) -> str:
    try:
        samples = Samples(arrays={_INPUT: _INPUTS}, origin="drawn")
        run = runner.run(runtime, artifact, samples)
        _compare(run, artifact)
    except WorkFailure:
        raise
    except Exception as error:
        # a stage boundary: the hop's signature may be anything, and so may the outputs
        raise failure(describe(error), Stage.COMPARE) from error
    return run.version


def _compare(run: Run, artifact: Artifact) -> None:
    wanted = _INPUTS @ _WEIGHT.T + _BIAS
    (spec,) = artifact.signature.outputs
    got = run.output(spec)
    if got.shape != wanted.shape:
        raise MismatchError(f"its result is of shape {got.shape[1:]}, not {wanted.shape[1:]}")
    error = float(np.abs(got - wanted).max())
    if not error <= _TOLERANCE * float(np.abs(wanted).max()):  # nor is NaN
        raise MismatchError(f"its result is off by {error:.3g}")
