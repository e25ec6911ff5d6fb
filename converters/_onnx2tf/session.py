"""One run of onnx2tf: what it made, and which of its tensors is which ONNX value.

onnx2tf keeps a dictionary from every ONNX value to the Keras tensor that stands for it. It hands
it to each of its operator modules, and from there we keep a reference. All those tensors are then
computed in one traced function, so that each has a name in the TensorFlow graph; TensorFlow's own
converter carries these names on into the TFLite file.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConversionError, UnsupportedError, UnsupportedOperator
from .axes import channels_last
from .source import Source

_SAMPLES = "calibration_image_sample_data_20x128x128x3_float32.npy"
_PEEPHOLES = (
    "gelu_replace_op_names",
    "mul_div_replace_op_names",
    "relu_relu6_merge_op_names",
    "space_to_depth_replace_op_names",
)
_COLOUR = re.compile(r"\x1b\[\d+m")


@dataclass(frozen=True, kw_only=True)
class KerasResult:
    """What onnx2tf made of a model, before anything is traced or written.

    Attributes:
        inputs: Keras inputs, in the order of the ONNX model's.
        tensors: ONNX value → the Keras tensor that stands for it, in execution order.
        placeholders: ONNX value whose entry in onnx2tf's dictionary is not it, because several
            nodes became one → the value of the last of these nodes.
        constants: ONNX values that became constants.
        input_layouts: ONNX input → permutation of its axes; ``None`` for the identity.
    """

    inputs: tuple[Any, ...]
    tensors: Mapping[str, Any]
    placeholders: Mapping[str, str]
    constants: frozenset[str]
    input_layouts: Mapping[str, tuple[int, ...] | None]


def keras() -> Any:
    """Return the Keras that onnx2tf uses, imported as it needs it."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # as the runtime of this toolchain sets them, which may come to the same process later
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    return importlib.import_module("tf_keras")


def check_operators(source: Source) -> None:
    """Raise ``UnsupportedError`` with all the operators that onnx2tf has no module for."""
    keras()
    missing = Counter(
        node.op_type
        for node in source.model.graph.node
        if importlib.util.find_spec(f"onnx2tf.ops.{node.op_type}") is None
    )
    if missing:
        raise UnsupportedError(
            "onnx2tf",
            [
                UnsupportedOperator(operator=f"onnx.{name}", count=count)
                for name, count in sorted(missing.items())
            ],
        )


def run_onnx2tf(source: Source, io_layout: str, scratch: Path) -> KerasResult:
    """Run onnx2tf, without letting it save anything.

    Args:
        source: The model.
        io_layout: ``source`` to keep the axes of the inputs, ``nhwc`` to move the channels of
            spatial inputs last.
        scratch: Folder for its temporary files, and its working folder meanwhile.

    Raises:
        ConversionError: onnx2tf failed; the message is its own, with the operator.
    """
    keras().backend.clear_session()  # the same names for the same model, whatever ran before
    onnx2tf = importlib.import_module("onnx2tf")
    entrance: Any = importlib.import_module("onnx2tf.ops.Input")
    seen: dict[str, Any] = {}
    original = entrance.make_node

    def make_node(**arguments: Any) -> Any:
        seen.update(arguments)
        return original(**arguments)

    plain = [name for name in source.inputs if name not in source.spatial]
    spatial = [_key(name) for name in source.spatial] if io_layout == "source" else None
    printed = io.StringIO()
    entrance.make_node = make_node
    try:
        with (
            tempfile.TemporaryDirectory(dir=scratch, prefix="onnx2tf-") as folder,
            contextlib.chdir(folder),
            contextlib.redirect_stdout(printed),
        ):
            _write_samples()
            model = onnx2tf.convert(
                onnx_graph=source.model,
                output_folder_path=folder,
                not_use_onnxsim=True,
                not_use_opname_auto_generate=True,
                output_signaturedefs=True,  # names that a SavedModel allows
                keep_ncw_or_nchw_or_ncdhw_input_names=spatial,
                keep_shape_absolutely_input_names=[_key(name) for name in plain],
                replace_to_pseudo_operators=["erf"],
                disable_model_save=True,
                verbosity="error",
            )
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        raise _failure(error, printed.getvalue(), source) from error
    finally:
        entrance.make_node = original
        sys.stderr.write(printed.getvalue())
    return _result(source, model, seen, io_layout)


def _result(source: Source, model: Any, seen: Mapping[str, Any], io_layout: str) -> KerasResult:
    if "tf_layers_dict" not in seen:
        raise ConversionError("this version of onnx2tf does not tell what became of the layers")
    layers = seen["tf_layers_dict"]
    tensors = {}
    constants = set()
    for value in source.producers:
        tensor = layers.get(_key(value), {}).get("tf_node")
        if hasattr(tensor, "node"):  # a Keras tensor; anything else was computed on the spot
            tensors[value] = tensor
        elif tensor is not None:
            constants.add(value)
    for value in source.outputs:
        if value not in tensors:
            raise ConversionError(f"onnx2tf made no tensor for output {value!r} (a constant?)")
    layouts = {
        name: channels_last(len(source.shapes[name]))
        if io_layout == "nhwc" and name in source.spatial
        else None
        for name in source.inputs
    }
    return KerasResult(
        inputs=tuple(layers[_key(name)]["op"] for name in source.inputs),
        tensors=tensors,
        placeholders=_placeholders(source, seen),
        constants=frozenset(constants),
        input_layouts=layouts,
    )


def _placeholders(source: Source, seen: Mapping[str, Any]) -> dict[str, str]:
    """Return what onnx2tf's peepholes left in its dictionary: stand-ins for nodes it merged."""
    outputs = {_key(node.name): node.output[0] for node in source.model.graph.node}
    merged = {}
    for peephole in _PEEPHOLES:
        for first, others in seen[peephole].items():
            group = [first, *others] if others and first in outputs else []
            for name in group[:-1]:
                merged[outputs[name]] = outputs[group[-1]]
    return merged


def _key(name: str) -> str:
    """Return the name that onnx2tf gives an ONNX name, as its ``sanitizing`` does."""
    return re.sub("^/", "wa/", name.replace(":", "__"))


def _write_samples() -> None:
    """Put the file down that onnx2tf would fetch from the network for image-like inputs."""
    samples: NDArray[np.float32] = np.random.default_rng(0).random(
        (20, 128, 128, 3), dtype=np.float32
    )
    np.save(_SAMPLES, samples)


def _failure(error: BaseException, printed: str, source: Source) -> ConversionError:
    """Return onnx2tf's failure with the operator that it names, on the exception or in its log."""
    lines = [line.strip() for line in _COLOUR.sub("", printed).splitlines() if line.strip()]
    logged = next((line for line in reversed(lines) if "onnx_op_name:" in line), "")
    name = getattr(error, "onnx_op_name", None) or logged.partition("onnx_op_name:")[2].strip()
    node = next((each for each in source.model.graph.node if _key(each.name) == name), None)
    if isinstance(error, SystemExit):
        said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        message = said[0] if said else f"it exited with code {error.code}"
    else:
        message = f"{type(error).__name__}: {error}"
    place = f" on operator {node.op_type} (value {node.output[0]!r})" if node else ""
    return ConversionError(f"onnx2tf failed{place}: {message}")
