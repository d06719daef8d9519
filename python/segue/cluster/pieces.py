"""Tensors as they cross the cluster: in pieces that travel inside Ray's calls.

Ray sends an argument or a result of up to 100 KB inside the call itself. Larger ones go through the
object stores of both hosts, which takes several times the CPU time (docs/cluster.md). Ray puts up
to 10 MB inside one call and sends the pieces beyond that through the stores.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np
import numpy.typing as npt

from segue._segue import Port
from segue.element_types import dtype_of
from segue.errors import Error

Array = npt.NDArray[Any]

PIECE_BYTES = 96 * 1024


def piece_count(nbytes: int) -> int:
    """Returns at least 1, so that a tensor without elements has a place in a call too."""
    return max(1, -(-nbytes // PIECE_BYTES))


def to_pieces(array: Array) -> list[bytes]:
    """Copies the array into pieces, so that the caller may change it afterwards."""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    return [
        bytes(data[i * PIECE_BYTES : (i + 1) * PIECE_BYTES]) for i in range(piece_count(len(data)))
    ]


def to_array(pieces: Sequence[bytes], type_name: str, shape: Sequence[int], name: str) -> Array:
    """Returns a new, writable array with the content of the pieces."""
    data = bytearray().join(pieces)
    return np.frombuffer(data, dtype_of(type_name, name)).reshape(shape)


def check_fits(value: Any, port: Port) -> Array:
    """Returns the value as an array; raises Error if its type or shape is not the port's."""
    if not isinstance(value, np.ndarray):
        raise Error(
            f"input '{port.name}': expected a numpy array, not {type(value).__name__}",
            "invalid_argument",
        )
    wanted = dtype_of(port.type, port.name)
    if value.dtype != wanted:
        raise Error(
            f"input '{port.name}': has {value.dtype} elements, but must have {port.type}",
            "invalid_argument",
        )
    if list(value.shape) != list(port.shape):
        raise Error(
            f"input '{port.name}': has shape {list(value.shape)}, but must have {port.shape}",
            "invalid_argument",
        )
    return value


def port_like(name: str, type_name: str, shape: Sequence[int]) -> Port:
    return Port(name, np.empty(tuple(shape), dtype_of(type_name, name)))
