"""A Ray cluster of this machine for tests: small nodes, no dashboard, no usage statistics."""

import os
import signal

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_worker_niceness"] = "0"  # Ray's default of 15 starves the stages beside other programs
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray leaves 127.0.0.1 as it is
ray = pytest.importorskip("ray", reason="segue[cluster] is not installed: no ray")

from ray.cluster_utils import Cluster

from segue.cluster.workers import connect

NODE = {
    "object_store_memory": 80 * 2**20,
    "include_dashboard": False,
    "node_ip_address": "127.0.0.1",
}


class LocalCluster:
    """A cluster whose driver's node has no processors, so that any other node may be killed."""

    def __init__(self, nodes):
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **NODE})
        self.address = self.cluster.address
        self.nodes = [self.add() for _ in range(nodes)]
        connect(self.address)

    def add(self, **settings):
        return self.cluster.add_node(**{"num_cpus": 1, **NODE, **settings})

    def ensure(self, count):
        """Starts nodes until `count` are alive, because an earlier test may have killed some."""
        while len(self.nodes) < count:
            self.nodes.append(self.add())

    def kill(self, node, processes):
        """Kills a node and its stages, like a power loss; stages alone would run another second.

        processes: the result of processes_of.
        """
        self.nodes.remove(node)
        for node_id, process in processes:
            if node_id == node.node_id:
                os.kill(process, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)

    def stop(self):
        ray.shutdown()
        self.cluster.shutdown()


def processes_of(pipeline):
    """Returns node and process of each device, in the order of the stages."""
    workers = [place.worker for stage in pipeline._core._stages for place in stage.places]
    calls = [worker.actor.__ray_call__.remote(lambda _: os.getpid()) for worker in workers]
    return list(zip([worker.node_id for worker in workers], ray.get(calls)))
