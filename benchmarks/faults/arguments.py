"""Wrong arguments of PyTorch's operators, in TorchScript and in what is lowered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .changes import exchanged
from .edits import Edit

_UNBOUNDED = 2**63 - 1

Values = Mapping[str, Any]


def changed_arguments(edit: Edit, values: Values) -> dict[str, Any] | None:
    """Return the arguments that an edit sets, or ``None`` if it would change nothing.

    Args:
        edit: An edit of an attribute or of a slice.
        values: Name → value of each argument; ``None`` for those that are no constants.
    """
    made = _moved(values) if edit.how == "slice" else _changed(str(edit.at), edit, values)
    if made is None or all(values[name] == value for name, value in made.items()):
        return None
    return made


def _changed(name: str, edit: Edit, values: Values) -> dict[str, Any] | None:
    before = values.get(name)
    if before is None:
        return None
    if edit.change == "to":
        return {name: edit.by}
    if edit.change == "times":
        return {name: before * edit.by}
    if edit.change == "flip":
        return {name: not before}
    if edit.change == "other":
        first, second = edit.by
        return {name: second if before == first else first}
    if edit.change == "dilated":
        # what the kernel's size is, the padding of a convolution that keeps the shape tells
        padding = values.get("padding")
        if not padding or not any(padding) or any(each != 1 for each in before):
            return None
        return {"dilation": [2] * len(before), "padding": [2 * each for each in padding]}
    if edit.change == "exchanged":
        return {name: exchanged(before, -1, -2)} if len(before) > 2 else None
    if edit.change == "neighbour":
        one = [_neighbour(each) for each in before] if isinstance(before, list) else None
        return {name: one or _neighbour(before)}
    return None


def _neighbour(axis: int) -> int:
    return axis - 1 if axis > 1 or axis < 0 else axis + 1


def _moved(values: Values) -> dict[str, Any] | None:
    """A slice of the same length one element away, where that can be told without the size."""
    if "index" in values:
        index = values["index"]
        return {"index": index + 1 if index == 0 else index - 1} if index is not None else None
    start, end = values.get("start"), values.get("end")
    if not isinstance(start, int) or not isinstance(end, int):
        return None
    if start > 0:
        return {"start": start - 1, "end": -1 if end == _UNBOUNDED else end - 1}
    if end == _UNBOUNDED or start < 0:
        return None
    return {"start": 1, "end": _UNBOUNDED if end == -1 else end + 1}
