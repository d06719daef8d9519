"""Types of tensor elements: their names in files, in numpy and in the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

import numpy as np

from segue.errors import Error

# Little-endian, as files, devices and protocols have them.
_TYPES = {
    "BOOL": ("?", "BOOL"),
    "INT8": ("<i1", "INT8"),
    "UINT8": ("<u1", "UINT8"),
    "INT16": ("<i2", "INT16"),
    "UINT16": ("<u2", "UINT16"),
    "INT32": ("<i4", "INT32"),
    "UINT32": ("<u4", "UINT32"),
    "INT64": ("<i8", "INT64"),
    "UINT64": ("<u8", "UINT64"),
    "FLOAT16": ("<f2", "FP16"),
    "FLOAT32": ("<f4", "FP32"),
    "FLOAT64": ("<f8", "FP64"),
}


def dtype_of(type_name: str, tensor: str) -> np.dtype[Any]:
    """The numpy type of a tensor's elements. Raises Error for types without one."""
    return np.dtype(_row(type_name, tensor)[0])


def protocol_name(type_name: str, tensor: str) -> str:
    """The name in the Open Inference Protocol. Raises Error for types without one."""
    return _row(type_name, tensor)[1]


def _row(type_name: str, tensor: str) -> tuple[str, str]:
    if type_name not in _TYPES:
        raise Error(f"tensor '{tensor}': numpy does not support {type_name}", "unsupported")
    return _TYPES[type_name]
