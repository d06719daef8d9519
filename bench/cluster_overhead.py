#!/usr/bin/env python3
"""Measures a hop between nodes of a Ray cluster and, in the same run, a plain socket with the same bytes.

Three nodes of a local cluster pass a tensor on in three ways: calls with the tensor in pieces (as in segue.cluster),
calls with the tensor as one object, and a compiled graph. A chain of processes passes the same bytes through TCP
sockets. Nothing is computed. The output has the time of a single input, the time between results with six inputs in
flight, and the CPU time of all processes per hop (three stages have four hops). The CPU time of the idle cluster is
subtracted.

    build/venv/bin/python bench/cluster_overhead.py [BYTES] [INPUTS]
"""

import collections
import os
import socket
import statistics
import subprocess
import sys
import time

MARK = "SEGUE_BENCH_CLUSTER"
STAGES = 3
IN_FLIGHT = 6
TURNS = 3

if __name__ == "__main__" and MARK not in os.environ:
    # All processes inherit this mark, by which the program finds their CPU time.
    os.environ.update({MARK: "1", "RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"})
    os.execv(sys.executable, [sys.executable, *sys.argv])

RELAY = """
import socket, sys
size, listener = int(sys.argv[1]), socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
source = listener.accept()[0]
target = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
for end in (source, target):
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
data = memoryview(bytearray(size))
while True:
    at = 0
    while at < size:
        count = source.recv_into(data[at:])
        if count == 0:
            sys.exit()
        at += count
    target.sendall(data)
"""


def cpu_s():
    total = 0
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/environ", "rb") as environment:
                if MARK.encode() + b"=1" not in environment.read():
                    continue
            with open(f"/proc/{number}/stat") as stat:
                fields = stat.read().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


class Sockets:
    """A chain of processes, each of which reads all bytes and passes them on."""

    def __init__(self, size):
        self.size = size
        self.back = socket.create_server(("127.0.0.1", 0))
        port = self.back.getsockname()[1]
        self.relays = []
        for _ in range(STAGES):
            command = [sys.executable, "-c", RELAY, str(size), str(port)]
            self.relays.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            port = int(self.relays[-1].stdout.readline())
        self.first = socket.create_connection(("127.0.0.1", port))
        self.last = self.back.accept()[0]
        self.first.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = bytes(size)

    def push(self):
        self.first.sendall(self.data)

    def pop(self):
        got = 0
        while got < self.size:
            got += len(self.last.recv(self.size - got))

    def end(self):
        self.first.close()
        for relay in self.relays:
            relay.wait()


class Calls:
    """Calls of the actors; each stage's results are arguments of the next call."""

    def __init__(self, actors, pieces):
        self.methods = [actor.relay.options(num_returns=len(pieces)) for actor in actors]
        self.pieces = pieces
        self.waiting = collections.deque()

    def push(self):
        values = self.pieces
        for method in self.methods:
            values = method.remote(*values)
            values = values if isinstance(values, list) else [values]
        self.waiting.append(values)

    def pop(self):
        import ray

        ray.get(self.waiting.popleft())

    def end(self):
        pass


class Graph:
    """A compiled graph of the actors."""

    def __init__(self, actors, array):
        from ray.dag import InputNode

        with InputNode() as node:
            for actor in actors:
                node = actor.relay.bind(node)
        self.graph = node.experimental_compile(
            _buffer_size_bytes=2 * array.nbytes, _max_inflight_executions=IN_FLIGHT + 2
        )
        self.array = array
        self.waiting = collections.deque()

    def push(self):
        self.waiting.append(self.graph.execute(self.array))

    def pop(self):
        import ray

        ray.get(self.waiting.popleft())

    def end(self):
        self.graph.teardown()


def measure(chain, inputs, idle_share):
    """Returns median and least ms of a single input, ms between results, and CPU ms of one input."""
    single = []
    for _ in range(inputs // 4):
        begin = time.perf_counter()
        chain.push()
        chain.pop()
        single.append(1e3 * (time.perf_counter() - begin))
    cpu, begin = cpu_s(), time.perf_counter()
    for number in range(inputs):
        if number >= IN_FLIGHT:
            chain.pop()
        chain.push()
    for _ in range(min(IN_FLIGHT, inputs)):
        chain.pop()
    elapsed = time.perf_counter() - begin
    used = cpu_s() - cpu - idle_share * elapsed
    return statistics.median(single), min(single), 1e3 * elapsed / inputs, 1e3 * used / inputs


def main():
    import numpy as np
    import ray
    from ray.cluster_utils import Cluster

    from segue.cluster.pieces import to_pieces

    size = int(sys.argv[1]) if len(sys.argv) > 1 else 400_000
    inputs = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "resources": {"node0": 1}})
    for index in range(1, STAGES):
        cluster.add_node(**node, resources={f"node{index}": 1})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")

    @ray.remote(num_cpus=0)
    class Stage:
        def relay(self, *values):
            return values[0] if len(values) == 1 else list(values)

    actors = [Stage.options(resources={f"node{i}": 0.1}).remote() for i in range(STAGES)]
    ray.get([actor.relay.remote(0) for actor in actors])
    array = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)
    cpu, begin = cpu_s(), time.perf_counter()
    time.sleep(10)
    idle_share = (cpu_s() - cpu) / (time.perf_counter() - begin)
    kinds = {
        "plain socket": lambda: Sockets(size),
        "Ray, pieces (segue.cluster)": lambda: Calls(actors, to_pieces(array)),
        "Ray, one object": lambda: Calls(actors, [array]),
        "Ray, compiled graph": lambda: Graph(actors, array),
    }
    rows = {name: [] for name in kinds}
    for _ in range(TURNS):
        for name, make in kinds.items():
            chain = make()
            measure(chain, 8, idle_share)  # warm-up
            rows[name].append(measure(chain, inputs, idle_share))
            chain.end()
    hops = STAGES + 1
    print(f"{size} bytes, {STAGES} nodes, {hops} hops; medians of {TURNS} turns of {inputs} inputs; idle cluster: "
          f"{1e3 * idle_share:.0f} ms of CPU time per s; load {os.getloadavg()[0]:.1f}\n")
    print("| | one input, median | least | between results | CPU per input | CPU per hop |\n|---|--:|--:|--:|--:|--:|")
    for name, turns in rows.items():
        median, least, period, used = (statistics.median(column) for column in zip(*turns))
        print(f"| {name} | {median:.1f} ms | {least:.1f} ms | {period:.1f} ms | {used:.2f} ms | {used / hops:.2f} ms |")
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
