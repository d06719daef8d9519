"""What pipelines of this host and of a cluster have in common."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Generic, Iterable, Iterator, Mapping, Sequence, TypeVar, Union

import numpy.typing as npt

from segue.errors import Error

Array = npt.NDArray[Any]
Inputs = Union[Array, Sequence[Array], Mapping[str, Array]]
ResultType = TypeVar("ResultType")
Self = TypeVar("Self", bound="Streaming[Any]")


class Streaming(ABC, Generic[ResultType]):
    """Takes inputs, and returns their results in the same order."""

    @abstractmethod
    def push(self, inputs: Inputs, timeout_s: float | None = None) -> bool: ...

    @abstractmethod
    def pop(self, timeout_s: float | None = None) -> ResultType | None: ...

    @abstractmethod
    def cancel(self) -> None: ...

    def run(self, inputs: Iterable[Inputs]) -> Iterator[ResultType]:
        """Pushes all inputs and yields their results; keeps the pipeline full."""
        waiting = 0
        try:
            for values in inputs:
                while not self.push(values, 0 if waiting else None):
                    result = self._next()
                    waiting -= 1
                    yield result
                waiting += 1
            while waiting:
                result = self._next()
                waiting -= 1
                yield result
        finally:
            # A caller that stops early must not get these results in its next run. At exit there is
            # no next run.
            with contextlib.suppress(Error):
                for _ in range(waiting):
                    self.pop()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()

    def _next(self) -> ResultType:
        result = self.pop()
        if result is None:
            raise RuntimeError("the pipeline was closed during run()")
        return result
