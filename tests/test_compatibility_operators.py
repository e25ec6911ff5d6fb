"""Operators with their versions and releases, recomputed against what a file says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_files import TFLiteFile, cnn

from bridge.inspection.tflite_graph import TFLiteGraph, read_graph
from bridge.tflite_releases import RELEASES
from bridge.validators.compatibility.operators import minimum_runtime, release_of, tflite_rows
from bridge.validators.compatibility.tensors import notable_tensors


def graph_of(file: TFLiteFile, folder: Path) -> TFLiteGraph:
    path = folder / "m.tflite"
    path.write_bytes(file.finish())
    return read_graph(path)


def single(kind: str, *shapes: tuple[int | None, ...], dtype: str = "FLOAT32") -> TFLiteFile:
    """A file of one operator over inputs of these shapes; its result has the first one's."""
    file = TFLiteFile()
    inputs = [file.tensor(f"x{place}", shape, dtype) for place, shape in enumerate(shapes)]
    result = file.operator(kind, inputs, file.tensor("y", shapes[0], dtype))
    file.inputs = {f"x{place}": index for place, index in enumerate(inputs)}
    file.outputs = {"y": result}
    return file


def test_a_file_that_states_too_low_a_version_is_found_out(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, weight = file.tensor("x", (1, 2)), file.constant("weight", np.ones((2, 2), np.float32))
    options = "FullyConnectedOptions"
    made = file.operator("FULLY_CONNECTED", [x, weight], file.tensor("y", (1, 2)), options)
    file.inputs, file.outputs = {"x": x}, {"y": made}  # no place for a bias: that is version 6
    rows = tflite_rows(graph_of(file, tmp_path))
    assert [(row.name, row.version, row.needs, row.since) for row in rows] == [
        ("FULLY_CONNECTED", 1, 6, "2.1.0")
    ]
    found = minimum_runtime(rows, "1.5.0", outside=False)
    assert found == {"declared": "1.5.0", "needed": "2.1.0", "enough": False, "unknown": []}


def test_a_stated_version_that_is_higher_counts_too(tmp_path: Path) -> None:
    file = cnn()
    for code in file.model.operatorCodes:
        code.version = 2
    (conv,) = (row for row in tflite_rows(graph_of(file, tmp_path)) if row.name == "CONV_2D")
    assert (conv.version, conv.needs, conv.since) == (2, None, "1.14.0")


@pytest.mark.parametrize(
    ("file", "needs", "since"),
    [
        (single("TRANSPOSE", (1, 2, 3, 4, 5)), 4, "2.3.0"),
        (single("TRANSPOSE", (1, 2, 3, 4)), None, "1.6.0"),
        (single("ADD", (4,), (4,), dtype="INT64"), 4, "2.6.0"),
        (single("SUB", (1, 2, 3, 4, 5), (5,)), 3, "2.3.0"),
        (single("SUB", (1, 2, 3, 4, 5), (1, 2, 3, 4, 5)), None, "1.6.0"),
        (single("MAXIMUM", (1, 1, 1, 1, 5), (None, 1, 1, 1, 5)), 3, "2.3.0"),
        (single("RELU", (4,), dtype="INT8"), 2, "2.1.0"),
    ],
    ids=["rank 5", "rank 4", "int64", "broadcast", "no broadcast", "changing batch", "int8"],
)
def test_types_and_ranks_decide_the_version(
    file: TFLiteFile, needs: int | None, since: str, tmp_path: Path
) -> None:
    (row,) = tflite_rows(graph_of(file, tmp_path))
    assert (row.needs, row.since) == (needs, since)


def test_operators_that_nobody_knows_are_named(tmp_path: Path) -> None:
    file = single("CUSTOM", (4,))
    file.model.operatorCodes[0].customCode = "Mystery"
    rows = tflite_rows(graph_of(file, tmp_path))
    assert [(row.name, row.since) for row in rows] == [("custom:Mystery", None)]
    found = minimum_runtime(rows, None, outside=False)
    assert found["needed"] is None
    assert found["enough"] is None
    assert found["unknown"] == ["custom:Mystery"]


def test_constants_behind_the_flatbuffer_need_the_release_that_reads_them(tmp_path: Path) -> None:
    rows = tflite_rows(graph_of(cnn(), tmp_path))
    assert minimum_runtime(rows, "2.1.0", outside=False)["enough"]
    assert minimum_runtime(rows, "2.1.0", outside=True)["needed"] == "2.14.0"
    assert not minimum_runtime(rows, "2.1.0", outside=True)["enough"]


def test_releases_compare_as_numbers_and_not_as_texts(tmp_path: Path) -> None:
    rows = tflite_rows(graph_of(single("TILE", (4,), (1,)), tmp_path))
    assert minimum_runtime(rows, "1.9.0", outside=False) == {
        "declared": "1.9.0",
        "needed": "1.10.1",
        "enough": False,
        "unknown": [],
    }


def test_versions_that_are_not_there_have_no_release() -> None:
    assert release_of("ADD", 1) == "1.5.0"
    assert release_of("ADD", 99) is None
    assert release_of("ADD", 0) is None
    assert release_of("BROADCAST_TO", 1) is None  # it was withdrawn
    assert release_of("NO_SUCH_OPERATOR", 1) is None


# of which the runtime asks more than a file of one operator without options can tell
UNTOLD = {"LSTM", *(f"STABLEHLO_{each}" for each in ("CASE", "COMPOSITE", "PAD", "REDUCE_WINDOW"))}
NO_KERNEL = {("BROADCAST_TO", 1), ("STABLEHLO_CBRT", 1)}  # withdrawn; in the table, never made


def test_the_runtime_has_every_version_of_the_table() -> None:
    """The table is facts written down; the installed runtime says that there are such versions."""
    from ai_edge_litert.interpreter import Interpreter

    missing = set()
    for kind in set(RELEASES) - UNTOLD:
        for version in range(1, len(RELEASES[kind]) + 1):
            file = single(kind, (1,))
            file.model.operatorCodes[0].version = version
            try:  # it looks the operator up, and prepares nothing
                Interpreter(model_content=file.finish())
            except ValueError:
                missing.add((kind, version))
    assert missing == NO_KERNEL


def test_dynamic_high_and_64_bit_tensors_are_listed_by_name(tmp_path: Path) -> None:
    file = TFLiteFile()
    x = file.tensor("changing", (None, 4))
    deep = file.tensor("deep", (1, 1, 1, 1, 4))
    wide = file.tensor("wide", (4,), "INT64")
    file.tensor("stored", (1, 1, 1, 1, 2), "FLOAT32", np.zeros(2, np.float32))
    file.tensor("stored_64", (2,), "INT64", np.zeros(2, np.int64))
    file.inputs, file.outputs = {"x": x}, {"y": wide, "z": deep}
    assert notable_tensors(graph_of(file, tmp_path)) == {
        "dynamic": ["changing"],
        "rank_above_4": ["deep"],
        "int64": ["wide", "stored_64"],
    }


def test_the_graph_of_a_file_has_shapes_types_and_options(tmp_path: Path) -> None:
    graph = graph_of(cnn(batch=None), tmp_path)
    conv = graph.main[0]
    image, weight, bias = conv.inputs
    assert image is not None
    assert weight is not None
    assert bias is not None
    assert (image.shape, image.constant, image.dynamic) == ((None, 8, 8, 3), False, True)
    assert (weight.shape, weight.constant, str(weight)) == ((8, 3, 3, 3), True, "float32[8x3x3x3]")
    options: dict[str, Any] = dict(conv.options)
    assert (options["stride_w"], options["fused_activation_function"]) == (1, "RELU")
    assert [each.name for each in conv.read] == ["image"]
