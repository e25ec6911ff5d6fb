"""The documents of a result folder: ``report.json`` and ``manifest.json``, both versioned.

The forms of the report for people and CI systems are made from ``report.json`` alone.
"""

from .html import html_report
from .manifest import MANIFEST_VERSION, manifest_document, stored_artifacts
from .report import REPORT_VERSION, report_document
from .schema import load_schema

__all__ = [
    "MANIFEST_VERSION",
    "REPORT_VERSION",
    "html_report",
    "load_schema",
    "manifest_document",
    "report_document",
    "stored_artifacts",
]
