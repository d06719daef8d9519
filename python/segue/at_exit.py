"""Ends pipelines before the interpreter ends, because their threads may run Python functions."""

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


# A forked child does not have the threads that would have to end.
os.register_at_fork(after_in_child=_alive.clear)


@atexit.register
def _end_all() -> None:
    for pipeline in list(_alive):
        pipeline._end()
