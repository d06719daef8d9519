"""Tests in Python what the command line has: goals, compiler, proofs, sweeps, traces, reports."""

import json
import os
import sys
from pathlib import Path

import pytest

import segue


def test_auto_stops_at_small_gain(model):
    plan = segue.plan("zoo:resnet50@64", "auto", max_tpus=6, min_gain=0.2)
    fixed = segue.plan("zoo:resnet50@64", plan.device_count)
    assert plan.predicted.bottleneck_ns == fixed.predicted.bottleneck_ns
    assert "TPU" in plan.notes and "simulated" in plan.notes


def test_auto_reaches_goals():
    one = segue.plan("zoo:resnet50@64", 1).predicted.throughput_per_s
    plan = segue.plan("zoo:resnet50@64", "auto", min_throughput_per_s=1.5 * one)
    assert plan.predicted.throughput_per_s >= 1.5 * one
    assert "the fewest that reach" in plan.notes


def test_unreachable_goal_is_infeasible():
    with pytest.raises(segue.Error, match="nearest") as caught:
        segue.plan("zoo:resnet50@64", "auto", max_latency_ms=1e-3, max_tpus=2)
    assert caught.value.code == "infeasible"


def test_missed_goal_is_infeasible():
    with pytest.raises(segue.Error, match="goal not reached"):
        segue.plan("zoo:resnet50@64", 2, min_throughput_per_s=1e6)


def test_other_text_for_tpus_is_refused():
    with pytest.raises(ValueError, match="'many'"):
        segue.plan("zoo:resnet50@64", "many")


def test_options_of_other_strategies_are_refused(model):
    for options in ({"max_replicas": 2}, {"search": "bisection"}, {"objective": "latency"}):
        with pytest.raises(segue.Error, match="strategy"):
            segue.plan(model, 2, "balanced", **options)


def test_profile_is_measured(model):
    plan = segue.plan(model, 2, "profile", measure=segue.cpu_backend())
    assert "measured" in plan.notes
    assert len(plan.stages) == 2


def test_certificate_is_accepted(model):
    verdict = segue.check_certificate(model, segue.plan(model, 3))
    assert verdict and verdict.accepted and verdict.segments > 0
    assert str(verdict).startswith("Accepted")


def test_certificate_needs_a_bound(model):
    verdict = segue.check_certificate(model, segue.plan(model, 2, "balanced"))
    assert not verdict
    assert "no bound" in verdict.reason


def test_sweep_gives_one_row_per_job():
    rows = segue.sweep(["zoo:conv5-f32"], tpus=[1, 2], strategies=["balanced", "optimal"])
    assert [(row["tpus"], row["strategy"]) for row in rows] == [
        (1, "balanced"),
        (1, "optimal"),
        (2, "balanced"),
        (2, "optimal"),
    ]
    assert rows == segue.sweep(
        ["zoo:conv5-f32"], tpus=[1, 2], strategies=["balanced", "optimal"], threads=1
    )
    with pytest.raises(segue.Error, match="'fast'"):
        segue.sweep(["zoo:conv5-f32"], strategies=["fast"])


def test_merged_shards_are_the_sweep(tmp_path):
    options = {"tpus": [1, 2], "strategies": ["balanced", "optimal"]}
    files = []
    for shard in ("2/2", "1/2"):
        rows = segue.sweep(["zoo:conv5-f32"], shard=shard, **options)
        files.append(tmp_path / shard.replace("/", "-"))
        files[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert segue.merge_sweep(files) == segue.sweep(["zoo:conv5-f32"], **options)
    assert len(segue.merge_sweep(files[:1], partial=True)) == 2
    with pytest.raises(segue.Error, match="2 of 4") as caught:
        segue.merge_sweep(files[:1])
    assert caught.value.code == "infeasible"


def test_written_probes_are_models(tmp_path):
    paths = segue.write_probes(tmp_path)
    assert paths and all(segue.open_model(path).operators for path in paths)


def test_calibration_of_a_wrong_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="NAME.json"):
        segue.calibrate(tmp_path / "host.txt")


def test_calibration_without_devices_is_an_error(tmp_path):
    with pytest.raises(segue.Error, match="libedgetpu"):
        segue.calibrate(tmp_path / "host.json", edgetpu_library="/nowhere/libedgetpu.so.1")
    assert not (tmp_path / "host.json").exists()


@pytest.mark.skipif("SEGUE_TEST_COMPILER" not in os.environ, reason="no stand-in for the compiler")
def test_calibration_writes_a_device(tmp_path):
    if "SEGUE_TEST_STAND_IN" not in os.environ:
        pytest.skip("no stand-in for libedgetpu")
    output = tmp_path / "my-host.json"
    try:
        result = segue.calibrate(
            output,
            compiler=[os.environ["SEGUE_TEST_COMPILER"]],
            edgetpu_library=os.environ["SEGUE_TEST_STAND_IN"],
        )
    except segue.Error as error:
        if "stop other programs" in str(error):
            pytest.skip("other programs on this machine disturb the measurement")
        raise
    assert result["schema"] == "segue.calibrate/1" and result["constants"]
    assert segue.plan("zoo:conv5-f32", 2, device=str(output)).device_count == 2


def test_plan_at_ends_stages_at_tensors(model):
    cut = segue.plan(model, 2, "balanced")
    assert len(segue.plan_at(model, cut.stages[0].outputs).stages) == 2
    with pytest.raises(segue.Error, match="'nowhere'"):
        segue.plan_at(model, ["nowhere"])


def test_report_is_a_page(model):
    page = segue.report(model, segue.compare(model, range(1, 4)), chosen=2)
    assert page.startswith("<!doctype html>")
    with pytest.raises(segue.Error, match="chosen"):
        segue.report(model, segue.plan(model, 2), chosen=1)


def test_doctor_explains_what_is_missing():
    findings = segue.doctor(edgetpu_library="/nowhere/libedgetpu.so.1")
    missing = next(f for f in findings if f.key == "libedgetpu")
    assert missing.kind == "note" and "/nowhere" in missing.what and missing.next_step


def test_simulated_trace_is_json(model):
    trace = json.loads(segue.simulated_trace(segue.plan(model, 2), inputs=3))
    assert trace["traceEvents"]


def test_pipeline_trace_has_all_runs(model):
    plan = segue.plan(model, 2, "balanced")
    with segue.Pipeline(plan, model, trace_capacity=100) as pipeline:
        shape = pipeline.inputs[0].shape
        arrays = [segue_array(shape) for _ in range(3)]
        assert len(list(pipeline.run(arrays))) == 3
        events = json.loads(pipeline.trace_json())["traceEvents"]
    assert len([e for e in events if e["ph"] == "X"]) >= 6


def segue_array(shape):
    import numpy as np

    return np.zeros(shape, np.int8)


def test_loss_is_reported_and_replaced(model):
    plan = segue.plan(model, 2, "balanced")
    stages = len(plan.stages)
    calls = []
    cpu = segue.cpu_backend()
    opened = [segue.open_session(m, cpu) for m in split_models(model, plan)]
    broken = []

    def failing(arrays):
        broken.append(1)
        raise RuntimeError("unplugged")

    first = opened[0]
    backends = [segue.callable_backend(first.inputs, first.outputs, failing), cpu, cpu]
    with segue.Pipeline(plan, model, backends=backends, on_loss=calls.append) as pipeline:
        results = list(pipeline.run([segue_array(pipeline.inputs[0].shape)] * 4))
        losses = pipeline.losses
    assert stages == 2 and broken
    assert [r.number for r in results] == [0, 1, 2, 3]
    assert len(losses) == 1 and "unplugged" in losses[0].reason
    assert [loss.device for loss in calls] == [losses[0].device]


def split_models(model, plan):
    import tempfile

    folder = tempfile.mkdtemp()
    return [segue.open_model(path) for path in segue.split(model, plan, folder)]


@pytest.fixture
def compiler(tmp_path):
    """A program in place of edgetpu_compiler that always fails."""
    path = tmp_path / "compiler"
    path.write_text(f"#!{sys.executable}\nprint('Internal compiler error. Aborting!')\nexit(1)\n")
    path.chmod(0o755)
    return path


def test_compile_reports_failures(model, tmp_path, compiler):
    segue.split(model, segue.plan(model, 2, "balanced"), tmp_path / "parts")
    report = segue.compile(tmp_path / "parts", compiler=str(compiler), finds_culprits=False)
    assert not report
    assert "Internal compiler error" in str(report)
    assert json.loads(report.to_json())["schema"].startswith("segue.compile/")


@pytest.mark.skipif("SEGUE_TEST_COMPILER" not in os.environ, reason="no stand-in for the compiler")
def test_compile_writes_compiled_files(model, tmp_path):
    segue.split(model, segue.plan(model, 2, "balanced"), tmp_path / "parts")
    report = segue.compile(tmp_path / "parts", compiler=[os.environ["SEGUE_TEST_COMPILER"]])
    assert report
    assert all((tmp_path / "parts" / name).exists() for name in report.files)


def test_compile_of_a_model_needs_a_folder(model):
    with pytest.raises(ValueError, match="folder"):
        segue.compile(model)


def test_strategies_are_those_of_the_command_line():
    assert segue.strategy_names() == ["compiler", "balanced", "profile", "optimal"]
    assert Path(segue.__file__).name == "__init__.py"
