"""The documents of a result folder: ``report.json`` and ``manifest.json``, both versioned."""

from .manifest import MANIFEST_VERSION, manifest_document, stored_artifacts
from .report import REPORT_VERSION, report_document
from .schema import load_schema

__all__ = [
    "MANIFEST_VERSION",
    "REPORT_VERSION",
    "load_schema",
    "manifest_document",
    "report_document",
    "stored_artifacts",
]
