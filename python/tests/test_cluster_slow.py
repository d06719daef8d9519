"""A ResNet50 in three stages on three nodes: many inputs, killed nodes, and the predicted pace."""

import random
import time

import numpy as np
import pytest
from clusters import LocalCluster, processes_of

import segue
from segue.cluster import ClusterPipeline

pytestmark = pytest.mark.slow

MODEL = "zoo:resnet50@64"
INPUTS = 1000
KILLS = 20
STAGE_MS = 20.0


@pytest.fixture(scope="module")
def cluster():
    running = LocalCluster(3)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def resnet():
    return segue.open_model(MODEL)


@pytest.fixture(scope="module")
def whole(resnet):
    session = segue.open_session(resnet, segue.cpu_backend())
    return lambda image: session.run([image])[0]


def inputs_of(resnet, count):
    generator = np.random.default_rng(3)
    shape = resnet.inputs[0].shape
    return [generator.integers(-128, 128, shape, dtype=np.int8) for _ in range(count)]


def open_pipeline(cluster, *arguments, **settings):
    return ClusterPipeline(*arguments, address=cluster.address, **settings)


def test_thousand_results_equal_the_whole_model(cluster, resnet, whole):
    plan = segue.plan(resnet, 3, "optimal", max_replicas=1)
    assert len(plan.stages) == 3
    images = inputs_of(resnet, INPUTS)
    with open_pipeline(cluster, plan, resnet) as pipeline:
        count = 0
        for image, result in zip(images, pipeline.run(images)):
            assert result.number == count
            (values,) = result.outputs.values()
            assert np.array_equal(values, whole(image)), count
            count += 1
        assert count == INPUTS
        assert pipeline.losses == []
        nodes = {p.worker.node_id for stage in pipeline._core._stages for p in stage.places}
        assert len(nodes) == 3


def test_killed_nodes_lose_double_and_swap_nothing(cluster, resnet, whole):
    plan = segue.plan(resnet, 3, "optimal", max_replicas=1)
    images = inputs_of(resnet, 40)
    expected = [whole(image) for image in images]
    chance = random.Random(4)
    remedies = []
    for turn in range(KILLS):
        cluster.ensure(3)
        at = chance.randrange(len(images) - 5)
        delay_s = chance.random() * 0.1
        with open_pipeline(cluster, plan, resnet) as pipeline:
            processes = processes_of(pipeline)
            numbers = []
            for result in pipeline.run(images):
                (values,) = result.outputs.values()
                assert np.array_equal(values, expected[result.number]), (turn, result.number)
                numbers.append(result.number)
                if len(numbers) == at + 1:
                    time.sleep(delay_s)
                    cluster.kill(chance.choice(cluster.nodes), processes)
            assert numbers == list(range(len(images))), turn
            remedies += [loss.remedy for loss in pipeline.losses]
            print(turn, at, [f"{loss.segment}: {loss.remedy}" for loss in pipeline.losses], flush=True)
    assert len(remedies) == KILLS and all("new plan" in remedy for remedy in remedies)


def test_throughput_is_the_predicted(cluster):
    """Simulated times are scaled so that the slowest stage takes 20 ms."""
    cluster.ensure(3)
    model = segue.open_model("zoo:conv5-f32")
    plan = segue.plan(model, 3, "balanced")
    assert len(plan.stages) == 3
    scale = STAGE_MS * 1e6 / plan.predicted.bottleneck_ns
    images = [np.zeros(model.inputs[0].shape, np.int8)] * INPUTS
    measured = 0.0
    for _ in range(3):  # other programs on the host delay simulated devices; the best run counts
        with open_pipeline(
            cluster, plan, model, backend="simulated", time_scale=scale, result_capacity=8
        ) as pipeline:
            for _ in pipeline.run(images):
                pass
            measured = max(measured, pipeline.statistics().throughput_per_s)
    predicted = plan.predicted.throughput_per_s / scale
    print(measured, predicted, flush=True)
    assert measured == pytest.approx(predicted, rel=0.1)
