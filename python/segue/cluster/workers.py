"""Starts actors on the nodes of a cluster and sends them segments."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Sequence

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from segue._segue import version
from segue.cluster.segments import Seat, Segment
from segue.cluster.stage import BackendSpec, Failure, Opened, StageActor
from segue.errors import Error

# A worker has two calls at a time, so that the tensors of one arrive while the other is computed.
CALLS_PER_WORKER = 2
# After this time Ray lists a lost node as dead.
DOUBT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
# What a device of a backend takes of its node.
RESOURCES = {"cpu": "CPU", "simulated": "CPU", "edgetpu": "edgetpu"}


def connect(address: str | None) -> None:
    """Connects this process, unless it is connected; None starts a cluster of this host alone."""
    if ray.is_initialized():
        return
    own: dict[str, Any] = {}
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to Ray's authors
        own = {"address": "local", "include_dashboard": False}
    try:
        if address == "auto":  # RAY_ADDRESS, or the cluster that this host started last
            address = ray._private.services.get_ray_address_from_environment(address, None)
        host, _, port = (address or "127.0.0.1:").rpartition(":")
        if host in ("127.0.0.1", "localhost"):
            # RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 would set this when Ray is imported. Otherwise
            # Ray replaces 127.0.0.1 by the host's address in the network. A cluster of the
            # loopback interface does not listen there, and a new cluster would.
            ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
        if host and port.isdigit():  # Ray would try for minutes, and then end the process
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
        ray.init(**{"address": address, **own}, log_to_driver=False, logging_level="error")
    except OSError as error:
        raise Error(f"no Ray cluster at '{address}' ({error}); start one with `ray start --head`",
                    "device") from error  # fmt: skip


@dataclass(eq=False)
class Worker:
    """One device of one node, with the process that uses it."""

    node_id: str
    actor: Any
    name: str  # device and node
    opened: int = 0  # number of segments that it has opened, one after the other


class Workers:
    """Starts workers where devices are free, spread over the nodes."""

    def __init__(self, backend: BackendSpec, cache_folder: str | None, start_timeout_s: float):
        self._backend = backend
        self._cache_folder = cache_folder
        self._timeout_s = start_timeout_s
        self._resource = RESOURCES[backend.kind]
        self._used: Counter[str] = Counter()  # devices of each node that are ours or were lost
        self._doubtful: dict[str, float] = {}  # nodes that may be gone, and until when
        self._class = ray.remote(StageActor)

    def start(self, seats: Sequence[Seat]) -> list[Worker]:
        """Starts a worker for each seat; raises Error with code device if devices are missing."""
        workers: dict[int, Worker] = {}
        reasons: list[str] = []
        try:
            while missing := [seat for seat in range(len(seats)) if seat not in workers]:
                chosen = self._choose([seats[seat] for seat in missing])
                if len(chosen) < len(missing):
                    lacking = seats[missing[len(chosen)]]
                    found = len(chosen) + len(workers)
                    raise self._too_few(lacking, len(seats), found, reasons)
                started = [self._launch(n, seats[seat]) for n, seat in zip(chosen, missing)]
                for seat, worker in zip(missing, started):
                    if reason := self._failure_of(worker):
                        reasons.append(reason)
                    else:
                        workers[seat] = worker
        except BaseException:
            for worker in workers.values():
                self.end(worker)
            raise
        return [workers[seat] for seat in range(len(seats))]

    def start_spare(self) -> Worker | None:
        """Starts a worker on a free device of a node that is not in doubt, if there is one."""
        try:
            return self.start([Seat()])[0]
        except Error:
            return None

    def lose(self, worker: Worker, *, is_node_in_doubt: bool) -> None:
        """Gives up a worker and its device; other devices of a living node stay usable."""
        self.end(worker)
        if is_node_in_doubt:
            self._doubt(worker.node_id)

    def end(self, worker: Worker) -> None:
        if ray.is_initialized():
            ray.kill(worker.actor)

    def open(
        self, chosen: Sequence[tuple[Worker, Segment]], on_loss: Callable[[Worker, str, bool], None]
    ) -> list[Opened] | None:
        """Opens a segment on each worker; None if workers were lost, which on_loss reports."""
        is_complete = True
        calls: list[Any] = []
        for step in (self._store, self._open):
            calls = step(chosen)
            for (worker, segment), call in zip(chosen, calls):
                try:
                    answer = None if call is None else ray.get(call, timeout=self._timeout_s)
                except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError) as error:
                    on_loss(worker, reason_of(error), True)
                    is_complete = False
                    continue
                if isinstance(answer, Failure):
                    if answer.code != "device":
                        message = f"{segment.name} on {worker.name}: {answer.message}"
                        raise Error(message, answer.code)
                    on_loss(worker, answer.message, False)
                    is_complete = False
                if isinstance(answer, Opened) and self._resource == "edgetpu":
                    worker.name = f"{answer.device} of {worker.name.rpartition(' of ')[2]}"
            if not is_complete:
                return None
        return [ray.get(call) for call in calls]

    def _store(self, chosen: Sequence[tuple[Worker, Segment]]) -> list[Any]:
        """Sends each segment once to each node that does not have it."""
        asked = {}
        for worker, segment in chosen:
            key = (worker.node_id, segment.sha256)
            if key not in asked:
                asked[key] = worker.actor.has.remote(segment.sha256)
        sent: dict[str, Any] = {}
        calls: list[Any] = []
        for worker, segment in chosen:
            question = asked.pop((worker.node_id, segment.sha256), None)
            try:
                has = question is None or ray.get(question, timeout=self._timeout_s)
            except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
                has = True  # opening the segment then shows that the worker is lost
            if has:
                calls.append(None)
                continue
            if segment.sha256 not in sent:
                sent[segment.sha256] = ray.put(segment.data)
            calls.append(worker.actor.put.remote(segment.sha256, sent[segment.sha256]))
        return calls

    @staticmethod
    def _open(chosen: Sequence[tuple[Worker, Segment]]) -> list[Any]:
        for worker, _ in chosen:
            worker.opened += 1
        return [worker.actor.open.remote(segment.sha256, worker.opened)
                for worker, segment in chosen]  # fmt: skip

    def _launch(self, node: dict[str, Any], seat: Seat) -> Worker:
        is_edgetpu = self._resource == "edgetpu"
        device = self._backend.device or seat.device or "edgetpu-pcie"
        actor = self._class.options(
            num_cpus=0 if is_edgetpu else 1,
            resources={"edgetpu": 1} if is_edgetpu else None,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            max_concurrency=CALLS_PER_WORKER,
            max_restarts=0,
            max_task_retries=0,
        ).remote(dataclasses.replace(self._backend, device=device), self._cache_folder)
        where = f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})"
        device = f"{self._backend.kind} {self._used[node['NodeID']]}"
        self._used[node["NodeID"]] += 1
        return Worker(node["NodeID"], actor, f"{device} of {where}")

    def _failure_of(self, worker: Worker) -> str | None:
        """Returns why the worker does not start; its node may be lost and rests for a while."""
        try:
            theirs = ray.get(worker.actor.version.remote(), timeout=self._timeout_s)
        except ray.exceptions.GetTimeoutError:
            reason = f"no start within {self._timeout_s:g} s; another job may use the device"
        except ray.exceptions.RayError as error:
            reason = reason_of(error)
        else:
            if theirs == version():
                return None
            reason = f"Segue {theirs} there, but {version()} here"
        self.end(worker)
        self._doubt(worker.node_id)
        return f"{worker.name}: {reason}"

    def _too_few(self, seat: Seat, count: int, found: int, reasons: Sequence[str]) -> Error:
        of = [f"{node['NodeManagerAddress']}: {self._free(node)}" for node in nodes()]
        free = f"resource {self._resource}; {', '.join(of) or 'no node is alive'}"
        failed = f"; not started: {'; '.join(reasons)}" if reasons else ""
        if seat.node is not None and not any(is_named(node, seat.node) for node in nodes()):
            return Error(f"the plan names node '{seat.node}', but no node that is alive has this "
                         f"address, host name or resource ({', '.join(of)})", "device")  # fmt: skip
        on = "" if seat.node is None else f" on node '{seat.node}'"
        return Error(
            f"{count} devices are needed, but {found} are free{on} ({free}{failed}); start more "
            "nodes, or make a plan for fewer devices (docs/cluster.md)",
            "device",
        )

    def _choose(self, seats: Sequence[Seat]) -> list[dict[str, Any]]:
        """Chooses nodes with free devices in turns, beginning with those that have the most.

        Returns fewer nodes than seats if no device is left.
        """
        now = time.monotonic()
        sure = [n for n in nodes() if self._doubtful.get(n["NodeID"], now) <= now]
        free = {node["NodeID"]: self._free(node) for node in sure}
        chosen: list[dict[str, Any]] = []
        for seat in seats:
            left = [n for n in sure if free[n["NodeID"]] > 0
                    and (seat.node is None or is_named(n, seat.node))]  # fmt: skip
            if not left:
                break
            taken = Counter(node["NodeID"] for node in chosen)
            best = min(left, key=lambda n: (taken[n["NodeID"]], -free[n["NodeID"]], n["NodeID"]))
            free[best["NodeID"]] -= 1
            chosen.append(best)
        return chosen

    def _doubt(self, node_id: str) -> None:
        self._doubtful[node_id] = time.monotonic() + DOUBT_S

    def _free(self, node: dict[str, Any]) -> int:
        return int(node["Resources"].get(self._resource, 0)) - self._used[node["NodeID"]]


def nodes() -> list[dict[str, Any]]:
    """What Ray says of the nodes that are alive."""
    return [node for node in ray.nodes() if node["Alive"]]


def is_named(node: dict[str, Any], name: str) -> bool:
    """By its address, host name, Ray's name or number, or a resource of this name."""
    keys = ("NodeManagerAddress", "NodeManagerHostname", "NodeName", "NodeID")
    return name in node["Resources"] or name in [node.get(key) for key in keys]


def reason_of(error: Exception) -> str:
    """Returns the first line of the message, because Ray's messages have many lines."""
    if isinstance(error, ray.exceptions.GetTimeoutError):
        return "no answer in time"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
