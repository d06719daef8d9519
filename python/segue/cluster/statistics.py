"""Measurements of a pipeline on a cluster, with the names that segue.Pipeline uses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Sequence

import numpy.typing as npt


@dataclass(frozen=True)
class Result:
    """Result of one input."""

    number: int  # number of the input, from 0
    latency_ns: int  # from the accepted push until the result is available
    outputs: dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class DeviceLoss:
    """A device that was lost."""

    device: str
    segment: int
    reason: str
    remedy: str  # what replaces it


@dataclass(frozen=True)
class LatencyStatistics:
    """Latencies of the last 100,000 results."""

    mean_ns: int
    p50_ns: int
    p99_ns: int
    max_ns: int


@dataclass(frozen=True)
class StageStatistics:
    segment: str
    mean_time_ns: int  # inside the device's process, without transport
    mean_queue: float
    utilisations: list[float]  # one per device
    devices: list[str]  # the names of the devices


@dataclass(frozen=True)
class PipelineStatistics:
    """Statistics of a pipeline (measured)."""

    results: int
    elapsed_ns: int
    throughput_per_s: float
    latency: LatencyStatistics
    stages: list[StageStatistics]
    losses: list[str]


def latency_of(samples_ns: Sequence[int]) -> LatencyStatistics:
    if not samples_ns:
        return LatencyStatistics(0, 0, 0, 0)
    ordered = sorted(samples_ns)

    def quantile(share: float) -> int:
        return ordered[math.ceil(share * len(ordered)) - 1]

    return LatencyStatistics(
        sum(ordered) // len(ordered), quantile(0.5), quantile(0.99), ordered[-1]
    )
