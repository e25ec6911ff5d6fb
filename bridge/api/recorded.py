"""What a report records of how it was asked for, so that it can be asked for again."""

from __future__ import annotations

from typing import Any

from .opening import SourceOptions


def recorded_inputs(options: SourceOptions) -> dict[str, Any]:
    """Return the declared inputs as the texts of ``--input``, and the number of ``--samples``."""
    return {
        "input": [_declaration(spec) for spec in options.declared] or None,
        "samples": options.samples,
    }


def _declaration(spec: Any) -> str:
    sizes = [f"?{n}" if axis in spec.dynamic else str(n) for axis, n in enumerate(spec.shape)]
    name = f"{spec.name}=" if spec.name else ""
    ends = [None if each is None else f"{each:.12g}" for each in (spec.low, spec.high)]
    values = "" if None in ends else f":{ends[0]}..{ends[1]}"
    return f"{name}{'x'.join(sizes) or 'scalar'}:{spec.dtype}{values}"
