"""Plans that name nodes, and the topology of a running cluster."""

import json
import subprocess
import sys

import numpy as np
import pytest
from clusters import LocalCluster, ray

import segue
from segue.cluster import ClusterPipeline
from segue.cluster.segments import Seat, seats_of
from segue.errors import Error


@pytest.fixture(scope="module")
def cluster():
    """All nodes have one address, so resources name them."""
    running = LocalCluster(0)
    for name in ("left", "right"):
        running.add(num_cpus=2, resources={name: 1, "edgetpu": 2})
    yield running
    running.stop()


MODEL = "zoo:mobilenet@64"


def plan_on(tmp_path, names=("left", "right")):
    """Two stages on two nodes."""
    topology = {
        "schema": "segue.topology/1",
        "nodes": [{"name": name, "devices": "1xedgetpu-usb2", "cores": 2} for name in names],
        "links": [{"between": list(names), "bytes_per_s": 1e9, "latency_ns": 1000}],
        "relay": True,
    }
    file = tmp_path / "hosts.json"
    file.write_text(json.dumps(topology))
    return segue.plan(MODEL, 0, topology=file, max_replicas=1)


def node_of(name):
    return next(n["NodeID"] for n in ray.nodes() if n["Alive"] and name in n["Resources"])


def test_stages_run_on_the_nodes_of_the_plan(cluster, tmp_path):
    plan = plan_on(tmp_path)
    seats = seats_of(plan)
    assert sorted(seat.node for stage in seats for seat in stage) == ["left", "right"]
    assert {seat.device for stage in seats for seat in stage} == {"edgetpu-usb2"}
    random = np.random.default_rng(1)
    images = [random.integers(-128, 128, (1, 64, 64, 3), dtype=np.int8) for _ in range(6)]
    whole = segue.open_session(segue.open_model(MODEL), segue.cpu_backend())
    with ClusterPipeline(plan, MODEL, address=cluster.address,
                         cache_folder=str(tmp_path / "cache")) as pipeline:  # fmt: skip
        for stage, of_stage in zip(pipeline._core._stages, seats):
            assert [p.worker.node_id for p in stage.places] == [node_of(s.node) for s in of_stage]
        results = list(pipeline.run(images))
    for image, result in zip(images, results):
        assert np.array_equal(*result.outputs.values(), whole.run([image])[0])


def test_simulated_times_are_those_of_the_nodes(cluster, tmp_path):
    """Device names with counts, as the plan has them, are not names of the catalogue."""
    plan = plan_on(tmp_path)
    assert plan.device == "1xedgetpu-usb2,1xedgetpu-usb2"
    image = np.zeros((1, 64, 64, 3), np.int8)
    with ClusterPipeline(plan, MODEL, address=cluster.address, backend="simulated",
                         cache_folder=str(tmp_path / "cache")) as pipeline:  # fmt: skip
        assert len(list(pipeline.run([image] * 5))) == 5
        stages = pipeline.statistics().stages
    for stage, planned in zip(stages, plan.stages):
        assert stage.mean_time_ns >= planned.time.total_ns


def test_missing_node_is_named(cluster, tmp_path):
    plan = plan_on(tmp_path, names=("left", "pluto"))
    with pytest.raises(Error, match="the plan names node 'pluto'") as raised:
        ClusterPipeline(plan, MODEL, address=cluster.address, cache_folder=str(tmp_path / "cache"))
    assert raised.value.code == "device"


def test_full_node_is_named(cluster, tmp_path):
    """Both nodes have free devices, but the plan wants more of one."""
    topology = {
        "schema": "segue.topology/1",
        "nodes": [{"name": "left", "devices": "3xedgetpu-pcie", "cores": 2}],
        "links": [],
    }
    file = tmp_path / "hosts.json"
    file.write_text(json.dumps(topology))
    plan = segue.plan("zoo:conv5-f32", 0, topology=file)
    assert [seat.node for seat in seats_of(plan)[0]] == ["left"] * 3
    with pytest.raises(Error, match="3 devices are needed, but 2 are free on node 'left'"):
        ClusterPipeline(plan, "zoo:conv5-f32", address=cluster.address,
                        cache_folder=str(tmp_path / "cache"))  # fmt: skip


def test_seats_of_other_plans_name_no_node(model):
    assert seats_of(segue.plan(model, 2, "balanced")) == [[Seat(None, "edgetpu-pcie")]] * 2
    mixed = segue.plan(model, 0, device="1xedgetpu-usb3,1xedgetpu-pcie")
    assert all(seat.node is None for stage in seats_of(mixed) for seat in stage)


def test_topology_of_a_cluster_is_planned_for(cluster, tmp_path):
    file = tmp_path / "hosts.json"
    command = [sys.executable, "-m", "segue.cluster", "topology", "--address", cluster.address,
               "--device", "edgetpu-pcie", "-o", file]  # fmt: skip
    subprocess.run(command, check=True)
    topology = json.loads(file.read_text())
    devices = [node.get("devices") for node in topology["nodes"]]
    assert devices.count("2xedgetpu-pcie") == 2 and topology["relay"] is True
    assert all(link["bytes_per_s"] > 1e6 for link in topology["links"])
    plan = segue.plan("zoo:resnet50", 0, topology=file)
    assert {seat.node for stage in seats_of(plan) for seat in stage} <= {
        node["name"] for node in topology["nodes"] if "devices" in node
    }
    assert plan.predicted.throughput_per_s > 50
