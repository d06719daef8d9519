"""Inputs in flight on the workers of a cluster: queues, order, losses and new plans."""

from __future__ import annotations

import threading
import time
import warnings
from collections import deque
from typing import Any, Sequence

import ray

from segue.cluster.flights import Flight, Place, Settings, Stage
from segue.cluster.pieces import to_array
from segue.cluster.segments import Routing, Segment, route
from segue.cluster.stage import Failure
from segue.cluster.statistics import DeviceLoss, PipelineStatistics, Result, latency_of
from segue.cluster.workers import CALLS_PER_WORKER, Worker, Workers, reason_of
from segue.errors import Error

LATENCIES = 100_000


class _Lost(Exception):
    """A worker that does not answer."""


class Core:
    """Implements the methods of ClusterPipeline, which any number of threads may call."""

    def __init__(self, workers: Workers, segments: list[Segment], settings: Settings) -> None:
        self._workers = workers
        self._settings = settings
        self._changed = threading.Condition()
        self._flights: dict[int, Flight] = {}
        self._done: dict[int, Result] = {}
        self._pushed = 0
        self._popped = 0
        self._is_closed = False
        self._is_ended = False
        self._error: Error | None = None
        self._lost: deque[tuple[Place, str, bool]] = deque()
        self.losses: list[DeviceLoss] = []
        self._latencies_ns: deque[int] = deque(maxlen=LATENCIES)
        self._results = 0
        self._begin_ns = 0
        self._last_ns = 0
        self._stages: list[Stage] = []
        self.routing = Routing([], [], [])
        self._live = workers.start([seat for segment in segments for seat in segment.seats])
        try:
            if not self._deploy(segments):
                raise Error(f"{self.losses[0].device}: {self.losses[0].reason}", "device")
        except BaseException:
            self.end()
            raise
        threading.Thread(target=self._repair_all, name="segue-repair", daemon=True).start()

    # --- called by users of the pipeline

    def push(self, inputs: dict[str, list[bytes]], timeout_s: float | None) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._has_room() or self._refuses(), timeout_s)
            if self._error is not None:
                raise self._error
            if self._refuses():
                raise Error("the pipeline is closed and takes no more inputs", "invalid_argument")
            if not self._has_room():
                return False
            flight = Flight(self._pushed, inputs, time.monotonic_ns())
            flight.restart()
            self._begin_ns = self._begin_ns or flight.begin_ns
            self._flights[flight.number] = flight
            self._pushed += 1
            self._stages[0].put(flight.number)
            self._changed.notify_all()
            return True

    def pop(self, timeout_s: float | None) -> Result | None:
        with self._changed:
            is_ready = self._changed.wait_for(
                lambda: self._popped in self._done or self._is_ended or self._is_drained(),
                timeout_s,
            )
            if not is_ready:
                raise TimeoutError("no result within the timeout")
            if self._popped in self._done:
                result = self._done.pop(self._popped)
                self._popped += 1
                self._changed.notify_all()
                return result
            if self._error is not None:
                raise self._error
        self.end()
        return None

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def end(self, error: Error | None = None) -> None:
        """Discards the inputs in flight and ends the workers. After an error, results are kept."""
        with self._changed:
            if self._is_ended:
                return
            self._is_ended = True
            self._error = error
            self._flights.clear()
            if error is None:
                self._done.clear()
            workers, self._live = self._live, []
            self._changed.notify_all()
        for worker in workers:
            self._workers.end(worker)

    def statistics(self) -> PipelineStatistics:
        with self._changed:
            elapsed_ns = max(0, self._last_ns - self._begin_ns)
            return PipelineStatistics(
                results=self._results,
                elapsed_ns=elapsed_ns,
                throughput_per_s=self._results / elapsed_ns * 1e9 if elapsed_ns else 0.0,
                latency=latency_of(self._latencies_ns),
                stages=[stage.statistics(elapsed_ns) for stage in self._stages],
                losses=[f"{loss.device}: {loss.reason}; {loss.remedy}" for loss in self.losses],
            )

    def _has_room(self) -> bool:
        devices = sum(len(stage.places) for stage in self._stages)
        room = devices + len(self._stages) * self._settings.queue_capacity
        return self._pushed - self._popped < room + self._settings.result_capacity

    def _refuses(self) -> bool:
        return self._is_closed or self._is_ended

    def _is_drained(self) -> bool:
        return self._is_closed and self._popped == self._pushed

    # --- called by the threads of workers

    def _compute(self, place: Place) -> None:
        while (taken := self._take(place)) is not None:
            flight, references = taken
            try:
                header = self._answer(place, references[0])
                if self._is_over(place):
                    return  # the input runs elsewhere
                if isinstance(header, Failure):
                    self._refuse(place, header)
                    return
                self._advance(place, flight, header, references[1:])
            except _Lost as lost:
                self._lose(place, str(lost), is_node_in_doubt=True)
                return
            except ray.exceptions.ObjectLostError:
                self._restart(place, flight)  # a tensor was in the store of a node that is gone
            except Exception as error:  # a thread must not end unnoticed
                if self._is_over(place):
                    return  # the call was for the previous segment
                self.end(Error(f"{place.worker.name}: {reason_of(error)}", "internal"))
                return

    def _take(self, place: Place) -> tuple[Flight, list[Any]] | None:
        # Calls are numbered and sent one at a time, in the order of the inputs.
        with place.submits:
            with self._changed:
                self._changed.wait_for(lambda: self._is_over(place) or self._is_next_ready(place))
                if self._is_over(place):
                    return None
                flight = self._flights[place.stage.take()]
                flight.holder = place
                reads = self.routing.stages[place.stage.index].reads
                pieces = [piece for name in reads for piece in flight.tensors[name]]
            place.answered_s = max(place.answered_s, time.monotonic())
            number, place.calls = place.calls, place.calls + 1
            return flight, place.call.remote(place.opened, number, *pieces)

    def _is_over(self, place: Place) -> bool:
        return self._is_ended or place.is_lost

    def _is_next_ready(self, place: Place) -> bool:
        """A stage with one device computes inputs in order, for segments that keep state."""
        if not place.stage.queue:
            return False
        if len(place.stage.places) > 1:
            return True
        first, index = place.stage.queue[0], place.stage.index
        return all(f.number >= first or f.stage > index or f.holder is place
                   for f in self._flights.values())  # fmt: skip

    def _answer(self, place: Place, reference: Any) -> Any:
        limit_s = self._settings.watchdog_s
        while True:
            until = place.answered_s + limit_s
            try:
                answer = ray.get(
                    reference, timeout=max(0.0, until - time.monotonic()) if limit_s else None
                )
            except ray.exceptions.GetTimeoutError:
                if place.answered_s + limit_s <= time.monotonic():
                    raise _Lost(f"no answer within {limit_s:g} s") from None
                continue  # it has answered an earlier call meanwhile
            except ray.exceptions.RayActorError as error:
                raise _Lost(reason_of(error)) from error
            place.answered_s = time.monotonic()
            return answer

    def _advance(self, place: Place, flight: Flight, time_ns: int, references: list[Any]) -> None:
        route = self.routing.stages[place.stage.index]
        written = {}
        for name, count in route.writes:
            written[name], references = references[:count], references[count:]
        is_last = place.stage.index + 1 == len(self._stages)
        outputs = self._outputs_of({**flight.tensors, **written}) if is_last else {}
        with self._changed:
            if flight.holder is not place or self._is_ended:
                return  # it runs again elsewhere
            place.busy_ns += time_ns
            place.stage.busy_ns += time_ns
            place.stage.runs += 1
            flight.holder = None
            flight.stage += 1
            if is_last:
                self._finish(flight, outputs)
            else:
                flight.tensors.update(written)
                for name in route.frees:
                    del flight.tensors[name]
                self._stages[flight.stage].put(flight.number)
            self._changed.notify_all()

    def _outputs_of(self, tensors: dict[str, Sequence[Any]]) -> dict[str, Any]:
        outputs = {}
        for port in self.routing.outputs:
            pieces = tensors[port.name]
            data = pieces if isinstance(pieces[0], bytes) else ray.get(list(pieces))
            outputs[port.name] = to_array(data, port.type, port.shape, port.name)
        return outputs

    def _finish(self, flight: Flight, outputs: dict[str, Any]) -> None:
        self._last_ns = time.monotonic_ns()
        latency_ns = self._last_ns - flight.begin_ns
        self._latencies_ns.append(latency_ns)
        self._results += 1
        self._done[flight.number] = Result(flight.number, latency_ns, outputs)
        del self._flights[flight.number]

    # --- losses

    def _refuse(self, place: Place, failure: Failure) -> None:
        if failure.code == "device":
            self._lose(place, failure.message, is_node_in_doubt=False)
        else:
            self.end(Error(f"{place.worker.name}: {failure.message}", failure.code))

    def _restart(self, place: Place, flight: Flight) -> None:
        with self._changed:
            if flight.holder is place and flight.number in self._flights:
                flight.restart()
                self._stages[0].put(flight.number)
                self._changed.notify_all()

    def _lose(self, place: Place, reason: str, *, is_node_in_doubt: bool) -> None:
        """Takes back the worker's inputs, which run again elsewhere."""
        with self._changed:
            if place.is_lost or self._is_ended:
                return
            place.is_lost = True
            place.stage.places.remove(place)
            for flight in self._flights.values():
                if flight.holder is place:
                    flight.holder = None
                    place.stage.put(flight.number)
            self._lost.append((place, reason, is_node_in_doubt))
            self._changed.notify_all()

    def _repair_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lost or self._is_ended)
                if self._is_ended:
                    return
                place, reason, is_node_in_doubt = self._lost.popleft()
                self._drop(place.worker)
            try:
                self._workers.lose(place.worker, is_node_in_doubt=is_node_in_doubt)
                remedy = self._remedy(place.stage)
            except Error as error:
                self.end(error)
                return
            except Exception as error:  # for example, the cluster itself is gone
                self.end(Error(f"the cluster failed: {reason_of(error)}", "device"))
                return
            self._record(place.worker, place.stage.index, reason, remedy or "none")
            if remedy is None:
                self.end(Error(f"{place.worker.name} was lost ({reason}), and no other device can "
                               f"compute {place.stage.segment.name}", "device"))  # fmt: skip

    def _remedy(self, stage: Stage) -> str | None:
        while (spare := self._workers.start_spare()) is not None:
            with self._changed:
                if self._is_ended:
                    self._workers.end(spare)
                    return None
                self._live.append(spare)
            if self._workers.open([(spare, stage.segment)], self._lose_idle) is not None:
                with self._changed:
                    self._start(stage, spare)
                return f"spare {spare.name}"
        with self._changed:
            if stage.places:
                return "the other devices of its stage"
        return self._replan()

    def _replan(self) -> str | None:
        """Makes a plan for the workers that are left, until all of them open their segments."""
        with self._changed:
            for stage in self._stages:
                for place in stage.places:
                    place.is_lost = True  # ends the threads of the place; the worker stays
            for flight in self._flights.values():
                flight.restart()
            also, self._lost = self._lost, deque()
            self._changed.notify_all()
        for place, reason, is_node_in_doubt in also:
            self._lose_idle(place.worker, reason, is_node_in_doubt)
        while self._live:
            segments = self._settings.replan(len(self._live))
            if segments is None:
                return None
            if self._deploy(segments):
                return f"a new plan for {sum(len(segment.seats) for segment in segments)} devices"
        return None

    def _deploy(self, segments: list[Segment]) -> bool:
        """Returns False if a worker was lost meanwhile; `_live` has the remaining ones."""
        needed = [segment for segment in segments for _ in segment.seats]
        chosen = list(zip(self._live, needed))
        opened = self._workers.open(chosen, self._lose_idle)
        if opened is None:
            return False
        of_segment = {segment.name: answer for (_, segment), answer in zip(chosen, opened)}
        answers = [of_segment[segment.name] for segment in segments]
        routing = route(answers, self._settings.input_names, self._settings.output_names)
        with self._changed:
            self.routing = routing
            self._stages = [Stage(i, s, a) for i, (s, a) in enumerate(zip(segments, answers))]
            by_name = {stage.segment.name: stage for stage in self._stages}
            for worker, segment in chosen:
                self._start(by_name[segment.name], worker)
            for number in self._flights:
                self._stages[0].put(number)
            self._changed.notify_all()
        return True

    def _start(self, stage: Stage, worker: Worker) -> None:
        count = 1 + sum(pieces for _, pieces in self.routing.stages[stage.index].writes)
        call = worker.actor.run.options(num_returns=count)
        place = Place(worker, stage, call, worker.opened)
        stage.places.append(place)
        for _ in range(CALLS_PER_WORKER):
            threading.Thread(target=self._compute, args=(place,), name="segue-worker",
                             daemon=True).start()  # fmt: skip
        self._changed.notify_all()

    def _lose_idle(self, worker: Worker, reason: str, is_node_in_doubt: bool) -> None:
        """Records the loss of a worker that had not computed yet."""
        if worker not in self._live:
            return
        self._drop(worker)
        self._workers.lose(worker, is_node_in_doubt=is_node_in_doubt)
        self._record(worker, 0, reason, "the other devices")

    def _drop(self, worker: Worker) -> None:
        if worker in self._live:
            self._live.remove(worker)

    def _record(self, worker: Worker, segment: int, reason: str, remedy: str) -> None:
        loss = DeviceLoss(worker.name, segment, reason, remedy)
        with self._changed:
            self.losses.append(loss)
        if self._settings.on_loss is None:
            return
        try:
            self._settings.on_loss(loss)
        except Exception as error:  # the repair must go on
            warnings.warn(f"on_loss: {error!r}", RuntimeWarning, stacklevel=2)
