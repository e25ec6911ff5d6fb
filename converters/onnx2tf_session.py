"""One run of onnx2tf: what it made, which of its tensors is which ONNX value, and in what layout.

onnx2tf keeps a dictionary from every ONNX value to the Keras tensor that stands for it. It hands
it to each of its operator modules, and from there we keep a reference. All those tensors are then
computed in one traced function, so that each has a name in the TensorFlow graph; TensorFlow's own
converter carries these names on into the TFLite file.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConversionError, MismatchError
from .onnx2tf_axes import (
    Axes,
    Graph,
    channels_last,
    inverse,
    new_axes,
    normal,
    permutation_between,
    permuted,
    track,
)
from .onnx2tf_graphs import onnx_graph, tensorflow_graph
from .onnx2tf_source import Source

_SAMPLES = "calibration_image_sample_data_20x128x128x3_float32.npy"
_PEEPHOLES = (
    "gelu_replace_op_names",
    "mul_div_replace_op_names",
    "relu_relu6_merge_op_names",
    "space_to_depth_replace_op_names",
)
_GROSS = 1e-2
_ENDED = re.compile(r"onnx_op_name: (\S+)")


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What onnx2tf made of a model.

    Attributes:
        source: The model.
        function: The TensorFlow function that computes it.
        module: Owner of the function's variables.
        graph: The function's graph.
        nodes: ONNX value → tensor of ``graph`` that stands for it.
        axes: ONNX value → its axes.
        layouts: ONNX value → permutation of its tensor, or of the output for an output; a value
            whose layout cannot be known is missing.
        fused: ONNX value without a tensor → the value that it went into.
        constants: ONNX values that became constants.
        arguments: ONNX input → name in the signature.
        results: ONNX output → name in the signature.
        input_layouts: ONNX input → permutation; ``None`` for the identity.
    """

    source: Source
    function: Any
    module: Any
    graph: Graph
    nodes: Mapping[str, str]
    axes: Mapping[str, Axes]
    layouts: Mapping[str, tuple[int, ...]]
    fused: Mapping[str, str]
    constants: frozenset[str]
    arguments: Mapping[str, str]
    results: Mapping[str, str]
    input_layouts: Mapping[str, tuple[int, ...] | None]
