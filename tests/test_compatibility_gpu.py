"""What the GPU delegate refuses, with the reason for each operator."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_files import TFLiteFile, cnn

from bridge.artifact import Quantization
from bridge.inspection.tflite_graph import read_graph
from bridge.validators.compatibility.gpu import Analysis, analyze, gpu_support, parse
from bridge.validators.compatibility.gpu_rules import KINDS, accelerator_takes, refusals
from bridge.validators.compatibility.origins import Origins
from bridge.validators.compatibility.xnnpack import delegation
from bridge.worker import Limits, WorkPool

# what the analyzer printed of such a model while it had its checks (TensorFlow 2.8)
PRINTED = """
Subgraph#0 main(T#0) -> [T#3]
  Op#0 CONV_2D(T#0, T#1, T#2) -> [T#4]
  Op#1 TFLite_Detection_PostProcess(T#4) -> [T#3]
GPU COMPATIBILITY WARNING: Not supported custom op TFLite_Detection_PostProcess

GPU COMPATIBILITY WARNING: Subgraph#0 has GPU delegate compatibility issues at nodes 1 with \
TFLite runtime version 2.8.2

Subgraph#1 body(T#0) -> [T#3]
  Op#0 WHERE(T#0) -> [T#3]
GPU COMPATIBILITY WARNING: Not supported op WHERE
"""


def one(
    kind: str,
    *inputs: tuple[Any, ...],
    out: tuple[Any, ...] = ((1, 4, 4, 2),),
    options: str = "",
    **values: Any,
) -> TFLiteFile:
    """A file of one operator; tensors are (shape, type, constant data or nothing)."""
    file = TFLiteFile()
    indices = [file.tensor(f"x{place}", *each) for place, each in enumerate(inputs)]
    result = file.operator(kind, indices, file.tensor("y", *out), options, **values)
    computed = [place for place, each in enumerate(inputs) if len(each) < 3]
    file.inputs = {f"x{place}": indices[place] for place in computed}
    file.outputs = {"y": result}
    return file


def reasons(file: TFLiteFile, folder: Path) -> list[str]:
    (folder / "m.tflite").write_bytes(file.finish())
    return [reason for _, reason in refusals(read_graph(folder / "m.tflite"))]


IMAGE = ((1, 4, 4, 2),)
AXES = ((1,), "INT32", np.array([1], np.int32))
INDICES = ((3,), "INT32")


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (one("GATHER_ND", IMAGE, INDICES), "has no kernel for GATHER_ND"),
        (one("REVERSE_V2", IMAGE, AXES), "has no kernel for REVERSE_V2"),
        (one("ADD", ((1, 2, 4, 4, 2),), IMAGE), r"float32\[1x2x4x4x2\] has 5 axes"),
        (one("ADD", ((1, 4), "INT64"), ((1, 4), "INT64")), r"ADD of int64\[1x4\]"),
        (one("FLOOR_MOD", ((1, 4), "INT32"), ((1, 4), "INT32")), "FLOOR_MOD of int32"),
        (one("NEG", ((1, 4), "INT8")), "NEG of int8"),  # without a scale it is a plain integer
        (one("MEAN", IMAGE, ((1,), "INT32")), "computed"),
        (one("RESHAPE", IMAGE, ((2,), "INT32")), "its shape is computed when it runs"),
        (one("GATHER", IMAGE, ((2, 3), "INT32")), "has 2 axes; GATHER takes 1"),
        (one("CAST", ((1, 4), "INT64"), out=((1, 4), "INT32")), "int64 into int32"),
        (one("SLICE", ((1, 4),), AXES, AXES, out=((1, 4),)), "SLICE takes 3 or 4"),
        (one("MUL", ((1, 4, 1),), ((1, 1, 4),), out=((1, 4, 4),)), "both repeated"),
        (one("ADD", ((1, 1, 4),), ((1, 4),), out=((1, 1, 4),)), "make their ranks equal"),
        (one("MUL", ((2, 4, 4, 2),), ((4, 4, 2),), out=((2, 4, 4, 2),)), "make their ranks equal"),
        (one("SOFTMAX", IMAGE, options="SoftmaxOptions", beta=2.0), "its beta is 2"),
        (
            one("STRIDED_SLICE", IMAGE, AXES, AXES, AXES, options="StridedSliceOptions",
                shrinkAxisMask=1),
            "does not know shrink_axis_mask",
        ),
        (
            one("DEPTH_TO_SPACE", IMAGE, options="DepthToSpaceOptions", blockSize=1),
            "blocks of 2 and more",
        ),
        (
            one("SELECT_V2", ((1, 4), "BOOL"), ((1, 1),), ((1, 4),), out=((1, 4),)),
            r"its branch float32\[1x1\] is repeated",
        ),
        (one("PAD", ((1, 4),), ((2, 2), "INT32", np.zeros((2, 2), np.int32))), "3 or 4 axes"),
        (one("TRANSPOSE", IMAGE, AXES, out=((8, 4, 1, 1),)), "one batch size throughout"),
        (one("CUSTOM", IMAGE), "has no kernel for custom:"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_an_operator_is_refused_for_the_reason_that_there_is(
    file: TFLiteFile, reason: str, tmp_path: Path
) -> None:
    (found,) = reasons(file, tmp_path)
    assert re.search(reason, found), found


@pytest.mark.parametrize(
    "file",
    [
        cnn(),
        cnn(batch=None),
        cnn(batch=3),
        one("ADD", IMAGE, ((2,), "FLOAT32", np.ones(2, np.float32))),
        one("MUL", IMAGE, ((4, 4, 2), "FLOAT32", np.ones((4, 4, 2), np.float32))),
        one("ADD", IMAGE, ((1, 2),)),
        one("ADD", ((1, 4, 1),), ((1, 1, 4),), out=((1, 4, 4),)),
        one("GREATER", IMAGE, IMAGE, out=((1, 4, 4, 2), "BOOL")),
        one("SELECT_V2", ((1, 4), "BOOL"), ((1, 4),), ((), "FLOAT32", np.ones((), np.float32)),
            out=((1, 4),)),
        one("GATHER", ((1, 4),), ((1,), "INT32"), out=((1, 4),)),
        one("NEG", ((1, 4), "INT8", None, Quantization(scales=(0.1,), zero_points=(0,))),
            out=((1, 4), "INT8", None, Quantization(scales=(0.1,), zero_points=(0,)))),
        one("MEAN", IMAGE, AXES),
    ],
    ids=["cnn", "dynamic", "batch 3", "add", "rank 3", "channels", "both", "greater", "select",
         "gather", "int8", "mean"],
)  # fmt: skip
def test_what_the_delegate_takes_is_not_refused(file: TFLiteFile, tmp_path: Path) -> None:
    assert reasons(file, tmp_path) == []


def test_weights_that_are_stored_in_half_precision_count_as_constants(tmp_path: Path) -> None:
    file = TFLiteFile()
    x = file.tensor("x", (1, 2))
    stored = file.tensor("stored", (4, 2), "FLOAT16", np.ones((4, 2), np.float16))
    weight = file.operator("DEQUANTIZE", [stored], file.tensor("weight", (4, 2)))
    bias = file.constant("bias", np.ones(4, np.float32))
    made = file.operator(
        "FULLY_CONNECTED", [x, weight, bias], file.tensor("y", (1, 4)), "FullyConnectedOptions"
    )
    file.inputs, file.outputs = {"x": x}, {"y": made}
    assert reasons(file, tmp_path) == []


def test_the_accelerator_takes_operators_that_the_delegate_has_no_kernel_for(
    tmp_path: Path,
) -> None:
    def takes(file: TFLiteFile) -> bool:
        (tmp_path / "m.tflite").write_bytes(file.finish())
        return accelerator_takes(read_graph(tmp_path / "m.tflite").main[0])

    assert takes(one("REVERSE_V2", IMAGE, AXES))
    assert not takes(one("GATHER_ND", IMAGE, INDICES))
    assert not takes(one("NEG", ((1, 1, 1, 1, 4),)))
    assert not takes(one("NEG", ((1, 4), "INT64")))


def test_every_row_has_its_place_and_the_rules_are_stated(tmp_path: Path) -> None:
    file = cnn()
    left = file.operator("SIGN", [file.outputs["logits"]], file.tensor("sign", (1, 5)))
    file.outputs = {"y": file.operator("WHERE", [left], file.tensor("where", (5, 2), "INT64"))}
    (tmp_path / "m.tflite").write_bytes(file.finish())
    graph = read_graph(tmp_path / "m.tflite")
    found = gpu_support(tmp_path / "m.tflite", graph, Origins(), None)
    assert not found["compatible"]
    (row,) = found["operators"]
    assert (row["index"], row["name"], row["tensor"], row["by"]) == (6, "WHERE", "where", "rules")
    assert not row["accelerator"]
    assert "not run" in found["analyzer"]
    assert any("int64 never" in each for each in found["rules"])
    json.dumps(found)


# -- LiteRT's analyzer -------------------------------------------------------------------------


def test_warnings_belong_to_the_operator_before_them() -> None:
    assert parse(PRINTED) == {1: "Not supported custom op TFLite_Detection_PostProcess"}
    assert parse("Your model looks compatible with GPU delegate") == {}


def test_an_analyzer_that_takes_everything_does_not_count(tmp_path: Path) -> None:
    file = one("UNIQUE", ((4,),), out=((4,),))
    (tmp_path / "m.tflite").write_bytes(file.finish())
    with WorkPool() as pool:
        analysis = analyze(tmp_path / "m.tflite", pool)
        graph = read_graph(tmp_path / "m.tflite")
        found = gpu_support(tmp_path / "m.tflite", graph, Origins(), pool)
    assert analysis.reason == ""
    assert analysis.release
    assert not found["compatible"]
    if analysis.counts:  # a release of LiteRT that has its checks again
        assert analysis.refused
    else:
        assert "only our rules count" in found["analyzer"]
        assert [each["by"] for each in found["operators"]] == ["rules"]


def test_an_analyzer_that_refuses_what_it_must_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bridge.validators.compatibility import gpu

    believed = Analysis(release="9.9", refused={2: "too wide"}, counts=True)
    monkeypatch.setattr(gpu, "analyze", lambda path, pool: believed)
    (tmp_path / "m.tflite").write_bytes(cnn().finish())
    graph = read_graph(tmp_path / "m.tflite")
    with WorkPool() as pool:
        found = gpu_support(tmp_path / "m.tflite", graph, Origins(), pool)
    assert not found["compatible"]
    assert [(each["index"], each["reason"], each["by"]) for each in found["operators"]] == [
        (2, "too wide", "analyzer")
    ]
    assert "refuses 1 operator" in found["analyzer"]


def test_a_file_that_the_analyzer_cannot_read_is_not_taken_for_compatible(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(cnn().finish()[:900])
    with WorkPool() as pool:
        analysis = analyze(tmp_path / "m.tflite", pool)
    assert str(analysis) == "LiteRT's analyzer gave no answer: it could not read the file"
    assert not analysis.counts


def test_an_analyzer_that_dies_is_a_reason(tmp_path: Path) -> None:
    with WorkPool(limits=Limits(seconds=0.001)) as pool:
        analysis = analyze(tmp_path / "m.tflite", pool)
    assert "timeout" in str(analysis)


# -- XNNPACK -----------------------------------------------------------------------------------

WIDE = tuple(IMAGE for _ in range(6))
TWICE = ((2,), "INT32", np.array([2, 2], np.int32))


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (one("SIGN", IMAGE), "no kernel for it"),
        (one("ADD", ((4,), "INT32"), ((4,), "INT32"), out=((4,), "INT32"), options="AddOptions"),
         "does not compute in int32"),
        (one("NEG", ((4,), "INT8"), out=((4,), "INT8")), "its integers have no scale"),
        (one("CONCATENATION", *WIDE, out=((1, 4, 4, 12),), options="ConcatenationOptions", axis=3),
         "it joins 6 tensors"),
        (one("STRIDED_SLICE", ((4, 4),), ((2,), "INT32", np.zeros(2, np.int32)),
             ((2,), "INT32", np.array([4, 4], np.int32)), TWICE, out=((2, 2),),
             options="StridedSliceOptions"),
         "steps of 1 only"),
    ],
    ids=["kind", "type", "no scale", "concatenation", "strides"],
)  # fmt: skip
def test_what_xnnpack_leaves_has_a_reason(file: TFLiteFile, why: str, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(file.finish())
    graph = read_graph(tmp_path / "m.tflite")
    with WorkPool() as pool:
        found = delegation(tmp_path / "m.tflite", Origins().place(graph.main), pool)
    rows = found.rows(graph.main)
    assert rows["reason"] == ""
    (left,) = rows["left"]
    assert why in left["why"]
    assert rows["partitions"] == []


def test_kinds_are_names_of_the_schema() -> None:
    from ai_edge_litert import schema_py_generated as schema

    from bridge.validators.compatibility import gpu_rules, xnnpack

    for kind in (*KINDS, *gpu_rules._ACCELERATOR_KINDS, *xnnpack._KINDS):
        assert hasattr(schema.BuiltinOperator, kind), kind
