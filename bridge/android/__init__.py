"""The Android hand-off: a model with TFLite Metadata, golden vectors, Kotlin and a README."""

from .bundle import Bundle, check_destination, write_bundle, write_model
from .contract import (
    BundleTensor,
    Contract,
    Normalization,
    labelled_output,
    normalized_input,
    read_contract,
    read_labels,
)
from .golden import Golden, make_golden, plain_artifact, replace_inputs, stored
from .kotlin import check_package, class_names
from .verdict import refusal, reported_drift

__all__ = [
    "Bundle",
    "BundleTensor",
    "Contract",
    "Golden",
    "Normalization",
    "check_destination",
    "check_package",
    "class_names",
    "labelled_output",
    "make_golden",
    "normalized_input",
    "plain_artifact",
    "read_contract",
    "read_labels",
    "refusal",
    "replace_inputs",
    "reported_drift",
    "stored",
    "write_bundle",
    "write_model",
]
