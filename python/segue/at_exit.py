"""Pipelines end before the interpreter does: their threads may be running functions of Python."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Protocol


class Ending(Protocol):
    def _end(self) -> None: ...


_alive: weakref.WeakSet[Ending] = weakref.WeakSet()


def end_at_exit(pipeline: Ending) -> None:
    _alive.add(pipeline)


# A forked child has none of the threads that are to be ended.
os.register_at_fork(after_in_child=_alive.clear)


@atexit.register
def _end_all() -> None:
    for pipeline in list(_alive):
        pipeline._end()
