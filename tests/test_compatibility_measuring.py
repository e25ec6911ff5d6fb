"""Latency and memory of artifacts, measured in a worker, and what becomes of one that crashes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deadly_runtimes import Deadly
from runtime_files import NETS, described, write
from tflite_files import TFLiteFile, artifact, cnn, cnn_signature

from bridge.artifact import Artifact, Signature, TensorSpec
from bridge.formats import MOBILE, ONNX, TORCHSCRIPT
from bridge.validators.compatibility import measuring
from bridge.validators.compatibility.latency import ThreadLatency, machine, thread_counts
from bridge.validators.compatibility.measuring import (
    MOST_RUNS,
    Measurement,
    measure,
    run_measurement,
)
from bridge.validators.compatibility.xnnpack import delegation
from bridge.validators.runtime import Runtime, store_inputs
from bridge.validators.runtimes.litert import LiteRTBuiltin, LiteRTXnnpack
from bridge.validators.validation import runtimes_for
from bridge.worker import WorkPool

IMAGES = np.linspace(-1, 1, 3 * 192, dtype=np.float32).reshape(3, 1, 8, 8, 3)


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkPool]:
    with WorkPool() as pool:
        yield pool


def measured(
    folder: Path, pool: WorkPool, runtime: Runtime | None = None, latency: bool = True
) -> Measurement:
    made = artifact(folder / "m.tflite", cnn().finish(), cnn_signature())
    return measure(
        runtime or LiteRTXnnpack(),
        made,
        {"image": IMAGES},
        pool=pool,
        scratch=folder / "inputs",
        latency=latency,
    )


def test_every_number_of_threads_has_sane_times(tmp_path: Path, pool: WorkPool) -> None:
    found = measured(tmp_path, pool)
    assert found.reason == ""
    latency: Any = found.latency
    json.dumps(latency)
    assert [row["threads"] for row in latency["threads"]] == [1, 2, 4]
    for row in latency["threads"]:
        assert 0 < row["p10_ms"] <= row["median_ms"] <= row["p90_ms"]
        assert 0 < row["load_ms"] < 60_000
        assert 0 < row["first_ms"] < 60_000
        assert 1 <= row["runs"] <= MOST_RUNS
    assert latency["load_ms"] == latency["threads"][0]["load_ms"]
    assert "not a phone" in latency["machine"]
    assert latency["runtime"].startswith("LiteRT (XNNPACK) 2.")


def test_a_slow_model_is_timed_with_one_thread_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "SLOW_SECONDS", 0)
    store_inputs(tmp_path / "inputs", {"image": IMAGES})
    found = run_measurement(
        {
            "runtime": "bridge.validators.runtimes.litert:LiteRTXnnpack",
            "artifact": artifact(tmp_path / "m.tflite", cnn().finish(), cnn_signature()).to_json(),
            "inputs": str(tmp_path / "inputs"),
            "threads": [1, 2, 4],
        },
        lambda stage: None,
        lambda text: None,
    )
    assert [row["threads"] for row in found["threads"]] == [1]
    assert "timed with one thread only" in found["note"]


def test_memory_is_that_of_the_model(tmp_path: Path, pool: WorkPool) -> None:
    found = measured(tmp_path, pool, LiteRTBuiltin(), latency=False)
    # the kernels alone lay every tensor out: input, three images of 8x8x8, logits; two images are
    # alive together at the least, and all are shared at the most
    image = 8 * 8 * 8 * 4
    assert 2 * image <= (found.arena or 0) <= 192 * 4 + 4 * image + 5 * 4 + 4096
    assert 0 <= (found.peak or 0) < 100_000_000
    assert "resident memory" in found.method
    assert "arena" in found.method
    assert found.latency is None


def test_what_xnnpack_takes_is_not_in_the_arena(tmp_path: Path, pool: WorkPool) -> None:
    found = measured(tmp_path, pool, latency=False)
    assert found.arena == (192 + 5) * 4  # input and output: the delegate has the rest


def test_the_peak_grows_with_the_weights(tmp_path: Path, pool: WorkPool) -> None:
    def peak(size: int) -> int:
        file = TFLiteFile()
        x = file.tensor("x", (1, size))
        weight = file.constant("w", np.ones((size, size), np.float32))
        bias = file.constant("b", np.ones(size, np.float32))
        options = "FullyConnectedOptions"
        made = file.operator(
            "FULLY_CONNECTED", [x, weight, bias], file.tensor("y", (1, size)), options
        )
        file.inputs, file.outputs = {"x": x}, {"y": made}
        spec = {"shape": (1, size), "dtype": "float32"}
        its = Signature(
            inputs=(TensorSpec(name="x", **spec),),  # type: ignore[arg-type]
            outputs=(TensorSpec(name="y", **spec),),  # type: ignore[arg-type]
        )
        found = measure(
            LiteRTXnnpack(),
            artifact(tmp_path / f"{size}.tflite", file.finish(), its),
            {"x": np.ones((1, 1, size), np.float32)},
            pool=pool,
            scratch=tmp_path / f"inputs-{size}",
            latency=False,
        )
        assert found.peak is not None
        return found.peak

    small, large = peak(64), peak(2048)
    weights = 2048 * 2048 * 4
    assert large - small > 0.9 * weights
    assert large < 5 * weights


def test_values_that_come_out_are_observed(tmp_path: Path, pool: WorkPool) -> None:
    found = measured(tmp_path, pool, latency=False)
    assert found.samples == 3
    low, high = found.outputs["logits"]
    runtime = LiteRTXnnpack()
    made = artifact(tmp_path / "m.tflite", cnn().finish(), cnn_signature())
    session = runtime.open(made)
    outputs = [session.run({"image": each}).outputs["logits"] for each in IMAGES]
    assert low == pytest.approx(np.min(outputs), rel=1e-5)
    assert high == pytest.approx(np.max(outputs), rel=1e-5)


def relu(folder: Path) -> Artifact:
    """An ONNX file of one operator."""
    import onnx
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "graph", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "m.onnx")
    spec = {"shape": (2, 3), "dtype": "float32"}
    return described(
        ONNX,
        folder / "m.onnx",
        Signature(
            inputs=(TensorSpec(name="x", **spec),),  # type: ignore[arg-type]
            outputs=(TensorSpec(name="y", **spec),),  # type: ignore[arg-type]
        ),
    )


@pytest.mark.parametrize("form", [ONNX, TORCHSCRIPT, MOBILE], ids=str)
def test_other_formats_are_timed_in_their_own_runtimes(
    form: Any, tmp_path: Path, pool: WorkPool
) -> None:
    (runtime,) = runtimes_for(form)
    inputs = {"x": np.ones((3, 2, 3), np.float32)}
    if form is not ONNX:
        inputs = {name: each[None] for name, each in NETS["residual"].inputs().items()}
    found = measure(
        runtime(),
        relu(tmp_path) if form is ONNX else write("residual", form, tmp_path),
        inputs,
        pool=pool,
        scratch=tmp_path / "inputs",
        latency=True,
    )
    assert found.reason == ""
    latency: Any = found.latency
    assert tuple(row["threads"] for row in latency["threads"]) == thread_counts(form)
    assert found.arena is None
    assert found.peak is not None


# -- artifacts that end badly ------------------------------------------------------------------


def calling_itself() -> TFLiteFile:
    """A loop whose condition is the graph that it is in: preparing it never ends."""
    file = TFLiteFile()
    x, result = file.tensor("x", (1,), "BOOL"), file.tensor("y", (1,), "BOOL")
    file.operator("WHILE", [x], result, "WhileOptions", condSubgraphIndex=0, bodySubgraphIndex=1)
    body = file.schema.SubGraphT()
    body.name, body.tensors, body.operators = "body", [file.graph.tensors[x]], []
    body.inputs = body.outputs = [0]
    file.model.subgraphs.append(body)
    file.inputs, file.outputs = {"x": x}, {"y": result}
    return file


def test_a_crash_of_the_worker_is_a_reason_and_the_next_one_is_measured(
    tmp_path: Path, pool: WorkPool
) -> None:
    spec = {"shape": (1,), "dtype": "bool"}
    its = Signature(
        inputs=(TensorSpec(name="x", **spec),),  # type: ignore[arg-type]
        outputs=(TensorSpec(name="y", **spec),),  # type: ignore[arg-type]
    )
    found = measure(
        LiteRTXnnpack(),
        artifact(tmp_path / "loop.tflite", calling_itself().finish(), its),
        {"x": np.ones((1, 1), bool)},
        pool=pool,
        scratch=tmp_path / "loop",
        latency=True,
    )
    assert found.reason == "crash at run: the worker process was killed by SIGSEGV"
    assert (found.latency, found.arena, found.peak) == (None, None, None)
    assert measured(tmp_path, pool, latency=False).reason == ""
    taken = delegation(tmp_path / "loop.tflite", [], pool)
    assert "SIGSEGV" in taken.reason


def test_a_runtime_that_dies_when_it_runs_is_a_reason(tmp_path: Path, pool: WorkPool) -> None:
    inputs = {"x": np.ones((3, 2, 3), np.float32)}
    made = relu(tmp_path)
    found = measure(Deadly(), made, inputs, pool=pool, scratch=tmp_path / "inputs", latency=True)
    assert found.reason == "crash at run: the worker process was killed by SIGSEGV"


def test_percentiles_are_those_of_the_later_runs() -> None:
    row = ThreadLatency(threads=2, load_ms=5, first_ms=900, runs=[3, 1, 2, 4, 10]).to_json()
    assert (row["median_ms"], row["runs"], row["first_ms"]) == (3, 5, 900)
    assert row["p10_ms"] == pytest.approx(1.4)
    assert row["p90_ms"] == pytest.approx(7.6)


def test_the_machine_has_a_name() -> None:
    name, _, rest = machine().partition(",")
    assert name.strip()
    assert "logical processor" in rest
