"""LiteRT, with its default XNNPACK delegate and with its plain kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ...artifact import Artifact, Signature, TensorSpec
from ...errors import SourceError
from ...formats import TFLITE
from ..cutting.tflite import cut
from ..runtime import Arrays, RunResult, Runtime, Session, cut_signature, register_runtime
from ..taps.names import require_names
from ..taps.tflite import expose

_DEFAULT_SIGNATURE = "serving_default"


class _LiteRT(Runtime):
    """What both sets of kernels share.

    One thread, so that sums are made in one order and timings compare on machines of any size; it
    is also LiteRT's own default. Values are the stored ones: those of quantized tensors are not
    dequantized.
    """

    formats = (TFLITE,)
    packages = ("ai-edge-litert", "flatbuffers")
    taps = True
    cuts = True
    resolver: ClassVar[str]

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        # of the shipped file with taps too: it is what says that the file is damaged
        interpreter = self._load(model_path=str(artifact.path))
        if not taps:
            return _LiteRTSession(artifact, artifact.signature, interpreter, {})
        instrumented = expose(artifact.path, taps)
        interpreter = self._load(model_content=instrumented.content)
        return _LiteRTSession(artifact, artifact.signature, interpreter, instrumented.tensors)

    def _open_cut(self, artifact: Artifact, taps: list[str], cuts: Sequence[TensorSpec]) -> Session:
        pieces = cut(artifact.path, taps, [each.name for each in cuts])
        interpreter = self._load(model_content=pieces.content)
        return _LiteRTSession(artifact, cut_signature(artifact, cuts), interpreter, pieces.tensors)

    def _load(self, **model: Any) -> Any:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        return Interpreter(
            **model,
            experimental_op_resolver_type=getattr(OpResolverType, self.resolver),
            num_threads=self.threads,
        )


@register_runtime
class LiteRTXnnpack(_LiteRT):
    """What an Android app gets: XNNPACK where it has a kernel, LiteRT's own elsewhere."""

    name = "litert-xnnpack"
    title = "LiteRT (XNNPACK)"
    resolver = "AUTO"


@register_runtime
class LiteRTBuiltin(_LiteRT):
    """LiteRT's own kernels alone, to tell the delegate's mistakes from the file's."""

    name = "litert-builtin"
    title = "LiteRT (builtin kernels)"
    resolver = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"


class _LiteRTSession(Session):
    def __init__(
        self, artifact: Artifact, signature: Signature, interpreter: Any, taps: dict[str, int]
    ) -> None:
        super().__init__(signature)
        self.interpreter = interpreter
        self._taps = taps
        inputs = {each["name"]: each["index"] for each in interpreter.get_input_details()}
        outputs = {each["name"]: each["index"] for each in interpreter.get_output_details()}
        named = self._named_tensors(interpreter._get_full_signature_list())
        if named is not None:
            foreign = set(named["inputs"].values()) - set(inputs.values())
            if foreign or set(named["outputs"].values()) - set(outputs.values()):
                raise SourceError(
                    f"the signature of {artifact.path.name} belongs to a subgraph other than the "
                    "first, which is the one that runs"
                )
            inputs, outputs = named["inputs"], named["outputs"]
        wanted_inputs = [spec.name for spec in self.signature.inputs]
        wanted_outputs = [spec.name for spec in self.signature.outputs]
        require_names("input", wanted_inputs, inputs, artifact.path)
        require_names("output", wanted_outputs, outputs, artifact.path)
        unlisted = set(inputs) - set(wanted_inputs)
        if unlisted:  # it would be left as whatever the memory holds
            raise SourceError(
                f"{artifact.path.name} also takes {', '.join(sorted(unlisted))}, which its "
                "signature does not list"
            )
        self._inputs = {name: inputs[name] for name in wanted_inputs}
        self._outputs = {name: outputs[name] for name in wanted_outputs}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def _named_tensors(self, definitions: dict[str, Any]) -> dict[str, dict[str, int]] | None:
        """The SignatureDef that knows the artifact's names, the default one first."""
        wanted = {spec.name for spec in (*self.signature.inputs, *self.signature.outputs)}
        ordered = sorted(definitions, key=lambda key: (key != _DEFAULT_SIGNATURE, key))
        for key in ordered:
            known: dict[str, dict[str, int]] = definitions[key]
            if wanted <= {*known["inputs"], *known["outputs"]}:
                return known
        return None  # names of tensors, then; a file may have no SignatureDef

    def _run(self, inputs: Arrays) -> RunResult:
        shapes = {name: array.shape for name, array in inputs.items()}
        if shapes != self._shapes:
            for name, shape in shapes.items():
                self.interpreter.resize_tensor_input(self._inputs[name], shape)
            self.interpreter.allocate_tensors()
            self._shapes = shapes
        # every run starts alike: a recurrent layer may keep its state in a variable tensor
        self.interpreter.reset_all_variables()
        for name, array in inputs.items():
            self.interpreter.set_tensor(self._inputs[name], array)
        self.interpreter.invoke()
        read = self.interpreter.get_tensor  # a copy
        return RunResult(
            outputs={name: read(index) for name, index in self._outputs.items()},
            taps={name: read(index) for name, index in self._taps.items()},
        )
