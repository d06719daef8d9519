"""The server for Frigate's ZeroMQ detector, the plugin `zmq`.

Request: [header, tensor], the header being JSON with `shape`, `dtype` and `model_type`. Reply: 20
rows of 6 float32: class, score, top, left, bottom, right, from 0 to 1. At the start the plugin asks
whether the server has its model, and would otherwise send it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import socket as socket_module
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import zmq
import zmq.asyncio
from zmq.auth.asyncio import AsyncioAuthenticator

from segue.errors import Error
from segue.serve.detection import Detection, Found
from segue.serve.engine import Array
from segue.serve.errors import Refused, body_of, refusal_of

ROWS = 20
REPLY_BYTES = ROWS * 6 * 4

logger = logging.getLogger("segue.serve")


class FrigateServer:
    """Answers any number of clients at one endpoint."""

    def __init__(
        self,
        detection: Detection,
        endpoint: str,
        *,
        name: str,
        max_body: int,
        max_queue: int,
        token: str | None,
        observe: Callable[[str, int, float], None],
    ) -> None:
        self._detection = detection
        self._endpoint = endpoint
        self._name = name
        self._max_body = max_body
        self._max_queue = max_queue
        self._token = token
        self._observe = observe
        self._answers: set[asyncio.Task[None]] = set()
        self._warned = False

    def start(self) -> None:
        """Starts in the running event loop. Raises zmq.ZMQError if the endpoint cannot be bound."""
        self._context = zmq.asyncio.Context()
        self._authenticator = None
        socket = self._socket = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.MAXMSGSIZE, self._max_body)  # a larger message ends the connection
        socket.setsockopt(zmq.RCVHWM, 4)  # per client; a REQ socket sends one at a time
        socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)
        socket.setsockopt(zmq.HEARTBEAT_IVL, 5000)  # detects clients that vanished
        if self._token is not None:
            self._authenticator = AsyncioAuthenticator(self._context)
            self._authenticator.start()
            self._authenticator.configure_plain("*", {"segue": self._token})
            socket.setsockopt(zmq.PLAIN_SERVER, 1)
        socket.bind(self._endpoint)
        self._receiver = asyncio.create_task(self._receive())

    async def stop(self, timeout_s: float) -> None:
        """Takes no more requests, and answers accepted ones as far as the time allows."""
        self._receiver.cancel()
        _, late = await asyncio.wait({self._receiver, *self._answers}, timeout=timeout_s)
        for task in late:
            task.cancel()
        self._socket.close(linger=1000)
        if self._authenticator is not None:
            self._authenticator.stop()
        self._context.term()

    async def _receive(self) -> None:
        while True:
            frames = await self._socket.recv_multipart()
            task = asyncio.create_task(self._answer(frames))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    async def _answer(self, frames: list[bytes]) -> None:
        begin = time.perf_counter()
        # The first frames are the identity and the empty frame that a REQ socket adds.
        head = frames.index(b"", 1) + 1 if b"" in frames[1:2] else 1
        status = 200
        try:
            if len(self._answers) > self._max_queue:
                raise Refused(503, f"{self._max_queue} requests are unanswered, the limit")
            reply = await self._reply(frames[head:])
        except Exception as error:
            refused = refusal_of(error)
            if refused.status == 500:
                logger.exception("a ZeroMQ request failed")
            status = refused.status
            reply = body_of(refused)
            # Frigate logs any reply of another size than 480 bytes as an error.
            reply += b" " if len(reply) == REPLY_BYTES else b""
        await self._socket.send_multipart([*frames[:head], reply])
        self._observe("zmq", status, time.perf_counter() - begin)

    async def _reply(self, frames: list[bytes]) -> bytes:
        header = _header_of(frames)
        if header.get("model_request") is True:
            return self._model_state(header)
        if header.get("model_data") is True:
            return _json(
                model_saved=False,
                model_loaded=False,
                error=f"this server runs '{self._name}' and stores no models of clients",
            )
        found = await self._detection.of_pixels(pixels_of(header, frames[1:]))
        height, width = image_size(header)
        return rows_of(found, width, height).tobytes()

    def _model_state(self, header: dict[str, Any]) -> bytes:
        """Any name is accepted, because Frigate asks for the file name in its own configuration."""
        asked = str(header.get("model_name"))
        if asked.split(".")[0] != self._name and not self._warned:
            self._warned = True
            logger.warning("Frigate asks for model %r; this server runs %r", asked, self._name)
        return _json(model_available=True, model_loaded=True)


def check_endpoint(endpoint: str) -> None:
    """Checks an endpoint before devices are opened, which takes seconds.

    Raises zmq.ZMQError if it cannot be bound. Raises Error if its path is a file, which binding
    would remove, if another server answers there, or if its port does not exist.
    """
    kind, _, address = endpoint.partition("://")
    if kind == "ipc" and Path(address).exists():
        _check_socket(Path(address))
    if kind == "tcp":
        port = address.rpartition(":")[2]
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise Error(f"--zmq {endpoint}: the port must be from 1 to 65535", "invalid_argument")
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.bind(endpoint)


def _check_socket(path: Path) -> None:
    if not path.is_socket():
        raise Error(f"--zmq ipc://{path}: is a file, not a socket", "invalid_argument")
    with socket_module.socket(socket_module.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return  # the socket is left from a server that ended
    raise Error(f"--zmq ipc://{path}: another server uses this socket", "invalid_argument")


def rows_of(found: Found, width: int, height: int) -> Array:
    """Returns the best detections in Frigate's form; rows of zeros contain no detection."""
    rows = np.zeros((ROWS, 6), dtype=np.float32)
    for row, box in zip(rows, found.detections):
        row[:2] = box.class_id, box.score
        row[2:] = (
            box.top / height,
            box.left / width,
            box.bottom / height,
            box.right / width,
        )
    rows[:, 2:].clip(0, 1, out=rows[:, 2:])
    return rows


def image_size(header: dict[str, Any]) -> tuple[int, int]:
    """Returns height and width of a shape [1, height, width, 3] or [1, 3, height, width]."""
    shape = header["shape"]
    return (shape[1], shape[2]) if shape[3] == 3 else (shape[2], shape[3])


def pixels_of(header: dict[str, Any], frames: list[bytes]) -> Array:
    """Returns the image of a request, [height, width, 3]. Raises Refused with status 400."""
    shape = header.get("shape")
    if header.get("dtype") != "uint8":
        raise Refused(
            400,
            f"dtype must be uint8, not {header.get('dtype')!r}; set model.input_dtype to int in "
            "Frigate's configuration",
        )
    if (
        not isinstance(shape, list)
        or len(shape) != 4
        or not all(type(n) is int and 0 < n < 2**16 for n in shape)
        or shape[0] != 1
        or 3 not in (shape[1], shape[3])
    ):
        raise Refused(400, f"shape must be [1, height, width, 3], not {str(shape)[:100]}")
    if len(frames) != 1 or len(frames[0]) != math.prod(shape):
        given = [len(frame) for frame in frames]
        raise Refused(400, f"{shape} needs one frame of {math.prod(shape)} bytes, not {given}")
    pixels: Array = np.frombuffer(frames[0], np.uint8).reshape(shape)[0]
    return pixels if shape[3] == 3 else np.ascontiguousarray(pixels.transpose(1, 2, 0))


def _header_of(frames: list[bytes]) -> dict[str, Any]:
    try:
        header = json.loads(frames[0]) if frames else None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise Refused(400, "the first frame must be a JSON object")
    return header


def _json(**values: Any) -> bytes:
    return json.dumps(values).encode()
