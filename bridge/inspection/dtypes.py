"""Element types: the numbers that stand for them in files, and their NumPy names."""

from __future__ import annotations

import re

# c10::ScalarType; a quantized type goes by what it stores.
C10_TYPES = {
    0: "uint8",
    1: "int8",
    2: "int16",
    3: "int32",
    4: "int64",
    5: "float16",
    6: "float32",
    7: "float64",
    8: "complex32",
    9: "complex64",
    10: "complex128",
    11: "bool",
    12: "int8",
    13: "uint8",
    14: "int32",
    15: "bfloat16",
}

# torch._export.serde.schema.ScalarType: its first 13 are c10's, shifted by one.
EXPORTED_TYPES = {
    **{code + 1: C10_TYPES[code] for code in range(12)},
    13: "bfloat16",
    28: "uint16",
    29: "float8_e4m3fn",
    30: "float8_e5m2",
    31: "float8_e4m3fnuz",
    32: "float8_e5m2fnuz",
    33: "float8_e8m0fnu",
    34: "uint32",
    35: "uint64",
}

# tensorflow.DataType (tensorflow/core/framework/types.proto); a quantized type goes by what it
# stores.
TENSORFLOW_TYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "str",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "int8",
    12: "uint8",
    13: "int32",
    14: "bfloat16",
    15: "int16",
    16: "uint16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    29: "int4",
    30: "uint4",
}


def name_of(code: int, types: dict[int, str]) -> str:
    """Return the NumPy name of an element type, or ``type N`` for one that is not in ``types``."""
    return types.get(code, f"type {code}")


def bytes_of(elements: int, dtype: str) -> int:
    """Return the bytes of ``elements`` of a type, packed (two ``int4`` in a byte).

    A type without a fixed width (text, a handle, an unknown one) has 0.
    """
    if dtype == "bool":
        return elements
    bits = re.match(r"[a-z]+(\d+)", dtype)
    return -(-elements * int(bits.group(1)) // 8) if bits else 0
