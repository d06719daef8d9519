"""One pipeline for many clients: a bounded queue before it, and a future for each request."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import Any, Callable, Protocol, Sequence

import numpy.typing as npt

from segue.errors import Error

Array = npt.NDArray[Any]


class PipelineLike(Protocol):
    """The methods of segue.Pipeline that the engine calls."""

    def push(self, inputs: Any, timeout_s: float | None = None) -> bool: ...
    def pop(self, timeout_s: float | None = None) -> Any: ...
    def close(self) -> None: ...
    def cancel(self) -> None: ...


class Overloaded(Exception):
    """The queue is full; the client may try again."""


class Ended(Exception):
    """The pipeline failed, or the server shuts down."""


class _Request:
    def __init__(self, inputs: Sequence[Array], future: asyncio.Future[Any]) -> None:
        self.inputs: Sequence[Array] | None = inputs
        self.future = future


class Engine:
    """Passes requests to the pipeline in order, and results to the requests they belong to.

    Two threads wait in the pipeline, one in push and one in pop, so that the event loop never
    waits. A request occupies a place of the queue from `run` until its result was popped. A request
    whose client disconnected leaves the queue at once, unless the pipeline already computes it.
    """

    def __init__(self, pipeline: PipelineLike, max_queue: int) -> None:
        self._pipeline = pipeline
        self._max_queue = max_queue
        self._changed = threading.Condition()
        self._waiting: deque[_Request] = deque()
        self._pushed: dict[int, _Request] = {}  # by number of the input in the pipeline
        self._is_closed = False
        self._is_cancelled = False
        self._error: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: list[threading.Thread] = []
        self.on_failure: Callable[[], None] = lambda: None  # called in the event loop

    def start(self) -> None:
        """Starts the threads; must be called in the event loop that will call `run`."""
        self._loop = asyncio.get_running_loop()
        self._threads = [
            threading.Thread(target=self._push_requests, name="segue-push", daemon=True),
            threading.Thread(target=self._pop_results, name="segue-pop", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def error(self) -> str | None:
        """Why the pipeline ended, if it failed."""
        return self._error

    @property
    def is_ready(self) -> bool:
        return bool(self._threads) and not self._is_closed and self._error is None

    @property
    def unanswered(self) -> int:
        """Requests that wait or are computed."""
        with self._changed:
            return len(self._waiting) + len(self._pushed)

    def check_room(self) -> None:
        """Raises the error that `run` would raise now, if any."""
        with self._changed:
            self._check_room()

    async def run(self, inputs: Sequence[Array]) -> Any:
        """Returns the result of one input; the arrays must not change until then.

        Raises Overloaded if the queue is full, Ended if the pipeline ended, and segue.Error if
        the arrays do not fit the pipeline.
        """
        request = _Request(inputs, asyncio.get_running_loop().create_future())
        with self._changed:
            self._check_room()
            self._waiting.append(request)
            self._changed.notify_all()
        try:
            return await request.future
        except asyncio.CancelledError:
            with self._changed:
                if request in self._waiting:
                    self._waiting.remove(request)
            raise

    async def close(self, timeout_s: float) -> None:
        """Accepts no more requests, and completes accepted ones as far as the time allows."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._join, timeout_s)
        self._is_cancelled = True
        self._pipeline.cancel()
        await loop.run_in_executor(None, self._join, 1.0)

    def _join(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _check_room(self) -> None:
        if self._error is not None:
            raise Ended(f"the pipeline ended: {self._error}")
        if self._is_closed:
            raise Ended("the server shuts down")
        if len(self._waiting) + len(self._pushed) >= self._max_queue:
            raise Overloaded(
                f"{self._max_queue} requests are unanswered, which is the limit (--max-queue); "
                "try again later"
            )

    def _push_requests(self) -> None:
        number = 0
        while (request := self._next(number)) is not None:
            try:
                self._pipeline.push(request.inputs)
            except BaseException as error:
                if not isinstance(error, Error):
                    self._end(f"{type(error).__name__}: {error}", is_failure=True)
                    self._pipeline.cancel()
                    return
                if error.code != "invalid_argument" or self._is_cancelled:
                    return  # pop delivers earlier results, and then ends the requests
                with self._changed:
                    self._pushed.pop(number, None)
                self._finish(request, error)
                continue
            request.inputs = None  # the pipeline keeps the arrays while it reads them
            number += 1
        if self._error is None and not self._is_cancelled:
            self._pipeline.close()

    def _next(self, number: int) -> _Request | None:
        """Returns the request to push with this number; None after the last one."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed or self._error)
            if not self._waiting:
                return None
            request = self._waiting.popleft()
            # This comes before the push, because the result may arrive before the push returns.
            self._pushed[number] = request
            return request

    def _pop_results(self) -> None:
        try:
            while (result := self._pipeline.pop()) is not None:
                with self._changed:
                    request = self._pushed.pop(result.number, None)
                if request is not None:
                    self._finish(request, result)
            self._end("the server shut down before the request was computed", is_failure=False)
        except BaseException as error:
            reason = str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}"
            self._end(reason, is_failure=True)

    def _end(self, reason: str, is_failure: bool) -> None:
        with self._changed:
            if is_failure:
                self._error = reason
            self._is_closed = True
            left = [*self._pushed.values(), *self._waiting]
            self._pushed.clear()
            self._waiting.clear()
            self._changed.notify_all()
        for request in left:
            self._finish(request, Ended(f"the pipeline ended: {reason}"))
        if is_failure:
            self._in_loop(self.on_failure)

    def _finish(self, request: _Request, outcome: Any) -> None:
        def finish() -> None:
            if request.future.done():
                return  # its client disconnected
            if isinstance(outcome, Exception):
                request.future.set_exception(outcome)
            else:
                request.future.set_result(outcome)

        self._in_loop(finish)

    def _in_loop(self, function: Callable[[], None]) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)
