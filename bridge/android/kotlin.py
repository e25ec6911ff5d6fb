"""The Kotlin sources of a bundle, from templates."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..artifact import TensorSpec
from ..errors import UsageError
from .contract import BundleTensor, Contract
from .identifiers import class_name, comment_text, is_package_name, string_literal
from .metadata import describe

if TYPE_CHECKING:
    import jinja2

MAIN, TESTS = "src/main/kotlin", "src/androidTest/kotlin"
LITERT_1, LITERT_2 = "litert1", "litert2"

# a class of the package wins over what Kotlin and the imports know by the same name
_SUFFIX = "Model"
_IMPORTED = frozenset({"CompiledModel"})


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How Kotlin holds the elements of a type.

    Attributes:
        array: Class of the array.
        view: Prefix of the buffer class that reads several bytes at once; empty for single bytes.
        compiled: Suffix of CompiledModel's read and write functions; empty if it has none.
        reader: Function of the test that reads an array from a golden file.
        to_double: Expression of an element as a Double.
    """

    array: str
    view: str
    compiled: str
    reader: str
    to_double: str = "values[it].toDouble()"


KINDS: Mapping[str, Kind] = {
    "float32": Kind(array="FloatArray", view="Float", compiled="Float", reader="floats"),
    "int64": Kind(array="LongArray", view="Long", compiled="Long", reader="longs"),
    "int32": Kind(array="IntArray", view="Int", compiled="Int", reader="ints"),
    "int16": Kind(array="ShortArray", view="Short", compiled="", reader="shorts"),
    "int8": Kind(array="ByteArray", view="", compiled="Int8", reader="bytes"),
    "uint8": Kind(
        array="ByteArray",
        view="",
        compiled="",
        reader="bytes",
        to_double="(values[it].toInt() and 0xFF).toDouble()",
    ),
    "bool": Kind(
        array="BooleanArray",
        view="",
        compiled="Boolean",
        reader="booleans",
        to_double="if (values[it]) 1.0 else 0.0",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names of the generated classes."""

    model: str

    @property
    def input(self) -> str:
        """The class that holds the inputs."""
        return f"{self.model}Input"

    @property
    def output(self) -> str:
        """The class that holds the outputs."""
        return f"{self.model}Output"

    @property
    def compiled(self) -> str:
        """The class that runs on CompiledModel."""
        return f"{self.model}Compiled"


@dataclass(frozen=True, kw_only=True)
class _Tensor:
    """A tensor as the templates see it."""

    spec: TensorSpec
    identifier: str
    shape: tuple[int, ...]
    position: int
    elements: int
    bytes: int
    kind: Kind
    text: str


def class_names(name: str) -> Names:
    """Return the names of the classes for a model's name."""
    made = class_name(name)
    if not made.endswith(_SUFFIX):
        made += _SUFFIX
    return Names(model=f"Own{made}" if made in _IMPORTED else made)


def check_package(package: str) -> None:
    """Raise ``UsageError`` unless a text is a package's name."""
    if not is_package_name(package):
        raise UsageError(
            f"{package!r} is no package name",
            hint="it has at least two parts of lower-case letters, digits and underscores, none of "
            "them a keyword, such as com.example.model",
        )


def not_compiled(contract: Contract) -> str:
    """Say why CompiledModel cannot run a model, or nothing."""
    foreign = [
        str(each.spec)
        for each in (*contract.inputs, *contract.outputs)
        if not _kind(each.spec).compiled
    ]
    return f"CompiledModel's buffers have no type for {', '.join(foreign)}" if foreign else ""


def kotlin_sources(
    contract: Contract, names: Names, package: str, *, gpu_refusal: str = ""
) -> dict[str, str]:
    """Return the sources of a bundle.

    Args:
        contract: Inputs and outputs.
        names: Names of the classes.
        package: The package that they are in.
        gpu_refusal: Why the model is known not to run on the GPU as a whole; empty otherwise.

    Returns:
        Path in the bundle → text.

    Raises:
        UsageError: An input or output is of a type that LiteRT's Java API has not.
    """
    inputs, outputs = ([_tensor(each) for each in side] for side in _sides(contract))
    context = {
        "made": f"Made by driftbridge {__version__}. Convert again instead of editing.",
        "package": package,
        "names": names,
        "inputs": inputs,
        "outputs": outputs,
        "input_kinds": _distinct(inputs),
        "output_kinds": _distinct(outputs),
        "sides": [
            {"what": "inputs", "name": names.input, "tensors": inputs},
            {"what": "outputs", "name": names.output, "tensors": outputs},
        ],
        "gpu_refusal": gpu_refusal,
    }
    folder = package.replace(".", "/")
    files = {
        f"{MAIN}/{folder}/{names.model}Tensors.kt": "Tensors.kt.j2",
        f"{MAIN}/{folder}/{names.model}.kt": "Interpreter.kt.j2",
        f"{TESTS}/{folder}/GoldenVectors.kt": "GoldenVectors.kt.j2",
        f"{TESTS}/{folder}/{names.model}Golden.kt": "Golden.kt.j2",
        f"{TESTS}/{folder}/{names.model}InterpreterTest.kt": "InterpreterTest.kt.j2",
        f"{LITERT_1}/{TESTS}/{folder}/{names.model}GpuDelegateTest.kt": "GpuDelegateTest.kt.j2",
    }
    if not not_compiled(contract):
        files |= {
            f"{LITERT_2}/{MAIN}/{folder}/{names.compiled}.kt": "Compiled.kt.j2",
            f"{LITERT_2}/{TESTS}/{folder}/{names.compiled}Test.kt": "CompiledTest.kt.j2",
        }
    return {path: render(template, context) for path, template in files.items()}


def render(template: str, context: Mapping[str, Any]) -> str:
    """Fill a template of this package."""
    return _environment().get_template(template).render(context)


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bridge.android", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the results are Kotlin and Markdown: names go through the filters
    )
    environment.filters |= {
        "literal": string_literal,
        "comment": comment_text,
        "markdown": markdown_text,
        "code": code_text,
        "number": lambda number: f"{number:.3g}",
        "call": lambda argument, function: f"{function}({argument})",
    }
    return environment


def markdown_text(text: str) -> str:
    """Return a text that means itself in a Markdown table and is no markup."""
    visible = "".join(each if each.isprintable() else " " for each in text)
    return "".join(f"\\{each}" if each in "\\`*_{}[]<>#|!&" else each for each in visible)


def code_text(text: str) -> str:
    """Return a text that can stand between backticks in Markdown."""
    return "".join("'" if each == "`" else each if each.isprintable() else " " for each in text)


def _sides(contract: Contract) -> tuple[Sequence[BundleTensor], Sequence[BundleTensor]]:
    return contract.inputs, contract.outputs


def _tensor(tensor: BundleTensor) -> _Tensor:
    return _Tensor(
        spec=tensor.spec,
        identifier=tensor.identifier,
        shape=tensor.shape,
        position=tensor.position,
        elements=tensor.elements,
        bytes=tensor.elements * np.dtype(tensor.spec.dtype).itemsize,
        kind=_kind(tensor.spec),
        text=describe(tensor),
    )


def _kind(spec: TensorSpec) -> Kind:
    if spec.dtype not in KINDS:
        raise UsageError(
            f"{spec}: LiteRT's Java and Kotlin API has no such type",
            hint=f"inputs and outputs may be {', '.join(KINDS)}",
        )
    return KINDS[spec.dtype]


def _distinct(tensors: Iterable[_Tensor]) -> list[Kind]:
    """The kinds by their arrays: two types may share one."""
    return list({tensor.kind.array: tensor.kind for tensor in tensors}.values())
