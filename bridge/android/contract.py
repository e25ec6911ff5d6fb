"""What the inputs and outputs of a model are, to whoever calls it from an app."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..artifact import Artifact, TensorSpec
from ..errors import InputError, SourceError, UsageError
from ..inspection.flatbuffer import mapped
from ..inspection.tflite_file import members, text
from .identifiers import property_names

MANIFEST_HINT = "convert again"


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """What an input's raw values become: ``(raw - mean) / std``, one of each or one per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def parse(cls, mean: str | None, std: str | None) -> Normalization | None:
        """Read two lists of numbers with commas; the one that is missing is of 0, or of 1.

        Raises:
            InputError: A text is something else.
        """
        if mean is None and std is None:
            return None
        means, deviations = _numbers("--mean", mean), _numbers("--std", std)
        return cls(mean=means or (0.0,) * len(deviations), std=deviations or (1.0,) * len(means))


def _numbers(option: str, text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    try:
        numbers = tuple(float(each) for each in text.split(","))
    except ValueError:
        raise InputError(
            f"{option} {text!r} is not a list of numbers",
            hint=f"such as {option} 123.675,116.28,103.53",
        ) from None
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"{option} {text!r} is not finite")
    return numbers


@dataclass(frozen=True, kw_only=True)
class BundleTensor:
    """An input or output.

    Attributes:
        spec: Its name, shape and type in the file.
        identifier: Its name in Kotlin.
        position: Its place among the inputs or outputs of the file's main subgraph, by which the
            Interpreter knows it.
        range: Least and greatest value that were seen; ``None`` if none was finite.
        seen: Where they were seen, for people.
        normalization: How raw values become the input's, if the user said it.
        labels: Names of the entries of the last axis, if the user gave them.
    """

    spec: TensorSpec
    identifier: str
    position: int
    range: tuple[float, float] | None = None
    seen: str = ""
    normalization: Normalization | None = None
    labels: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes, all of which are fixed."""
        return tuple(size for size in self.spec.shape if size is not None)

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Inputs and outputs of a bundle's model, in the order of its source."""

    inputs: tuple[BundleTensor, ...]
    outputs: tuple[BundleTensor, ...]


def read_contract(artifact: Artifact) -> Contract:
    """Return the inputs and outputs of a TFLite artifact.

    Raises:
        UsageError: A shape is not fixed.
        SourceError: The file has no such inputs or outputs.
    """
    signature = artifact.signature
    changing = [each for each in (*signature.inputs, *signature.outputs) if None in each.shape]
    if changing:
        raise UsageError(
            "the shapes of " + ", ".join(map(str, changing)) + " are not fixed, and an app needs "
            "buffers of one size",
            hint="convert with sizes in place of ?, such as --input image=1x3x224x224",
        )
    inputs, outputs = _positions(artifact.path)
    return Contract(
        inputs=_tensors(artifact.path, signature.inputs, inputs),
        outputs=_tensors(artifact.path, signature.outputs, outputs),
    )


def _tensors(
    path: Path, specs: Sequence[TensorSpec], positions: Mapping[str, int]
) -> tuple[BundleTensor, ...]:
    missing = [spec.name for spec in specs if spec.name not in positions]
    if missing:
        raise SourceError(f"{path} has no {', '.join(missing)}", hint=MANIFEST_HINT)
    identifiers = property_names(spec.name for spec in specs)
    return tuple(
        BundleTensor(spec=spec, identifier=identifier, position=positions[spec.name])
        for spec, identifier in zip(specs, identifiers, strict=True)
    )


def _positions(path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Name → place of each input and of each output of the main subgraph.

    The names are those of the tensors and of the signature that is of that subgraph, which count
    more: two outputs of a signature may be one of the subgraph.
    """
    from ai_edge_litert import schema_py_generated as schema

    with mapped(path) as data:
        model = schema.Model.GetRootAs(data)
        main = model.Subgraphs(0)
        sides = []
        for side in ("Inputs", "Outputs"):
            indices = [int(index) for index in members(main, side)]
            found = {text(main.Tensors(index).Name()): place for place, index in enumerate(indices)}
            for entry in members(model, "SignatureDefs"):
                if entry.SubgraphIndex() == 0:
                    found |= {
                        text(each.Name()): indices.index(each.TensorIndex())
                        for each in members(entry, side)
                    }
            sides.append(found)
        return sides[0], sides[1]


def read_labels(path: Path) -> tuple[str, ...]:
    """Read labels, one a line; blank lines at the end do not count.

    Raises:
        InputError: The file cannot be read, is not UTF-8 or is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error.reason}") from error
    if not lines:
        raise InputError(f"{path} has no labels in it")
    return tuple(line.strip() for line in lines)


def labelled_output(outputs: Sequence[BundleTensor], labels: Sequence[str]) -> int:
    """Return which output the labels name: the first whose last axis is as long as they are many.

    Raises:
        InputError: There is none.
    """
    for index, output in enumerate(outputs):
        if output.shape and output.shape[-1] == len(labels):
            return index
    found = ", ".join(str(each.spec) for each in outputs)
    raise InputError(
        f"there are {len(labels)} labels, and no output has as many entries on its last axis "
        f"({found})",
        hint="give one label for each entry, in their order",
    )


def normalized_input(inputs: Sequence[BundleTensor], normalization: Normalization) -> int:
    """Return which input a normalization is of: the only one of floats that is like an image.

    Raises:
        InputError: There is no such input, or several, or the numbers do not fit its channels.
    """
    floats = [index for index, each in enumerate(inputs) if each.spec.dtype.startswith("float")]
    images = [index for index in floats if len(inputs[index].shape) == 4]
    candidates = images or floats
    if len(candidates) != 1:
        raise InputError(
            f"--mean and --std are of one input, and {len(candidates)} may be meant: "
            + ", ".join(str(each.spec) for each in inputs)
        )
    chosen = inputs[candidates[0]]
    count = {len(normalization.mean), len(normalization.std)}
    if any(not value for value in normalization.std):
        raise InputError("--std must not be 0")
    channels = channels_of(chosen)
    fitting = sorted({1, channels[1] if channels else 1})
    if len(count) != 1 or not count <= set(fitting):
        raise InputError(
            f"--mean has {len(normalization.mean)} value(s) and --std {len(normalization.std)}; "
            f"{chosen.spec} takes {' or '.join(map(str, fitting))} of each"
        )
    return candidates[0]


def channels_of(tensor: BundleTensor) -> tuple[int, int] | None:
    """Return the axis and number of an image's channels: 1, 3 or 4 on axis 1 or the last."""
    if len(tensor.shape) != 4:
        return None
    layout = tensor.spec.layout
    axes = {"NCHW": (1,), "NHWC": (3,)}.get(
        layout or "", (3,) if tensor.spec.permutation else (1, 3)
    )
    return next(
        ((axis, tensor.shape[axis]) for axis in axes if tensor.shape[axis] in (1, 3, 4)), None
    )
