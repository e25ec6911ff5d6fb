"""Protobuf messages without the classes that a schema would give; fields go by their numbers."""

from __future__ import annotations

from ..formats import protobuf_fields
from .facts import DamagedError


class Message:
    """One message, of which the messages within are read when they are asked for.

    Args:
        content: The message in wire format; nothing of it is copied.

    Raises:
        ValueError: It is not in wire format, or ends too early.
    """

    def __init__(self, content: memoryview) -> None:
        self._fields: dict[int, list[int | memoryview]] = {}
        for number, value in protobuf_fields(content):
            self._fields.setdefault(number, []).append(value)

    def children(self, field: int) -> list[Message]:
        """Return the messages of a repeated field."""
        return [Message(content) for content in self._contents(field)]

    def child(self, field: int) -> Message:
        """Return the message of a field; an empty one if it is not set."""
        return Message(next(reversed(self._contents(field)), memoryview(b"")))

    def texts(self, field: int) -> list[str]:
        """Return the texts of a repeated field."""
        return [str(content, "utf-8") for content in self._contents(field)]

    def text(self, field: int) -> str:
        """Return the text of a field; empty if it is not set."""
        return next(reversed(self.texts(field)), "")

    def number(self, field: int) -> int:
        """Return the signed 64-bit number of a field; 0 if it is not set."""
        value = self._fields.get(field, [0])[-1]
        if isinstance(value, memoryview):
            raise DamagedError(f"field {field} of a message is not a number")
        return value - 2**64 if value >= 2**63 else value

    def _contents(self, field: int) -> list[memoryview]:
        contents = []
        for value in self._fields.get(field, ()):
            if isinstance(value, int):
                raise DamagedError(f"field {field} of a message is a number")
            contents.append(value)
        return contents
