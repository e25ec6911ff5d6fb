"""Small TFLite files made by hand with the schema's object API: no converter is needed to test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.artifact import Artifact, Quantization, Signature, TensorSpec, digest
from bridge.formats import TFLITE

Array = NDArray[Any]


class TFLiteFile:
    """One subgraph, built op by op; tensors are named by their index in the file."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.model = schema.ModelT()
        self.model.version = 3
        self.graph = schema.SubGraphT()
        self.graph.name = "main"
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]
        self.model.buffers = [schema.BufferT()]  # by convention the first one is empty
        self.model.operatorCodes = []
        self.inputs: dict[str, int] = {}
        self.outputs: dict[str, int] = {}

    def tensor(
        self,
        name: str,
        shape: Sequence[int | None],
        dtype: str = "FLOAT32",
        data: Array | None = None,
        quantization: Quantization | None = None,
    ) -> int:
        """Add a tensor; a size of None is dynamic."""
        tensor = self.schema.TensorT()
        tensor.name = name
        tensor.type = getattr(self.schema.TensorType, dtype)
        tensor.shape = [1 if size is None else size for size in shape]
        if None in shape:
            tensor.shapeSignature = [-1 if size is None else size for size in shape]
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        if quantization is not None:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = list(quantization.scales)
            tensor.quantization.zeroPoint = list(quantization.zero_points)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, data: Array) -> int:
        """Add a constant tensor."""
        dtype = {"float32": "FLOAT32", "int32": "INT32"}[data.dtype.name]
        return self.tensor(name, data.shape, dtype, data)

    def operator(
        self, op: str, inputs: Sequence[int], output: int, options: str = "", **values: Any
    ) -> int:
        """Add an operator with one result and return the result's index."""
        code = self.schema.OperatorCodeT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, op)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = 1
        self.model.operatorCodes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = list(inputs), [output]
        if options:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(self.schema, options + "T")()
            for key, value in values.items():
                setattr(operator.builtinOptions, key, value)
        self.graph.operators.append(operator)
        return output

    def finish(self, *, signed: bool = True) -> bytes:
        """Pack the file; ``inputs`` and ``outputs`` become its SignatureDef if it is signed."""
        import flatbuffers

        self.graph.inputs = list(self.inputs.values())
        self.graph.outputs = list(self.outputs.values())
        if signed:
            definition = self.schema.SignatureDefT()
            definition.signatureKey = "serving_default"
            definition.inputs = [self._named(*pair) for pair in self.inputs.items()]
            definition.outputs = [self._named(*pair) for pair in self.outputs.items()]
            self.model.signatureDefs = [definition]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _named(self, name: str, index: int) -> Any:
        entry = self.schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        return entry


def weights(seed: int = 7) -> dict[str, Array]:
    """Weights of ``cnn``, in TFLite's own axes (OHWI, and 1HWC for the depthwise one)."""
    draw = np.random.default_rng(seed)
    shapes = {
        "conv.weight": (8, 3, 3, 3),
        "conv.bias": (8,),
        "depthwise.weight": (1, 3, 3, 8),
        "depthwise.bias": (8,),
        "head.weight": (5, 8 * 8 * 8),
        "head.bias": (5,),
    }
    return {name: draw.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}


def cnn(*, batch: int | None = 1, constants: Mapping[str, Array] | None = None) -> TFLiteFile:
    """CONV_2D with ReLU, DEPTHWISE_CONV_2D, ADD of both with ReLU, RESHAPE, FULLY_CONNECTED."""
    constants = constants or weights()
    file = TFLiteFile()
    index = {name: file.constant(name, data) for name, data in constants.items()}
    relu = file.schema.ActivationFunctionType.RELU
    image = file.tensor("image", (batch, 8, 8, 3))
    conv = file.operator(
        "CONV_2D",
        [image, index["conv.weight"], index["conv.bias"]],
        file.tensor("conv", (batch, 8, 8, 8)),
        "Conv2DOptions",
        strideH=1,
        strideW=1,
        fusedActivationFunction=relu,
    )
    depthwise = file.operator(
        "DEPTHWISE_CONV_2D",
        [conv, index["depthwise.weight"], index["depthwise.bias"]],
        file.tensor("depthwise", (batch, 8, 8, 8)),
        "DepthwiseConv2DOptions",
        strideH=1,
        strideW=1,
        depthMultiplier=1,
    )
    added = file.operator(
        "ADD",
        [conv, depthwise],
        file.tensor("sum", (batch, 8, 8, 8)),
        "AddOptions",
        fusedActivationFunction=relu,
    )
    flat = file.operator(
        "RESHAPE",
        [added, file.constant("flat_shape", np.array([-1, 512], np.int32))],
        file.tensor("flat", (batch, 512)),
        "ReshapeOptions",
        newShape=[-1, 512],
    )
    logits = file.operator(
        "FULLY_CONNECTED",
        [flat, index["head.weight"], index["head.bias"]],
        file.tensor("StatefulPartitionedCall:0", (batch, 5)),
        "FullyConnectedOptions",
    )
    file.inputs, file.outputs = {"image": image}, {"logits": logits}
    return file


def cnn_signature(*, batch: int | None = 1, signed: bool = True) -> Signature:
    """Signature of ``cnn``; without a SignatureDef the tensors' own names count."""
    output = "logits" if signed else "StatefulPartitionedCall:0"
    return Signature(
        inputs=(TensorSpec(name="image", shape=(batch, 8, 8, 3), dtype="float32"),),
        outputs=(TensorSpec(name=output, shape=(batch, 5), dtype="float32"),),
    )


def artifact(path: Path, content: bytes, signature: Signature) -> Artifact:
    """Write a file and describe it."""
    path.write_bytes(content)
    return Artifact(
        format=TFLITE, path=path, sha256=digest(path), size=len(content), signature=signature
    )
