"""The parts of a pipeline on a cluster: stages, the workers that compute them, and inputs."""

from __future__ import annotations

import heapq
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

from segue.cluster.segments import Segment
from segue.cluster.stage import Opened
from segue.cluster.statistics import DeviceLoss, StageStatistics
from segue.cluster.workers import Worker


@dataclass(eq=False)
class Flight:
    """An input that was accepted and has no result yet."""

    number: int
    inputs: dict[str, list[bytes]]
    begin_ns: int
    tensors: dict[str, Sequence[Any]] = field(default_factory=dict)  # pieces, or references to them
    stage: int = 0
    holder: Place | None = None  # the place that computes the input

    def restart(self) -> None:
        self.tensors = dict(self.inputs)
        self.stage = 0
        self.holder = None


@dataclass(eq=False)
class Place:
    """A worker that computes a stage."""

    worker: Worker
    stage: Stage
    call: Any  # the actor's method
    opened: int  # number of the worker's segment that this place computes
    submits: threading.Lock = field(default_factory=threading.Lock)
    calls: int = 0
    is_lost: bool = False
    busy_ns: int = 0
    answered_s: float = 0.0


@dataclass(eq=False)
class Stage:
    index: int
    segment: Segment
    opened: Opened
    places: list[Place] = field(default_factory=list)
    queue: list[int] = field(default_factory=list)  # a heap of numbers
    runs: int = 0
    busy_ns: int = 0
    queued_s: float = 0.0  # the length of the queue, integrated over time
    changed_s: float = 0.0

    def put(self, number: int) -> None:
        self._account()
        heapq.heappush(self.queue, number)

    def take(self) -> int:
        self._account()
        return heapq.heappop(self.queue)

    def statistics(self, elapsed_ns: int) -> StageStatistics:
        return StageStatistics(
            segment=self.segment.name,
            mean_time_ns=self.busy_ns // self.runs if self.runs else 0,
            mean_queue=self.queued_s / elapsed_ns * 1e9 if elapsed_ns else 0.0,
            utilisations=[
                min(1.0, place.busy_ns / elapsed_ns) if elapsed_ns else 0.0 for place in self.places
            ],
            devices=[place.worker.name for place in self.places],
        )

    def _account(self) -> None:
        now = time.monotonic()
        self.queued_s += len(self.queue) * (now - self.changed_s if self.changed_s else 0)
        self.changed_s = now


@dataclass(frozen=True)
class Settings:
    queue_capacity: int
    result_capacity: int
    watchdog_s: float
    on_loss: Callable[[DeviceLoss], object] | None
    # Returns segments for a number of devices, or None if there is no plan.
    replan: Callable[[int], list[Segment] | None]
    input_names: list[str]
    output_names: list[str]
