"""Several models on one set of devices: planned, run, and served."""

import numpy as np
import pytest

import segue

DETECTOR = "zoo:conv5-f32"
CLASSIFIER = "zoo:mobilenet@64"


@pytest.fixture(scope="module")
def plan():
    demands = [segue.Demand(DETECTOR, rate_per_s=20, max_latency_ms=500), segue.Demand(CLASSIFIER)]
    return segue.plan_set(demands, "1xedgetpu-pcie")


@pytest.fixture(scope="module")
def set_json(plan, tmp_path_factory):
    file = tmp_path_factory.mktemp("set") / "set.json"
    file.write_text(plan.to_json())
    return file


def images_of(pipeline, count):
    random = np.random.default_rng(7)
    (port,) = pipeline.inputs
    return [random.integers(-128, 128, port.shape, dtype=np.int8) for _ in range(count)]


def whole(source, image):
    return segue.open_session(segue.open_model(source), segue.cpu_backend()).run([image])[0]


def test_plan_tells_rates_and_tpus(plan, set_json):
    assert plan.model_names == ["conv5-f32", "mobilenet@64"]
    assert plan.sources == [DETECTOR, CLASSIFIER]
    assert plan.rates_per_s[0] == 20
    assert plan.rates_per_s[1] > 20
    assert plan.tpus == [[[0]], [[0]]]
    assert "2 models on 1 of 1 Edge TPU" in str(plan)
    assert segue.read_set(set_json).to_json() == plan.to_json()


def test_demands_that_cannot_be_met_are_infeasible():
    with pytest.raises(segue.Error, match="1e\\+06/s requested") as error:
        segue.plan_set([segue.Demand(CLASSIFIER, rate_per_s=1e6)])
    assert error.value.code == "infeasible"


def test_weight_beside_a_rate_is_refused():
    with pytest.raises(ValueError, match="remove one of them"):
        segue.Demand(CLASSIFIER, rate_per_s=1, weight=2)


@pytest.mark.parametrize("time_scale", [None, 0.0])
def test_results_equal_whole_models(plan, set_json, time_scale):
    pipelines = segue.open_set(plan if time_scale is None else set_json, time_scale=time_scale)
    assert list(pipelines) == plan.model_names
    for source, pipeline in zip(plan.sources, pipelines.values()):
        images = images_of(pipeline, 4)
        for image, result in zip(images, pipeline.run(images)):
            (output,) = result.outputs.values()
            assert np.array_equal(output, whole(source, image))


def test_losses_name_models(plan):
    losses = []

    def fail(_):
        raise RuntimeError("unplugged")

    session = segue.open_session(segue.open_model(CLASSIFIER), segue.cpu_backend())
    broken = segue.callable_backend(session.inputs, session.outputs, fail)
    single = segue.plan_set([segue.Demand(CLASSIFIER)], "1xedgetpu-pcie")
    pipelines = segue.open_set(
        single,
        backends=[broken, segue.cpu_backend()],
        on_loss=lambda model, loss: losses.append((model, loss.remedy)),
    )
    (pipeline,) = pipelines.values()
    images = images_of(pipeline, 3)
    for image, result in zip(images, pipeline.run(images)):
        (output,) = result.outputs.values()
        assert np.array_equal(output, whole(CLASSIFIER, image))
    assert losses == [("mobilenet@64", "borrowed device device 1")]
