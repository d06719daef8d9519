"""Pipelines end before the interpreter does: their threads may be running functions of Python."""

from __future__ import annotations

import atexit
import weakref
from typing import Protocol


class Ending(Protocol):
    def _end(self) -> None: ...


_alive: weakref.WeakSet[Ending] = weakref.WeakSet()


def end_at_exit(pipeline: Ending) -> None:
    _alive.add(pipeline)


@atexit.register
def _end_all() -> None:
    for pipeline in list(_alive):
        pipeline._end()
