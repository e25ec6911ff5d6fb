"""Sources: what a user may give, opened as a live module or as an artifact with a spine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..artifact import Artifact, Signature
from ..errors import SourceError
from ..formats import EXPORTED, ONNX, TORCH, TORCHSCRIPT, Format, sniff
from ..live import LiveModel

__all__ = ["Source", "open_artifact"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """An opened source; exactly one of ``live`` and ``artifact`` is set.

    Attributes:
        text: What the user gave, for manifests and messages.
        live: A module with its example inputs.
        artifact: A file that is a model by itself.
        weights: The weights file that was loaded into the module, if one was.
    """

    text: str
    live: LiveModel | None = None
    artifact: Artifact | None = None
    weights: Path | None = None

    @property
    def format(self) -> Format:
        """The format that routes begin at."""
        return TORCH if self.artifact is None else self.artifact.format

    @property
    def signature(self) -> Signature:
        """Inputs and outputs; a live module's outputs are known only after its capture."""
        if self.artifact is not None:
            return self.artifact.signature
        assert self.live is not None
        from ..live import signature_of

        return signature_of(self.live.inputs(), {}, self.live.dynamic)


def open_artifact(path: Path) -> Artifact:
    """Open a model file that conversions can begin at: .pt2, TorchScript or .onnx.

    Returns:
        The artifact with its own layers as the spine and an identity layer map.

    Raises:
        SourceError: The file cannot be read, or its format begins no route.
    """
    format_ = sniff(path)
    if format_ == ONNX:
        from .onnx_source import read
    elif format_ == EXPORTED:
        from .exported_source import read
    elif format_ == TORCHSCRIPT:
        from .torchscript_source import read
    else:
        raise SourceError(
            f"{path} is {format_.title}; it can be inspected and validated, not converted",
            hint="conversions begin at a module, a .pt2, a TorchScript .pt or an .onnx file",
        )
    return read(path)
