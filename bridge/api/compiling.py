"""``to_tflite``: a module to one TFLite file, as fast as it goes; nothing is run or compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..artifact import Artifact
from ..errors import CaptureError
from ..formats import TFLITE
from ..worker import collector_paused
from .folder import ResultFolder

if TYPE_CHECKING:
    import torch

    from ..samples import InputSpec


def to_tflite(
    module: torch.nn.Module,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None,
    path: str | Path,
    *,
    declared: Sequence[InputSpec] = (),
    io_layout: Sequence[str] = (),
    precision: str = "fp32",
    keep_int64: bool = False,
    unroll: int | None = None,
) -> Artifact:
    """Write a module as a TFLite file: ``torch.export`` and the direct compiler, and no more.

    ``convert`` also runs the module and the captured program to see that they agree, keeps that
    program, and compares the file with the module: ``validate(path, against=module,
    inputs=inputs)`` does that afterwards.

    Args:
        module: The module; it is put into evaluation mode.
        inputs: Example inputs: a tuple of positional ones, or a mapping by name.
        path: The file. An old one stays until the new one is complete.
        declared: Declared inputs, which take the place of ``inputs``; a size of theirs may change.
        io_layout: ``"nhwc"``, or ``"NAME=nhwc"`` for one input or output.
        precision: ``"fp32"``, or ``"fp16"`` for weights of half the size.
        keep_int64: Whether 64-bit inputs and outputs stay so, which are 32-bit ones otherwise.
        unroll: Most steps of a recurrent layer that are written out; ``None`` decides by size.

    Returns:
        The file, with its signature and with the place of every layer of the captured program.

    Raises:
        InputError: The module does not take the inputs.
        SourceError: Weights are NaN or missing.
        CaptureError: ``torch.export`` cannot capture the module.
        UnsupportedError: Operators have no lowering; all of them are named.
        UsageError: An option has a value that it cannot have.
        StorageError: The file cannot be written.
    """
    from ..converters import exported_tflite, torch_export
    from ..sources.torch_source import try_once, untried

    path = Path(path)
    live = untried(module, inputs, declared)
    try:
        with collector_paused():
            captured = torch_export.capture_untried(live)
    except CaptureError:
        try_once(live)  # what the module itself says of these inputs says more
        raise
    assert captured.spine is not None
    options = exported_tflite.compile_options(
        {
            "io_layout": io_layout,
            "precision": precision,
            "keep_int64": keep_int64,
            "unroll": unroll,
        },
        captured.signature,
    )
    with ResultFolder.open(path.parent) as folder, collector_paused():
        new = folder.scratch / path.name
        made = exported_tflite.compiled(
            captured.live, captured.spine, captured.signature, options, new
        )
        folder.publish({path.name: new}, {})
    return Artifact(
        format=TFLITE,
        path=path,
        sha256=made.sha256,
        size=path.stat().st_size,
        signature=made.signature,
        producer=exported_tflite.HOP.name,
        producer_version=made.producer_version,
        layer_map=made.layer_map.resolved(),
        spine=captured.spine,
        notes=made.notes,
        precision=made.precision,
    )
