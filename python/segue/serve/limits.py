"""Limits for clients: size and time of a request, and time to read its answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Awaitable, Callable, MutableMapping

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from segue.serve.errors import Refused, body_of, headers_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

COMPLETE_AT = "segue.complete_at"  # key of the scope: when the request was complete


class ClientGone(Exception):
    """The client closed the connection."""


def timed_protocol(timeout_s: float) -> type[asyncio.Protocol]:
    """uvicorn's HTTP/1.1 protocol, with limits on the time for headers and for reading answers.

    uvicorn itself waits for both without a limit.
    """

    class TimedProtocol(H11Protocol):
        _headers: asyncio.TimerHandle | None = None
        _reading: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._headers = self.loop.call_later(timeout_s, transport.abort)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            is_active = self.cycle is not None and not self.cycle.response_complete
            if is_active and self._headers is not None:
                self._headers.cancel()
                self._headers = None
            # This limits the time for incomplete headers and for the rest of a refused request.
            is_sending = self.conn.trailing_data[0] or self.conn.their_state is h11.SEND_BODY
            if not is_active and self._headers is None and is_sending:
                self._headers = self.loop.call_later(timeout_s, self.transport.abort)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reading = self.loop.call_later(timeout_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._reading is not None:
                self._reading.cancel()

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self._headers, self._reading):
                if timer is not None:
                    timer.cancel()
            super().connection_lost(exc)

    return TimedProtocol


class BoundedRequests:
    """Reads a request completely, within limits, and cancels it when its client disconnects.

    check: called with the request before its body is read; may raise Refused.
    """

    def __init__(
        self,
        app: App,
        *,
        max_body: int,
        timeout_s: float,
        check: Callable[[MutableMapping[str, Any]], None],
    ) -> None:
        self._app = app
        self._max_body = max_body
        self._timeout_s = timeout_s
        self._check = check

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
            body = await asyncio.wait_for(self._read(scope, receive), self._timeout_s)
        except ClientGone:
            return
        except asyncio.TimeoutError:
            await refuse(send, Refused(408, f"the request took longer than {self._timeout_s:g} s"))
            return
        except Refused as refused:
            await refuse(send, refused)
            return
        scope[COMPLETE_AT] = time.perf_counter()
        await self._run(scope, body, receive, send)

    async def _read(self, scope: MutableMapping[str, Any], receive: Receive) -> bytes:
        too_large = Refused(413, f"the limit of a request is {self._max_body} bytes (--max-body)")
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if int(length) > self._max_body:  # the HTTP parser has checked that it is a number
            raise too_large
        parts = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max_body:
                raise too_large
            if not message.get("more_body", False):
                return b"".join(parts)

    async def _run(
        self, scope: MutableMapping[str, Any], body: bytes, receive: Receive, send: Send
    ) -> None:
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        answering = asyncio.ensure_future(self._app(scope, replay, send))
        leaving = asyncio.ensure_future(receive())
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                answering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answering
        finally:
            leaving.cancel()
            answering.cancel()


async def refuse(send: Send, refused: Refused) -> None:
    """Sends a refusal and discards the rest of the request: closing would hide the answer."""
    body = body_of(refused)
    headers = {**headers_of(refused), "content-length": str(len(body))}
    if refused.status == 408:
        headers["connection"] = "close"
    await send(
        {
            "type": "http.response.start",
            "status": refused.status,
            "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
