"""Open Inference Protocol v2 over HTTP, with Triton's binary tensors.

https://github.com/open-inference/open-inference-protocol and "Binary Tensor Data Extension" of the
Triton Inference Server.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

import numpy as np

from segue._segue import Port
from segue.element_types import dtype_of, protocol_name
from segue.serve.engine import Array
from segue.serve.errors import Refused

HEADER_LENGTH = "inference-header-content-length"

_UNSUPPORTED = ("classification", "sequence_id", "shared_memory_region")


@dataclass(frozen=True)
class Wanted:
    """An output that the client asked for."""

    name: str
    is_binary: bool


@dataclass(frozen=True)
class InferRequest:
    id: str | None
    inputs: list[Array]
    outputs: list[Wanted]


def metadata_of(ports: Sequence[Port]) -> list[dict[str, Any]]:
    return [
        {"name": port.name, "datatype": _datatype(port), "shape": list(port.shape)}
        for port in ports
    ]


def _dtype(port: Port) -> np.dtype[Any]:
    return dtype_of(port.type, port.name)


def _datatype(port: Port) -> str:
    return protocol_name(port.type, port.name)


def header_length(text: str, size: int) -> int:
    """Returns the size of the JSON in a body of this size. Raises Refused with status 400."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:12]) <= size:
        raise Refused(400, f"{HEADER_LENGTH} is '{text[:20]}', but the body has {size} bytes")
    return int(text[:12])


def parse_infer(
    body: bytes, json_bytes: int, inputs: Sequence[Port], outputs: Sequence[Port]
) -> InferRequest:
    """Reads an inference request: JSON, followed by binary tensors; the arrays are views of these.

    Raises Refused with status 400.
    """
    request = _json_object(body[:json_bytes])
    parameters = _parameters(request, "the request")
    arrays = _inputs(request, memoryview(body)[json_bytes:], inputs)
    wanted = _outputs(request, parameters.get("binary_data_output") is True, outputs)
    identity = request.get("id")
    if identity is not None and not isinstance(identity, str):
        raise Refused(400, "'id' must be a string")
    return InferRequest(identity, arrays, wanted)


def answer(
    request: InferRequest, model: str, ports: Sequence[Port], values: Mapping[str, Array]
) -> tuple[bytes, dict[str, str]]:
    """Returns body and headers of the response."""
    by_name = {port.name: port for port in ports}
    outputs: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for wanted in request.outputs:
        port = by_name[wanted.name]
        value = values[wanted.name]
        output: dict[str, Any] = {"name": wanted.name, "datatype": _datatype(port)}
        output["shape"] = list(value.shape)
        if wanted.is_binary:
            data = value.astype(_dtype(port), copy=False).tobytes()
            output["parameters"] = {"binary_data_size": len(data)}
            binary.append(data)
        else:
            output["data"] = value.ravel().tolist()
        outputs.append(output)
    header: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": outputs}
    if request.id is not None:
        header["id"] = request.id
    try:
        text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        raise Refused(
            400, "an output has values that JSON cannot hold (NaN or infinity); ask for binary data"
        ) from None
    if not binary:
        return text, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(text))}
    return b"".join([text, *binary]), headers


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the request is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refused(400, "the request must be a JSON object")
    return value


def _parameters(of: Mapping[str, Any], what: str) -> dict[str, Any]:
    parameters = of.get("parameters", {})
    if not isinstance(parameters, dict):
        raise Refused(400, f"'parameters' of {what} must be an object")
    for name in _UNSUPPORTED:
        if name in parameters:
            raise Refused(400, f"parameter '{name}' of {what} is not supported")
    return parameters


def _tensors(request: Mapping[str, Any], key: str, ports: Sequence[Port]) -> dict[str, Any]:
    """Returns the tensors of a list by name; a name must be a port's and occur at most once."""
    entries = request.get(key, [])
    if not isinstance(entries, list):
        raise Refused(400, f"'{key}' must be a list")
    known = {port.name for port in ports}
    found: dict[str, Any] = {}
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name not in known or name in found:
            raise Refused(
                400, f"'{key}' must name each of {sorted(known)} at most once, not {name!r}"
            )
        found[name] = entry
    return found


def _inputs(request: Mapping[str, Any], binary: memoryview, ports: Sequence[Port]) -> list[Array]:
    given = _tensors(request, "inputs", ports)
    missing = [port.name for port in ports if port.name not in given]
    if missing:
        raise Refused(400, f"input {missing} is missing")
    by_name = {port.name: port for port in ports}
    arrays = {}
    used = 0
    for name, entry in given.items():  # binary data is in the order of the request
        port = by_name[name]
        _check_type(port, entry)
        parameters = _parameters(entry, f"input '{name}'")
        size = parameters.get("binary_data_size")
        if size is None:
            arrays[name] = _array_of_json(port, entry.get("data"))
        elif "data" in entry or size != port.nbytes or used + port.nbytes > len(binary):
            raise Refused(
                400,
                f"input '{name}' has {port.nbytes} bytes, but binary_data_size is {size!r} and "
                f"{len(binary) - used} bytes follow",
            )
        else:
            arrays[name] = _array_of_bytes(port, binary[used : used + port.nbytes])
            used += port.nbytes
    if used != len(binary):
        raise Refused(400, f"{len(binary) - used} bytes follow the last input")
    return [arrays[port.name] for port in ports]


def _check_type(port: Port, entry: Mapping[str, Any]) -> None:
    datatype = _datatype(port)
    if entry.get("datatype") != datatype or entry.get("shape") != list(port.shape):
        raise Refused(
            400,
            f"input '{port.name}' must be {datatype} {list(port.shape)}, "
            f"not {entry.get('datatype')!r} {str(entry.get('shape'))[:100]}",
        )


def _array_of_bytes(port: Port, data: memoryview) -> Array:
    dtype = _dtype(port)
    if dtype.kind == "b" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise Refused(400, f"input '{port.name}' has BOOL bytes other than 0 and 1")
    array: Array = np.frombuffer(data, dtype).reshape(port.shape)
    return np.require(array, requirements="A")


def _array_of_json(port: Port, data: Any) -> Array:
    """Reads flat or nested lists; refuses 1.5 or 300, which numpy would truncate or wrap."""
    datatype, dtype = _datatype(port), _dtype(port)
    try:
        values = np.asarray(data if isinstance(data, list) else [])
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"'data' of input '{port.name}': {error}") from error
    if values.size != math.prod(port.shape):
        raise Refused(
            400,
            f"'data' of input '{port.name}' has {values.size} values, shape {list(port.shape)} "
            f"needs {math.prod(port.shape)}",
        )
    allowed = {"b": "b", "f": "iuf"}.get(dtype.kind, "iu")
    if values.size and values.dtype.kind not in allowed:
        raise Refused(400, f"'data' of input '{port.name}' has values that are not {datatype}")
    if values.size and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise Refused(
                400,
                f"'data' of input '{port.name}' has {values.min()} to {values.max()}, {datatype} "
                f"holds {limits.min} to {limits.max}",
            )
    return values.astype(dtype).reshape(port.shape)


def _outputs(request: Mapping[str, Any], all_binary: bool, ports: Sequence[Port]) -> list[Wanted]:
    given = _tensors(request, "outputs", ports)
    if not given:
        return [Wanted(port.name, all_binary) for port in ports]
    wanted = []
    for name, entry in given.items():
        parameters = _parameters(entry, f"output '{name}'")
        wanted.append(Wanted(name, parameters.get("binary_data", all_binary) is True))
    return wanted
