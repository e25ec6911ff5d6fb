"""Names from a model as Kotlin identifiers, literals and comments."""

from __future__ import annotations

import pytest

from bridge.android.identifiers import (
    class_name,
    comment_text,
    is_package_name,
    property_names,
    string_literal,
)
from bridge.android.kotlin import class_names, code_text, markdown_text


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["image"], ["image"]),
        (["pixel_values", "input-ids", "a.b/c"], ["pixelValues", "inputIds", "aBC"]),
        (["attentionMask", "HTTPServer"], ["attentionMask", "httpServer"]),
        (["class", "val", "object"], ["classTensor", "valTensor", "objectTensor"]),
        (["1x", "42"], ["tensor1X", "tensor42"]),
        (["größe", "café"], ["groe", "cafe"]),
        (["数", "🙂", "", "..."], ["tensor", "tensor2", "tensor3", "tensor4"]),
        (["a.b", "a_b", "aB", "ab"], ["aB", "aB2", "aB3", "ab4"]),
        (["a", "a2", "a"], ["a", "a2", "a3"]),
        (["toString", "hashCode", "wait"], ["toStringTensor", "hashCodeTensor", "waitTensor"]),
    ],
)
def test_names_become_identifiers_of_their_own(names: list[str], expected: list[str]) -> None:
    assert property_names(names) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("digits_cnn", "DigitsCnn"), ("3d-net", "Model3DNet"), ("数", "Model"), ("Net", "Net")],
)
def test_a_class_is_named_after_its_model(name: str, expected: str) -> None:
    assert class_name(name) == expected


@pytest.mark.parametrize("name", ["string", "Int", "list", "Interpreter", "compiled", "model"])
def test_no_class_hides_one_that_the_sources_use(name: str) -> None:
    used = {"String", "Int", "List", "Interpreter", "CompiledModel", "Model"}
    made = class_names(name).model
    assert made.endswith("Model")
    assert made == "Model" or made not in used  # of LiteRT's own Model nothing is imported


def test_a_literal_holds_the_text_and_nothing_of_it_is_code() -> None:
    assert string_literal('a"b') == r'"a\"b"'
    assert string_literal("${x}$y") == r'"\${x}\$y"'
    assert string_literal("\\n\n\r\t\0") == r'"\\n\n\r\t\u0000"'
    assert string_literal("größe🙂") == r'"gr\u00f6\u00dfe\ud83d\ude42"'


def test_a_comment_cannot_be_ended_or_opened() -> None:
    made = comment_text("*/ evil /* \n next")
    assert "*/" not in made
    assert "/*" not in made
    assert "\n" not in made


def test_markdown_is_text() -> None:
    assert markdown_text("a|b_c<script>") == r"a\|b\_c\<script\>"
    assert code_text("a`b\nc") == "a'b c"


@pytest.mark.parametrize(
    ("package", "valid"),
    [
        ("com.example.model", True),
        ("com.example.x_1", True),
        ("model", False),
        ("com..model", False),
        ("com.1a", False),
        ("com.Example", False),
        ("com.class.model", False),
        ("com.package", False),
        ("com.int.model", False),
        ("com.exämple", False),
        ("", False),
        ("com.example.model\n", False),
    ],
)
def test_packages(package: str, valid: bool) -> None:
    assert is_package_name(package) is valid
