"""The tables that ``inspect`` prints of a TFLite file's graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from ..api import Look
    from ..validators.compatibility.origins import PlacedOperator
    from ..validators.compatibility.xnnpack import Delegation


def graph_tables(look: Look) -> Iterator[Any]:
    """Yield the transposes, what XNNPACK takes, and what it leaves, each with its source line."""
    transposes = look.transposes
    yield f"\n{_count(len(transposes), 'transpose')}"
    if transposes:
        yield _operators(look, transposes)
    yield ""
    whole = all(each.graph == 0 for each in look.operators)
    yield escape(_delegated(look.delegation) + ("" if whole else " of the main graph"))
    if look.delegation.partitions:
        yield _partitions(look.delegation)
    for operators, what in (
        (look.delegation.left, "not delegated"),
        (look.delegation.unread, "of which it cannot be told: nothing reads their results"),
    ):
        if operators:
            yield f"\n{_count(len(operators), 'operator')} {what}"
            yield _operators(look, operators)


def _delegated(delegation: Delegation) -> str:
    runtime = f"XNNPACK (ai-edge-litert {delegation.version})"
    if delegation.reason:
        return f"what XNNPACK takes is not known: {delegation.reason}"
    total = delegation.taken + len(delegation.left) + len(delegation.unread)
    if not delegation.partitions:
        return f"{runtime} takes none of {_count(total, 'operator')}"
    partitions = _count(len(delegation.partitions), "partition")
    return f"{runtime} takes {delegation.taken} of {_count(total, 'operator')} in {partitions}"


def _partitions(delegation: Delegation) -> Table:
    table = Table()
    table.add_column("partition", justify="right")
    table.add_column("operators", justify="right")
    table.add_column("which", overflow="fold")
    for number, partition in enumerate(delegation.partitions, 1):
        counts = Counter(each.name for each in partition).most_common()
        which = ", ".join(name if count == 1 else f"{count} {name}" for name, count in counts)
        table.add_row(str(number), str(len(partition)), escape(which))
    return table


def _operators(look: Look, operators: Sequence[PlacedOperator]) -> Table:
    """One row for each operator; where it comes from, if that is known of any."""
    table = Table()
    placed = look.origin is not None
    for title in ("operator", "tensor", *(("layer", "module", "source") if placed else ())):
        table.add_column(title, overflow="fold")
    for each in operators:
        layer = each.layer
        origin = (layer.id, layer.module, layer.source) if layer else ("", "", "")
        cells = (each.name, each.tensor, *(origin if placed else ()))
        table.add_row(*map(escape, cells))
    return table


def _count(number: int, name: str) -> str:
    return f"{number} {name}" + ("" if number == 1 else "s")
