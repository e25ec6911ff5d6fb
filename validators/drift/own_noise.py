"""The noise floor of an ONNX or TorchScript source: what its own runtime makes of it in float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ...artifact import Artifact
from ...samples import Samples
from ..running import Runner
from ..runtime import RUNTIMES
from .noise import OWN_BASELINES, perturbed, perturbed_samples, rms_errors


def own_noise(
    runner: Runner,
    source: Artifact,
    samples: Samples,
    truth: Mapping[str, NDArray[Any]],
    fed: Mapping[str, NDArray[Any]],
) -> dict[str, list[list[float]]]:
    """Run a source in its own runtime, as it is and with its inputs rounded another way.

    Args:
        runner: Runs it where the runtime belongs.
        source: The file.
        samples: Inputs.
        truth: Layer → the reference's values ``[K, *shape]``.
        fed: Layer → what its readers are fed; nothing to run the whole through.

    Returns:
        Layer → for each implementation the RMS error of each sample.
    """
    places = source.layer_map.mapped()
    names = {layer: str(places[layer].tensor) for layer in truth}
    floors: dict[str, list[list[float]]] = {layer: [] for layer in truth}
    for baseline in OWN_BASELINES[source.format.name]:
        moved = baseline.perturbed
        run = runner.run(
            RUNTIMES.get(baseline.runtime)(),
            source,
            perturbed_samples(samples) if moved else samples,
            list(names.values()),
            perturbed(fed) if moved else fed,
        )
        for layer, name in names.items():
            floors[layer].append(rms_errors(truth[layer], run.tap(name)))
        run.discard()
    return floors
