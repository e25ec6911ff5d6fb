"""NNAPI, which is no way forward: one text for every artifact."""

from __future__ import annotations

NNAPI = (
    "NNAPI is deprecated since Android 15: use XNNPACK on the CPU, the GPU delegate, or a vendor's "
    "NPU through LiteRT instead. It was not checked."
)
