"""The topology of a running cluster, for `segue plan --topology`."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from segue.cluster.workers import nodes, reason_of
from segue.errors import Error

SWITCH = "network"
TURNS = 20  # of a byte, for the latency
LARGE = 16 * 2**20  # bytes, for the bandwidth
TIMEOUT_S = 20.0


def topology_of_cluster(resource: str, device: str) -> dict[str, Any]:
    """A segue.topology/1: nodes with this resource, links as measured between them and this one.

    Every tensor passes this host, as in ClusterPipeline: it is the entry, and relays.
    """
    alive = sorted(nodes(), key=lambda node: (str(node["NodeManagerAddress"]), str(node["NodeID"])))
    here = ray.get_runtime_context().get_node_id()
    names = _names(alive)
    switch = SWITCH
    while switch in names.values():
        switch += "_"
    written: list[dict[str, Any]] = []
    links: list[dict[str, Any]] = []
    for node in alive:
        name = names[node["NodeID"]]
        count = int(node["Resources"].get(resource, 0))
        if count == 0 and node["NodeID"] != here:
            continue
        cores, bytes_per_s, latency_ns = _measure(node, name)
        written.append({"name": name, "cores": cores})
        if count > 0:
            written[-1]["devices"] = f"{count}x{device}"
        if node["NodeID"] != here:
            links.append({"between": [name, switch], "bytes_per_s": bytes_per_s,
                          "latency_ns": latency_ns})  # fmt: skip
    if not any("devices" in node for node in written):
        raise Error(f"no node of the cluster has the resource {resource}; start nodes with it "
                    "(docs/cluster.md)", "device")  # fmt: skip
    if links:
        written.append({"name": switch})
        # What every node reaches alone is what the link of this host carries at least.
        links.insert(0, {"between": [names[here], switch],
                         "bytes_per_s": max(link["bytes_per_s"] for link in links),
                         "latency_ns": 0})  # fmt: skip
    return {"schema": "segue.topology/1", "nodes": written, "links": links,
            "entry": names[here], "relay": True}  # fmt: skip


def _names(alive: list[dict[str, Any]]) -> dict[str, str]:
    """The first of host name, address and Ray's number that no other node has."""
    names: dict[str, str] = {}
    for key in ("NodeID", "NodeManagerAddress", "NodeManagerHostname"):
        count = Counter(node[key] for node in alive)
        names |= {node["NodeID"]: node[key] for node in alive if count[node[key]] == 1}
    return names


class _Echo:
    """Answers a byte with a byte, and a large message with one byte at its end."""

    def __init__(self, address: str) -> None:
        self._server = socket.create_server((address, 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def about(self) -> tuple[int, int]:
        """Port, and cores of the host."""
        return self._server.getsockname()[1], os.cpu_count() or 1

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(TURNS):
                connection.sendall(connection.recv(1))
            left = LARGE
            while left > 0 and (got := len(connection.recv(2**20))) > 0:
                left -= got
            connection.sendall(b"x")


def _measure(node: dict[str, Any], name: str) -> tuple[int, float, int]:
    """Cores of a node, and bandwidth and latency of the way to it."""
    where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    host = node["NodeManagerAddress"]
    actor = ray.remote(_Echo).options(num_cpus=0, scheduling_strategy=where).remote(host)
    try:
        port, cores = ray.get(actor.about.remote(), timeout=TIMEOUT_S)
        with socket.create_connection((host, port), TIMEOUT_S) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            turn_s = min(_turn_s(connection, b"x") for _ in range(TURNS))
            large_s = _turn_s(connection, bytes(LARGE))
    except (OSError, ray.exceptions.RayError, ray.exceptions.GetTimeoutError) as error:
        raise Error(f"node '{name}': the way to it was not measured ({reason_of(error)}); open its "
                    "ports to this host, or write its link by hand", "device") from error  # fmt: skip
    finally:
        ray.kill(actor)
    bytes_per_s = LARGE / max(large_s - turn_s, 1e-9)
    return cores, float(f"{bytes_per_s:.3g}"), round(turn_s / 2 * 1e9)


def _turn_s(connection: socket.socket, data: bytes) -> float:
    begin = time.perf_counter()
    connection.sendall(data)
    if connection.recv(1) == b"":
        raise ConnectionError("the connection was closed")
    return time.perf_counter() - begin
