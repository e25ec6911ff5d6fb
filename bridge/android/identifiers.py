"""Kotlin identifiers and literals from names that know nothing of Kotlin."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# https://kotlinlang.org/docs/keyword-reference.html: the hard keywords, and those soft ones that
# read badly as a property
_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """as break class continue do else false for fun if in interface is null object package
        return super this throw true try typealias typeof val var when while field it value""",
    )
)
# in lower case; the members that every object has, and those of the generated classes
_TAKEN = frozenset({"equals", "hashcode", "tostring", "getclass", "notify", "notifyall", "wait"})
# Java's, which a package's folders and R class go through too
_JAVA_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """abstract assert boolean byte case catch char const default double enum extends final
        finally float goto implements import instanceof int long native new private protected
        public short static strictfp switch synchronized throws transient void volatile""",
    )
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PACKAGE_PART = re.compile(r"[a-z][a-z0-9_]*")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def property_names(names: Iterable[str]) -> list[str]:
    """Return a lowerCamelCase identifier for each name, in order, all different.

    Names that become the same get a number: ``a.b`` and ``a_b`` become ``aB`` and ``aB2``. What
    has no letter or digit of ASCII (after NFKD) left becomes ``tensor``.
    """
    unique: list[str] = []
    for name in names:
        unique.append(_different(_property(name), unique))
    return unique


def class_name(name: str) -> str:
    """Return an UpperCamelCase identifier for a name; ``Model`` if nothing of it is left."""
    made = "".join(_capital(word) for word in _words(name))
    if not made:
        return "Model"
    return f"Model{made}" if made[0].isdigit() else made


def is_package_name(name: str) -> bool:
    """Whether a text is a package name that Kotlin, Java and Android take, like ``com.example``."""
    parts = name.split(".")
    return len(parts) > 1 and all(
        _PACKAGE_PART.fullmatch(part) and part not in _KEYWORDS and part not in _JAVA_KEYWORDS
        for part in parts
    )


def string_literal(text: str) -> str:
    """Return a text as a Kotlin string literal, with its quotes.

    Everything outside of printable ASCII is escaped, so that the file reads the same in any
    encoding.
    """
    return '"' + "".join(_escaped(unit) for unit in _utf16_units(text)) + '"'


def comment_text(text: str) -> str:
    """Return a text that can stand in a KDoc comment on one line, and cannot end it."""
    visible = "".join(each if each.isprintable() else " " for each in text)
    return visible.replace("*/", "*\u200b/").replace("/*", "/\u200b*")


def _property(name: str) -> str:
    first, *rest = _words(name) or ["tensor"]
    made = first.lower() + "".join(_capital(word) for word in rest)
    if made[0].isdigit():
        made = f"tensor{made}"
    return f"{made}Tensor" if made in _KEYWORDS or made.lower() in _TAKEN else made


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _WORD.findall(plain)


def _capital(word: str) -> str:
    return word[0].upper() + word[1:].lower()


def _different(name: str, others: Iterable[str]) -> str:
    """The name, or with the first number that makes it different in any case of letters.

    On the JVM two properties whose getters differ in case only are a trap for whoever reads them.
    """
    taken = {other.lower() for other in others}
    made, number = name, 2
    while made.lower() in taken:
        made, number = f"{name}{number}", number + 1
    return made


def _utf16_units(text: str) -> list[str]:
    data = text.encode("utf-16-be", "surrogatepass")
    return [chr(int.from_bytes(data[place : place + 2], "big")) for place in range(0, len(data), 2)]


def _escaped(unit: str) -> str:
    if unit in _ESCAPES:
        return _ESCAPES[unit]
    return unit if " " <= unit <= "~" else f"\\u{ord(unit):04x}"
