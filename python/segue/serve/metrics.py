"""Prometheus metrics of a server, its pipeline and its Edge TPUs."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Any, Callable, Iterator, Protocol, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from segue._segue import Backend

BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
# Number of requests from which p50 and p99 are computed.
WINDOW = 1000

Family = GaugeMetricFamily


class MeasuredPipeline(Protocol):
    """The members of segue.Pipeline and ClusterPipeline that the metrics read."""

    def statistics(self) -> Any: ...


class Metrics:
    """Counts requests; a scrape also reads the pipeline's statistics and temperatures.

    model: the label of all samples, for a server with several models.
    """

    def __init__(
        self,
        pipeline: MeasuredPipeline,
        unanswered: Callable[[], int],
        devices: Sequence[tuple[str, Backend]],
        model: str | None = None,
    ) -> None:
        self._model = model
        self._pipeline = pipeline
        self._unanswered = unanswered
        self._devices = list(devices)
        self._lock = threading.Lock()
        self._recent: dict[str, deque[float]] = {}
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "segue_requests",
            "Requests answered, by protocol and HTTP status (for ZeroMQ: the status of its error)",
            ["protocol", "code"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "segue_request_seconds",
            "Time from the complete request to its answer",
            ["protocol"],
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(self)

    def observe(self, protocol: str, code: int, seconds: float) -> None:
        self._requests.labels(protocol, str(code)).inc()
        if code == 200:
            self._seconds.labels(protocol).observe(seconds)
            with self._lock:
                self._recent.setdefault(protocol, deque(maxlen=WINDOW)).append(seconds)

    def text(self) -> bytes:
        """Returns the metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def families(self) -> Iterator[Metric]:
        """Returns all families, labelled with the model if there are several."""
        for family in self._registry.collect():
            if self._model is not None:
                family.samples = [
                    sample._replace(labels={"model": self._model, **sample.labels})
                    for sample in family.samples
                ]
            yield family

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        statistics = self._pipeline.statistics()
        waiting = self._unanswered()
        yield _gauge("segue_requests_unanswered", "Requests that wait or are computed", waiting)
        yield self._percentiles()
        yield from _of_pipeline(statistics)
        yield self._utilisations(statistics)
        yield self._temperatures()

    def describe(self) -> Iterator[Metric]:
        """Called by the registry once; yields nothing, so that registering reads no statistics."""
        return iter(())

    def _percentiles(self) -> Metric:
        family = Family(
            "segue_request_quantile_seconds",
            f"Percentiles of the time of the last {WINDOW} answered requests",
            labels=["protocol", "quantile"],
        )
        with self._lock:
            recent = {protocol: sorted(times) for protocol, times in self._recent.items()}
        for protocol, times in recent.items():
            for quantile in (0.5, 0.99):
                value = times[math.ceil(quantile * len(times)) - 1]
                family.add_metric([protocol, str(quantile)], value)
        return family

    @staticmethod
    def _utilisations(statistics: Any) -> Metric:
        family = Family(
            "segue_device_utilisation_ratio",
            "Busy time of a device divided by observed time, since the first input",
            labels=["stage", "device"],
        )
        for index, stage in enumerate(statistics.stages):
            for device, utilisation in zip(stage.devices, stage.utilisations):
                family.add_metric([str(index), device], utilisation)
        return family

    def _temperatures(self) -> Metric:
        family = Family(
            "segue_device_temperature_celsius",
            "Temperature of a device, where its driver reports it",
            labels=["device"],
        )
        for name, backend in self._devices:
            temperature = backend.temperature_c
            if temperature is not None:
                family.add_metric([name], temperature)
        return family


class AllMetrics:
    """The metrics of several models as one text."""

    def __init__(self, models: Sequence[Metrics]) -> None:
        self._models = models
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry. Yields each family once, with the samples of all models."""
        merged: dict[str, Metric] = {}
        for model in self._models:
            for family in model.families():
                if family.name in merged:
                    merged[family.name].samples.extend(family.samples)
                else:
                    merged[family.name] = family
        return iter(merged.values())

    def describe(self) -> Iterator[Metric]:
        """Called by the registry once."""
        return iter(())


def _of_pipeline(statistics: Any) -> Iterator[Metric]:
    results = CounterMetricFamily("segue_results", "Results of the pipeline")
    results.add_metric([], statistics.results)
    yield results
    losses = CounterMetricFamily("segue_device_losses", "Devices that the pipeline lost")
    losses.add_metric([], len(statistics.losses))
    yield losses
    yield _gauge(
        "segue_throughput_per_second",
        "Results per second, from the first input to the last result",
        statistics.throughput_per_s,
    )
    latency = Family(
        "segue_pipeline_latency_seconds",
        "Percentiles of the time from an input's push to its result, since the start",
        labels=["quantile"],
    )
    latency.add_metric(["0.5"], statistics.latency.p50_ns / 1e9)
    latency.add_metric(["0.99"], statistics.latency.p99_ns / 1e9)
    yield latency


def _gauge(name: str, text: str, value: float) -> Metric:
    return Family(name, text, value=value)
