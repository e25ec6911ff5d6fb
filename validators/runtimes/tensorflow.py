"""TensorFlow on the CPU, in the toolchain that makes SavedModels."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...artifact import Artifact
from ...availability import version_of
from ...errors import SourceError
from ...formats import SAVED_MODEL
from ..runtime import Arrays, RunResult, Runtime, Session, register_runtime
from ..taps.names import require_names

_SIGNATURE = "serving_default"
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")

Call = Callable[[dict[str, Any]], tuple[Mapping[str, Any], list[Any]]]


@register_runtime
class TensorFlow(Runtime):
    """``tf.saved_model.load`` and its signature ``serving_default``.

    Taps are tensors of the signature's graph, under the names that they have there
    (``model/tf.nn.relu/Relu:0``). They are shown by another function of the same nodes, on the same
    variables.

    One thread, so that sums are made in one order and timings compare on machines of any size.
    """

    name = "tensorflow"
    title = "TensorFlow (CPU)"
    formats = (SAVED_MODEL,)
    place = "onnx2tf"
    taps = True

    def version(self) -> str:
        """Return TensorFlow's version."""
        return version_of("tensorflow") or "unknown"

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
        import tensorflow as tf

        loaded = tf.saved_model.load(str(artifact.path))
        if _SIGNATURE not in loaded.signatures:
            raise SourceError(
                f"{artifact.path.name} has no signature {_SIGNATURE!r}",
                hint=f"it has: {', '.join(loaded.signatures) or 'none'}",
            )
        return _TensorFlowSession(artifact, loaded, taps)


class _TensorFlowSession(Session):
    def __init__(self, artifact: Artifact, loaded: Any, taps: list[str]) -> None:
        super().__init__(artifact.signature)
        self._loaded = loaded  # owns the variables, which the function only borrows
        self._taps = taps
        signature = loaded.signatures[_SIGNATURE]
        self._dtypes = {
            name: spec.dtype for name, spec in signature.structured_input_signature[1].items()
        }
        self._outputs = [spec.name for spec in self.signature.outputs]
        inputs = [spec.name for spec in self.signature.inputs]
        require_names("input", inputs, self._dtypes, artifact.path)
        require_names("output", self._outputs, signature.structured_outputs, artifact.path)
        self._call = _tapped(signature, taps, artifact) if taps else _plain(signature)

    def _run(self, inputs: Arrays) -> RunResult:
        import tensorflow as tf

        tensors = {
            name: tf.constant(array, dtype=self._dtypes[name]) for name, array in inputs.items()
        }
        outputs, shown = self._call(tensors)
        return RunResult(
            outputs={name: np.array(outputs[name]) for name in self._outputs},
            taps={name: np.array(each) for name, each in zip(self._taps, shown, strict=True)},
        )


@dataclass(frozen=True, kw_only=True)
class _Body:
    """The graph that does a signature's work.

    Attributes:
        definition: Its nodes and the functions that they call.
        tensors: Names of all its tensors.
        inputs: Its input → the signature's input that it is given.
        outputs: Output name of the signature → its tensor.
    """

    definition: Any
    tensors: frozenset[str]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def _body(signature: Any) -> _Body:
    """Return the graph behind a signature, which ``tf.saved_model.save`` makes a call of it."""
    from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

    outer = signature.graph
    library = outer.as_graph_def().library
    # results are flat, in the order of their sorted names, each behind an Identity
    results = [tensor.op.inputs[0] for tensor in outer.outputs if tensor.op.inputs]
    call = results[0].op if results else None
    if (
        call is None
        or call.type not in _CALLS
        or any(each.op.name != call.name for each in results)
    ):
        raise SourceError(f"the signature {_SIGNATURE!r} was not written by tf.saved_model.save")
    name = call.get_attr("f").name
    graph = function_def_to_graph(
        next(each for each in library.function if each.signature.name == name)
    )
    definition = graph.as_graph_def()
    definition.library.CopyFrom(library)
    return _Body(
        definition=definition,
        tensors=frozenset(
            tensor.name for operation in graph.get_operations() for tensor in operation.outputs
        ),
        inputs={
            inner.name: given.name for inner, given in zip(graph.inputs, call.inputs, strict=True)
        },
        outputs={
            name: graph.outputs[result.value_index].name
            for name, result in zip(sorted(signature.structured_outputs), results, strict=True)
        },
    )


def _plain(signature: Any) -> Call:
    """Return the signature itself, as a function that shows nothing."""
    return lambda tensors: (signature(**tensors), [])


def _tapped(signature: Any, taps: list[str], artifact: Artifact) -> Call:
    """Return a function of the signature's own nodes that shows some of their results as well.

    It is not made by freezing: in a frozen graph TensorFlow 2.19's optimizer recognises a layer
    norm and replaces it by oneDNN's, which has an epsilon of its own. Looking would change the
    answer.
    """
    import tensorflow as tf

    body = _body(signature)
    require_names("tensor", taps, body.tensors, artifact.path)
    outputs = list(body.outputs)

    def compute(*values: Any) -> list[Any]:
        graph = tf.compat.v1.get_default_graph()
        tensors = [*values, *(graph.capture(each) for each in signature.captured_inputs)]
        fed = dict(zip((tensor.name for tensor in signature.inputs), tensors, strict=True))
        found: list[Any] = tf.graph_util.import_graph_def(
            body.definition,
            input_map={inner: fed[outer] for inner, outer in body.inputs.items()},
            return_elements=[*(body.outputs[name] for name in outputs), *taps],
            name="",
        )
        return found

    named = signature.structured_input_signature[1]
    count = len(signature.inputs) - len(signature.captured_inputs)
    arguments = [tensor.name.partition(":")[0] for tensor in signature.inputs[:count]]
    function = tf.function(compute, input_signature=[named[name] for name in arguments])

    def call(tensors: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        found = function(*(tensors[name] for name in arguments))
        return dict(zip(outputs, found, strict=False)), list(found[len(outputs) :])

    return call
