"""ONNX to SavedModel and to TFLite with onnx2tf, inside its toolchain.

onnx2tf itself only builds the Keras model; writing is left to TensorFlow's own functions, so that
the signature has the ONNX model's names and axes, and so that every tensor can be traced back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..artifact import Artifact, Signature, TensorSpec
from ..availability import version_of
from ..axes import AXES
from ..errors import ConversionError, UnsupportedError, UnsupportedOperator, UsageError
from ..formats import ONNX, SAVED_MODEL, TFLITE
from ..hop import Hop, HopResult, HopTask, register_hop
from ..outcome import Stage
from ._onnx2tf.axes import compose
from ._onnx2tf.graphs import operator_name, signature_tensors, tensor_names
from ._onnx2tf.provenance import Found, carried, in_saved_model, in_tflite
from ._onnx2tf.session import check_operators, run_onnx2tf
from ._onnx2tf.source import prepare
from ._onnx2tf.trace import Conversion, trace

TOOLCHAIN = "onnx2tf"
SIGNATURE = "serving_default"
_LAYOUTS = {"nchw": "source", "nhwc": "nhwc"}

# the last conversion of this process: both hops of a job start from the same one
_latest: dict[tuple[str, str], Conversion] = {}


def to_saved_model(task: HopTask) -> HopResult:
    """Convert an ONNX file to a SavedModel with one signature, ``serving_default``."""
    conversion = _conversion(task)
    task.enter(Stage.SERIALIZE)
    import tensorflow as tf

    task.say("TensorFlow: writing the SavedModel")
    tf.saved_model.save(
        conversion.module, str(task.out), signatures={SIGNATURE: conversion.function}
    )
    return _result(task, conversion, in_saved_model(conversion))


def to_tflite(task: HopTask) -> HopResult:
    """Convert an ONNX file to a TFLite file of builtin operators.

    Raises:
        UnsupportedError: Operators remain that only TensorFlow itself could run.
    """
    conversion = _conversion(task)
    task.enter(Stage.SERIALIZE)
    import tensorflow as tf
    from ai_edge_litert import schema_py_generated as schema

    task.say("TensorFlow: writing the TFLite file")
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [conversion.function], conversion.module
    )
    # all are allowed so that all that are left can be listed, and refused
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    converter.allow_custom_ops = True
    content = converter.convert()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    _refuse_foreign_operators(conversion, model)
    task.out.write_bytes(content)
    return _result(task, conversion, in_tflite(conversion, model))


def _conversion(task: HopTask) -> Conversion:
    """Return what onnx2tf makes of the task's source, from memory if it was the last one."""
    source = _source(task)
    io_layout = _layout(task.options.get("io_layout") or ["nchw"])
    task.enter(Stage.LOAD)
    key = (source.sha256, io_layout)
    if key in _latest:
        task.say("onnx2tf: taking the model that it made for the previous hop")
        task.enter(Stage.LOWER)
        return _latest[key]
    _latest.clear()
    prepared = prepare(source.path, task.examples)
    task.enter(Stage.LOWER)
    check_operators(prepared)
    task.say(f"onnx2tf: converting {len(prepared.model.graph.node)} operators")
    made = run_onnx2tf(prepared, io_layout, task.out.parent)
    _latest[key] = trace(prepared, made, io_layout, task.enter)
    return _latest[key]


def _layout(asked: Sequence[str]) -> str:
    """What onnx2tf calls the layout that was asked for."""
    for text in asked:
        name, _, layout = text.rpartition("=")
        if layout not in _LAYOUTS:
            raise UsageError(f"--io-layout {text} is not known", hint="nhwc, or NAME=nhwc")
        if name:
            raise ConversionError(
                f"--io-layout {text}: onnx2tf moves the channels of all images or of none"
            )
    return _LAYOUTS[asked[-1]]


def _source(task: HopTask) -> Artifact:
    if task.source is None:
        raise UsageError("onnx2tf starts from an ONNX file")
    return task.source


def _refuse_foreign_operators(conversion: Conversion, model: Any) -> None:
    """Raise for operators that LiteRT has no kernel for, with the ONNX operators behind them."""
    names = tensor_names(model)
    outputs = signature_tensors(model)
    behind = {
        node: producer.op_type
        for value, producer in conversion.source.producers.items()
        for node in (conversion.tensors.get(value, "").partition(":")[0], outputs.get(value, ""))
    }
    counts: Counter[str] = Counter()
    makers: dict[str, set[str]] = {}
    for operator in model.subgraphs[0].operators:
        name = operator_name(model, operator)
        if name.startswith("CUSTOM:"):
            custom = name.removeprefix("CUSTOM:")
            counts[custom] += 1
            parts = names[operator.outputs[0]].split(";")
            makers.setdefault(custom, set()).update(
                behind[each] for each in parts if each in behind
            )
    for code in model.operatorCodes:  # those in the bodies of loops and branches
        if code.customCode and code.customCode.decode() not in counts:
            counts[code.customCode.decode()] += 1
    if counts:
        raise UnsupportedError(
            "onnx2tf-tflite",
            [
                UnsupportedOperator(operator=name, count=count, hint=_hint(makers.get(name, set())))
                for name, count in sorted(counts.items())
            ],
        )


def _hint(makers: set[str]) -> str:
    made = f"made for ONNX {', '.join(sorted(makers))}; " if makers else ""
    return f"{made}only TensorFlow runs it, LiteRT has no kernel for it"


def _result(task: HopTask, conversion: Conversion, found: Found) -> HopResult:
    notes = []
    if conversion.source.unchecked:
        notes.append(f"not compared with the ONNX model: {conversion.source.unchecked}")
    if any(node.op_type == "Erf" for node in conversion.source.model.graph.node):
        notes.append("Erf is a polynomial here (Abramowitz and Stegun 7.1.26, error up to 1.5e-7)")
    renamed = {old: new for old, new in conversion.arguments.items() if old != new}
    if renamed:
        listed = ", ".join(f"{old} is {new}" for old, new in renamed.items())
        notes.append(f"inputs that TensorFlow cannot name as they are: {listed}")
    return HopResult(
        signature=_signature(conversion, _source(task)),
        layer_map=carried(_source(task).layer_map, found),
        producer_version=f"{version_of('onnx2tf')} (tensorflow {version_of('tensorflow')})",
        notes=tuple(notes),
    )


def _signature(conversion: Conversion, source: Artifact) -> Signature:
    """Return the new artifact's signature; the axes are told against the source model's."""
    known = {spec.name: spec for spec in (*source.signature.inputs, *source.signature.outputs)}
    inputs = []
    tensors = dict(zip(conversion.arguments.values(), conversion.function.inputs, strict=False))
    for name, argument in conversion.arguments.items():
        permutation = conversion.input_layouts[name]
        tensor = tensors[argument]
        axes = AXES[len(tensor.shape)] if name in conversion.source.spatial else ("", "")
        inputs.append(
            _spec(argument, tensor, known.get(name), permutation, axes[permutation is not None])
        )
    outputs = [
        _spec(name, conversion.function.structured_outputs[name], known.get(name), permutation)
        for name, permutation in conversion.output_layouts.items()
    ]
    return Signature(inputs=tuple(inputs), outputs=tuple(outputs))


def _spec(
    name: str,
    tensor: Any,
    parent: TensorSpec | None,
    permutation: tuple[int, ...] | None,
    layout: str = "",
) -> TensorSpec:
    return TensorSpec(
        name=name,
        shape=tuple(tensor.shape),
        dtype=tensor.dtype.name,
        layout=layout or None,
        permutation=compose(parent.permutation if parent else None, permutation),
    )


_COMMON: Mapping[str, Any] = {
    "source": ONNX, "loss": 2, "cost": 30.0, "place": TOOLCHAIN, "options": ("io_layout",),
    "imports": ("tensorflow", "onnx2tf"),
    "script": """
import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
import numpy
import onnx2tf

# what it would fetch from the network for inputs like images
samples = numpy.random.default_rng(0).random((20, 128, 128, 3), dtype=numpy.float32)
numpy.save("calibration_image_sample_data_20x128x128x3_float32.npy", samples)
onnx2tf.convert(
    input_onnx_file_path=source,
    output_folder_path="out",
    not_use_onnxsim=True,
    not_use_opname_auto_generate=True,
    output_signaturedefs=True,
    replace_to_pseudo_operators=["erf"],
)
""",
}  # fmt: skip

register_hop(
    Hop(
        name="onnx2tf-saved-model",
        title="onnx2tf, written as a SavedModel",
        target=SAVED_MODEL,
        convert=to_saved_model,
        **_COMMON,
    )
)
register_hop(
    Hop(
        name="onnx2tf-tflite",
        title="onnx2tf, converted by TensorFlow's own TFLite converter",
        target=TFLITE,
        convert=to_tflite,
        **_COMMON,
    )
)
