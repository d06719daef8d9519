import concurrent.futures
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import segue


def test_non_utf8_names_round_trip(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/n\xff.tflite")
    segue.open_model("zoo:conv5-f8").save(path)
    model = segue.open_model(path)
    assert os.fsencode(model.name) == b"n\xff"
    assert "n\udcff" in repr(model)
    segue.split(model, segue.plan(model, 2, "balanced"), tmp_path / "parts")
    assert segue.verify(model, tmp_path / "parts")
    assert segue.verify(model, tmp_path / "parts", kernels="xnnpack")
    with pytest.raises(segue.Error, match="unknown kernels 'fast'"):
        segue.verify(model, tmp_path / "parts", kernels="fast")


def test_model_exposes_its_graph(model):
    assert model.name == "conv5-f32"
    assert [op.name for op in model.operators] == ["CONV_2D"] * 5
    assert [op.depth for op in model.operators] == [1, 2, 3, 4, 5]
    assert sum(op.macs for op in model.operators) == model.macs
    assert sum(level.parameter_bytes for level in model.levels) == model.parameter_bytes
    assert model.operators[1].inputs[0].name == model.operators[0].outputs[0].name
    assert model.inputs[0].shape == [1, 64, 64, 3]
    assert len(model.sha256) == 64


def test_constants_are_read_only_views(model):
    weights = next(t for t in model.tensors if t.is_constant and len(t.shape) == 4)
    assert weights.data.nbytes == weights.nbytes
    assert not weights.data.flags.owndata and not weights.data.flags.writeable
    assert weights.data.ctypes.data == weights.data.ctypes.data
    assert model.inputs[0].data is None


def test_constants_outlive_the_model():
    weights = [t for t in segue.open_model("zoo:dense4-n128").tensors if t.is_constant][0].data
    assert weights.any()


def test_saved_model_has_same_hash(model, tmp_path):
    model.save(tmp_path / "m.tflite")
    assert segue.open_model(str(tmp_path / "m.tflite")).sha256 == model.sha256


def test_reports_name_themselves(model, tmp_path):
    plan = segue.plan(model, 2, "balanced")
    segue.split(model, plan, tmp_path)
    report = segue.verify(model, tmp_path)
    assert repr(report) == "<segue.VerifyReport: 2 segments agree>"
    assert repr(segue.simulate(plan, 3)).startswith("<segue.Timeline: 3 inputs in ")
    findings = segue.doctor(edgetpu_library="/nowhere/libedgetpu.so.1")
    assert repr(findings[0]) == f"<segue.Finding {findings[0].key}: {findings[0].kind}>"


def test_number_of_tpus_is_not_a_truth_value(model):
    with pytest.raises(ValueError, match="tpus must be a number"):
        segue.plan(model, True)


@pytest.mark.parametrize("strategy", ["compiler", "balanced", "profile", "optimal"])
def test_plans_cover_every_operator_once(model, strategy):
    plan = segue.plan(model, 3, strategy)
    operators = [op for stage in plan.stages for op in stage.operators]
    assert sorted(operators) == list(range(len(model.operators)))
    assert plan.device_count <= 3
    assert plan.strategy == strategy


def test_predictions_have_ranges(model):
    predicted = segue.plan(model, 3).predicted
    for value, (low, high) in [
        (predicted.bottleneck_ns, predicted.bottleneck_range_ns),
        (predicted.latency_ns, predicted.latency_range_ns),
        (predicted.throughput_per_s, predicted.throughput_range_per_s),
    ]:
        assert low < value < high


def test_plan_json_round_trips(model):
    plan = segue.plan(model, 2, "balanced")
    document = json.loads(plan.to_json())
    assert document["schema"] == "segue.plan/2"
    assert document["predicted"]["bottleneck_ns"] == plan.predicted.bottleneck_ns
    assert segue.parse_plan(plan.to_json()).to_json() == plan.to_json()
    assert "balanced: " in str(plan)


def test_optimal_respects_replicas_and_latency():
    model = segue.open_model("zoo:conv5-f512")
    free = segue.plan(model, 4, "optimal")
    pure = segue.plan(model, 4, "optimal", max_replicas=1)
    quick = segue.plan(model, 4, "optimal", objective="latency")
    assert free.is_proven and pure.is_proven
    assert free.predicted.bottleneck_ns <= pure.predicted.bottleneck_ns
    assert quick.predicted.latency_ns <= free.predicted.latency_ns
    with pytest.raises(segue.Error) as failed:
        segue.plan(model, 4, "optimal", max_latency_ms=0.001)
    assert failed.value.code == "infeasible"


def test_unequal_devices_give_a_plan(model):
    plan = segue.plan(model, 0, "optimal", "1xedgetpu-usb3,1xedgetpu-pcie")
    assert 1 <= plan.device_count <= 2


def test_comparison_has_every_strategy(model):
    plans = segue.compare(model, range(1, 4))
    assert [p.strategy for p in plans] == ["compiler", "balanced", "profile", "optimal"] * 3
    with pytest.raises(ValueError):
        segue.compare(model, range(1, 9, 2))


def test_changed_segment_fails_verification(model, tmp_path):
    files = segue.split("zoo:conv5-f32", segue.plan(model, 3, "balanced"), tmp_path)
    assert [f.name for f in files] == [f"conv5-f32_segment_{i}_of_3.tflite" for i in range(3)]
    report = segue.verify(model, tmp_path)
    assert report and report.mismatch == "" and report.operator_count == 5
    assert report.operators_run == 5 and report.not_run == ""
    assert report.warnings_of_constants == []
    weights = max((t for t in segue.open_model(str(files[1])).tensors if t.is_constant),
                  key=lambda t: t.nbytes)
    content = bytearray(files[1].read_bytes())
    place = content.find(weights.data.tobytes())
    content[place] ^= 1
    files[1].write_bytes(content)
    report = segue.verify(model, tmp_path)
    assert not report and "segment 1" in report.mismatch


def test_verify_reports_operators_not_run(tmp_path):
    path = Path(__file__).parents[3] / "shared/cases/largecustom.tflite"
    if not path.exists():
        pytest.skip(f"absent: {path}")
    segue.split(str(path), segue.plan(str(path), 1, "balanced"), tmp_path)
    report = segue.verify(str(path), tmp_path)
    assert report.operators_run == 1
    assert report.not_run.startswith("the runtime does not run the custom operator TFLite_")


def test_split_with_plan_of_another_model_is_refused(model, tmp_path):
    with pytest.raises(segue.Error) as failed:
        segue.split("zoo:conv5-f64", segue.plan(model, 2, "balanced"), tmp_path)
    assert failed.value.code == "invalid_argument"
    assert not any(tmp_path.iterdir())


def test_simulation_covers_whole_batch():
    plan = segue.plan("zoo:conv5-f512", 3, "balanced")
    timeline = segue.simulate(plan, 50)
    assert len(timeline.latencies_ns) == 50
    assert timeline.makespan_ns >= 50 * plan.predicted.bottleneck_ns
    assert timeline.steady_period_ns == pytest.approx(plan.predicted.bottleneck_ns, rel=0.01)


@pytest.mark.parametrize(
    "call, code",
    [
        (lambda: segue.open_model("/nowhere.tflite"), "io"),
        (lambda: segue.open_model("zoo:resnet5"), "invalid_argument"),
        (lambda: segue.open_model("zoo:conv5-f32", signature="none"), "invalid_argument"),
        (lambda: segue.plan("zoo:conv5-f32", 9, "balanced"), "infeasible"),
        (lambda: segue.plan("zoo:conv5-f32", 2, "fast"), "invalid_argument"),
        (lambda: segue.plan("zoo:conv5-f32", 0, "balanced"), "invalid_argument"),
        (lambda: segue.plan("zoo:conv5-f32", 8, "balanced", device="2xedgetpu-pcie"), "invalid_argument"),
        (lambda: segue.plan("zoo:conv5-f32", 2, "balanced", max_latency_ms=1e-3), "infeasible"),
        (lambda: segue.plan("zoo:conv5-f32", 2, max_latency_ms=0), "invalid_argument"),
        (lambda: segue.plan("zoo:conv5-f32", 2, "balanced", objective="latency"), "invalid_argument"),
        (lambda: segue.verify("zoo:conv5-f32", "/tmp", inputs=0), "invalid_argument"),
        (lambda: segue.open_model("/nowhere/\udcff.tflite"), "io"),
        (lambda: segue.plan("zoo:conv5-f32", 2, device="tpu"), "invalid_argument"),
        (lambda: segue.cpu_backend(runtime=Path("/nowhere.so")), "device"),
    ],
)
def test_failure_raises_error_with_code(call, code):
    with pytest.raises(segue.Error) as failed:
        call()
    assert failed.value.code == code
    assert isinstance(failed.value, RuntimeError)


def test_truncated_file_is_refused(tmp_path, model):
    model.save(tmp_path / "m.tflite")
    content = (tmp_path / "m.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(content[: len(content) // 2])
    with pytest.raises(segue.Error) as failed:
        segue.open_model(str(tmp_path / "cut.tflite"))
    assert failed.value.code == "invalid_model"


def test_device_and_zoo_names_are_listed():
    assert "edgetpu-pcie" in segue.device_names()
    assert "zoo:resnet101" in segue.zoo_names()
    assert np.all([name.startswith("zoo:") for name in segue.zoo_names()])


# The work takes seconds at least; this is the longest time that may pass after Ctrl-C.
SOON_S = 0.5


@pytest.mark.parametrize("call", ["plan", "compare", "verify"])
def test_ctrl_c_ends_long_calls(call, parts):
    wide = segue.open_model("zoo:inceptionv4")
    calls = {
        "plan": lambda: segue.plan(wide, 0, device="3xedgetpu-usb3,3xedgetpu-pcie"),
        "compare": lambda: segue.compare(wide, range(1, 65)),
        "verify": lambda: segue.verify("zoo:conv5-f32", parts, inputs=1_000_000),
    }
    sent = []

    def interrupt():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.5, interrupt)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            calls[call]()
    finally:
        timer.cancel()
    assert time.monotonic() - sent[0] < SOON_S


def test_calls_from_other_threads_are_not_interrupted(model):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        plans = list(pool.map(lambda tpus: segue.plan(model, tpus), range(1, 5)))
    assert [plan.device_count for plan in plans][0] == 1


def test_plan_includes_decoding():
    model = segue.open_model("zoo:yolov8n@320")
    plain = segue.plan(model, 2, "balanced", "edgetpu-usb3")
    plan = segue.plan(model, 2, "balanced", "edgetpu-usb3", detect=True)
    assert plain.decoding is None
    decoding = plan.decoding
    assert (decoding.family, decoding.boxes, decoding.scores) == ("YOLOv8", 2100, 2100 * 80)
    low, high = decoding.time_range_ns
    assert low < decoding.time_ns < high
    assert plan.predicted.latency_ns == plain.predicted.latency_ns + decoding.time_ns
    assert json.loads(plan.to_json())["decoding"]["time_ns"] == decoding.time_ns
    assert segue.plan(model, 2, "balanced", "edgetpu-usb3", detect=True, family="yolov8").decoding
    rows = segue.compare(model, range(1, 2), "edgetpu-usb3", detect=True)
    assert {row.decoding.time_ns for row in rows} == {decoding.time_ns}


def test_decoding_that_does_not_fit_is_refused(model):
    with pytest.raises(segue.Error, match="not those of a detector"):
        segue.plan(model, 2, detect=True)
    with pytest.raises(segue.Error, match="family requires detect=True"):
        segue.plan(model, 2, family="ssd")
