"""Edge TPUs of a node, imitated by a stand-in for libedgetpu."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from clusters import LocalCluster

import segue
from segue.cluster import ClusterPipeline


@pytest.fixture
def cluster(stand_ins):
    """Nodes inherit the variable that names the stand-in."""
    running = LocalCluster(0)
    yield running
    running.stop()


def device_processes():
    """Returns processes by the name of their device."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            continue
        if title.startswith("segue-device "):
            found.setdefault(title.split()[1], []).append(int(folder.name))
    return found


def test_edge_tpus_are_shared_out_and_planned_again(cluster, model, images, expected, tmp_path):
    if "SEGUE_TEST_COMPILER" not in os.environ:
        pytest.skip("SEGUE_TEST_COMPILER names no stand-in for edgetpu_compiler")
    cluster.nodes = [cluster.add(num_cpus=0, resources={"edgetpu": 2})]
    before = {pid for pids in device_processes().values() for pid in pids}
    settings = {"address": cluster.address, "cache_folder": str(tmp_path / "cache")}
    plan = segue.plan(model, 2, "balanced")
    with ClusterPipeline(plan, model, backend="edgetpu",
                         compiler=os.environ["SEGUE_TEST_COMPILER"], **settings) as pipeline:  # fmt: skip
        names = {p.worker.name for stage in pipeline._core._stages for p in stage.places}
        assert len(names) == 2 and all("apex" in n or "usb" in n for n in names), names
        for image, result in zip(images, pipeline.run(images)):
            (values,) = result.outputs.values()
            assert np.array_equal(values, expected(image))
        mine = [pid for pids in device_processes().values() for pid in pids if pid not in before]
        assert len(mine) == 2
        os.kill(mine[0], signal.SIGKILL)
        for image, result in zip(images, pipeline.run(images)):
            (values,) = result.outputs.values()
            assert np.array_equal(values, expected(image))
        (loss,) = pipeline.losses
        assert "a new plan for 1 devices" in loss.remedy
