"""Pipelines on a cluster of two nodes on this machine."""

import os
import shutil
import signal
import time

import numpy as np
import pytest
from clusters import LocalCluster, processes_of

import segue
from segue.cluster import ClusterPipeline
from segue.cluster.stage import Store

@pytest.fixture(scope="module")
def cluster():
    running = LocalCluster(2)
    yield running
    running.stop()


@pytest.fixture
def opened(cluster, tmp_path):
    """Opens pipelines on two living nodes, with an empty cache."""
    cluster.ensure(2)
    pipelines = []

    def open_pipeline(*arguments, **settings):
        given = {"address": cluster.address, "cache_folder": str(tmp_path / "cache"), **settings}
        pipelines.append(ClusterPipeline(*arguments, **given))
        return pipelines[-1]

    yield open_pipeline
    for pipeline in pipelines:
        pipeline.cancel()


@pytest.fixture(scope="module")
def two_stages(model):
    return segue.plan(model, 2, "balanced")


def only(result):
    (value,) = result.outputs.values()
    return value


def check(results, images, expected, first=0):
    results = list(results)
    assert [r.number for r in results] == list(range(first, first + len(images)))
    for image, result in zip(images, results):
        assert np.array_equal(only(result), expected(image))


def test_results_match_whole_model_in_order(opened, model, two_stages, images, expected, parts):
    pipeline = opened(two_stages, model, queue_capacity=1, result_capacity=1)
    check(pipeline.run(images), images, expected)
    statistics = pipeline.statistics()
    assert statistics.results == len(images) and statistics.throughput_per_s > 0
    assert [stage.segment for stage in statistics.stages] == ["segment 0 of 2", "segment 1 of 2"]
    assert all(stage.mean_time_ns > 0 and stage.utilisations for stage in statistics.stages)
    assert statistics.latency.p99_ns >= statistics.latency.p50_ns > 0
    assert pipeline.losses == []
    check_ports(pipeline, parts)
    check_refusals(pipeline, images[0])
    check_limits(pipeline, images, expected)


def check_ports(pipeline, parts):
    with segue.Pipeline(parts) as local:
        for ours, theirs in ((pipeline.inputs, local.inputs), (pipeline.outputs, local.outputs)):
            assert [(p.name, p.type, p.shape, p.nbytes) for p in ours] == [
                (p.name, p.type, p.shape, p.nbytes) for p in theirs
            ]


def check_refusals(pipeline, image):
    """Pushes inputs that do not fit; the pipeline continues."""
    for inputs, text in (
        (image[:, 1:], "shape"),
        (image.astype(np.uint8), "elements"),
        ([image, image], "2 inputs given"),
        ({"other": image}, "missing"),
        ("text", "numpy array"),
    ):
        with pytest.raises(segue.Error, match=text) as caught:
            pipeline.push(inputs)
        assert caught.value.code == "invalid_argument"
    for inputs in (image, [image], {pipeline.inputs[0].name: image}):
        pipeline.push(inputs)
        assert pipeline.pop() is not None


def check_limits(pipeline, images, expected):
    """Checks that a full pipeline takes no input and that a closed one is drained."""
    pushed = 0
    while pipeline.push(images[0], 0.0):
        pushed += 1
        assert pushed < 20
    assert pushed == 2 + 2 * 1 + 1  # devices, queues, results
    for _ in range(pushed):
        pipeline.pop()
    with pytest.raises(TimeoutError):
        pipeline.pop(0.1)
    pipeline.push(images[1])
    pipeline.close()
    with pytest.raises(segue.Error, match="closed"):
        pipeline.push(images[1])
    assert np.array_equal(only(pipeline.pop()), expected(images[1]))
    assert pipeline.pop() is None


def test_too_few_devices_are_counted(opened, model, parts, tmp_path):
    with pytest.raises(segue.Error, match="3 devices are needed, but 2 are free") as caught:
        opened(segue.plan(model, 3, "balanced"), model)
    assert caught.value.code == "device"
    for file in parts.glob("*.tflite"):
        shutil.copy(file, tmp_path / f"{file.stem}_edgetpu.tflite")
    with pytest.raises(segue.Error, match="3 devices are needed, but 0 are free .resource edgetpu"):
        opened(tmp_path, backend="edgetpu")
    with pytest.raises(segue.Error, match="need compiled segments"):
        opened(segue.plan(model, 2, "balanced"), model, backend="edgetpu")


def test_changed_segment_is_sent_again(opened, model, two_stages, images, expected, tmp_path):
    with opened(two_stages, model):
        pass
    kept = sorted((tmp_path / "cache").glob("*.tflite"))
    assert len(kept) == 2  # one for each segment
    kept[0].write_bytes(kept[1].read_bytes())
    written = kept[1].stat().st_mtime_ns
    with opened(two_stages, model) as pipeline:
        check(pipeline.run(images), images, expected)
    assert kept[1].stat().st_mtime_ns == written  # a stored segment is not sent again


def test_store_refuses_other_content(tmp_path):
    store = Store(str(tmp_path))
    with pytest.raises(segue.Error, match="SHA-256") as caught:
        store.put("0" * 64, b"segment")
    assert caught.value.code == "mismatch"
    with pytest.raises(segue.Error, match="hexadecimal"):
        store.put("../" + "0" * 61, b"segment")
    assert list(tmp_path.iterdir()) == []


def test_killed_process_leads_to_new_plan(opened, model, two_stages, images, expected):
    pipeline = opened(two_stages, model)
    check([*pipeline.run(images)], images, expected)
    many = images * 5
    results = []
    for result in pipeline.run(many):
        results.append(result)
        if len(results) == 3:
            os.kill(processes_of(pipeline)[1][1], signal.SIGKILL)
    check(results, many, expected, len(images))
    (loss,) = pipeline.losses
    assert loss.segment == 1 and "a new plan for 1 device" in loss.remedy
    assert len(pipeline.statistics().stages) == 1
    assert "a new plan" in pipeline.statistics().losses[0]


def test_killed_node_is_replaced_by_spare(
    cluster, opened, model, two_stages, images, expected
):
    cluster.ensure(3)
    seen = []
    pipeline = opened(two_stages, model, on_loss=seen.append)
    processes = processes_of(pipeline)
    used = dict(processes)
    many = images * 5
    results = []
    for result in pipeline.run(many):
        results.append(result)
        if len(results) == 3:
            cluster.kill(next(node for node in cluster.nodes if node.node_id in used), processes)
    check(results, many, expected)
    assert [loss.remedy.split()[0] for loss in seen] == ["spare"]
    assert len(pipeline.statistics().stages) == 2


def test_lost_replica_leaves_the_other(opened, model, images, expected):
    plan = segue.plan(model, 2, "optimal")
    assert [stage.replicas for stage in plan.stages] == [2]
    pipeline = opened(plan, model)
    many = images * 5
    results = []
    for result in pipeline.run(many):
        results.append(result)
        if len(results) == 3:
            os.kill(processes_of(pipeline)[0][1], signal.SIGKILL)
    check(results, many, expected)
    assert [loss.remedy for loss in pipeline.losses] == ["the other devices of its stage"]


def test_folder_without_model_ends_with_its_device(opened, model, two_stages, images, tmp_path):
    segue.split(model, two_stages, tmp_path / "parts")
    pipeline = opened(tmp_path / "parts")
    pipeline.push(images[0])
    assert pipeline.pop().number == 0
    os.kill(processes_of(pipeline)[0][1], signal.SIGKILL)
    with pytest.raises(segue.Error, match="no other device can compute segment 0 of 2") as caught:
        for _ in range(3):
            pipeline.push(images[0])
            pipeline.pop()
    assert caught.value.code == "device"
    assert pipeline.losses[0].remedy == "none"


def test_stopped_process_is_lost_after_watchdog(opened, model, two_stages, images, expected):
    pipeline = opened(two_stages, model, watchdog_s=2.0)
    pipeline.push(images[0])
    assert np.array_equal(only(pipeline.pop()), expected(images[0]))
    _, stopped = processes_of(pipeline)[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        check(pipeline.run(images), images, expected, 1)
        assert time.monotonic() - begin >= 2.0
        assert "no answer within 2 s" in pipeline.losses[0].reason
    finally:
        os.kill(stopped, signal.SIGKILL)


def test_skipping_tensors_reach_later_stages(opened, images):
    """A residual network is cut where two tensors cross."""
    model = segue.open_model("zoo:resnet50@32")
    plan = segue.plan(model, 2, "optimal", max_replicas=1)
    whole = segue.open_session(model, segue.cpu_backend())
    pipeline = opened(plan, model)
    random = np.random.default_rng(2)
    inputs = [random.integers(-128, 128, (1, 32, 32, 3), dtype=np.int8) for _ in range(3)]
    check(pipeline.run(inputs), inputs, lambda image: whole.run([image])[0])


def test_cancel_discards_and_ends_processes(opened, model, two_stages, images):
    pipeline = opened(two_stages, model)
    numbers = [process for _, process in processes_of(pipeline)]
    pipeline.push(images[0])
    pipeline.cancel()
    assert pipeline.pop() is None
    with pytest.raises(segue.Error, match="closed"):
        pipeline.push(images[0])
    until = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{number}") for number in numbers):
        assert time.monotonic() < until
        time.sleep(0.1)
