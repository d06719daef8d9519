import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

import segue


def only(result):
    (value,) = result.outputs.values()
    return value


def test_results_match_whole_model_in_order(parts, images, expected):
    with segue.Pipeline(parts) as pipeline:
        results = list(pipeline.run(images))
    assert [r.number for r in results] == list(range(len(images)))
    for image, result in zip(images, results):
        assert np.array_equal(only(result), expected(image))
        assert result.latency_ns > 0


def test_plan_and_model_need_no_files(model, images, expected):
    plan = segue.plan(model, 3, "optimal")
    with segue.Pipeline(plan, model) as pipeline:
        for image, result in zip(images, pipeline.run(images)):
            assert np.array_equal(only(result), expected(image))
    with pytest.raises(TypeError):
        segue.Pipeline(plan)


def test_push_accepts_array_list_and_dict(parts, images, expected):
    with segue.Pipeline(parts) as pipeline:
        name = pipeline.inputs[0].name
        for inputs in (images[0], [images[0]], {name: images[0]}):
            assert pipeline.push(inputs)
            assert np.array_equal(only(pipeline.pop()), expected(images[0]))


def test_edge_tpus_run_compiled_segments(
    stand_ins, model, images, expected, tmp_path
):
    files = segue.split(model, segue.plan(model, 2, "balanced"), tmp_path)
    with pytest.raises(segue.Error, match="_segment_0_of_2_edgetpu.tflite.*: file not found"):
        segue.Pipeline(tmp_path, backends=stand_ins)
    for file in files:
        shutil.copy(file, file.with_name(file.stem + "_edgetpu.tflite"))
    with pytest.warns(RuntimeWarning, match="not compiled for the Edge TPU") as seen:
        pipeline = segue.Pipeline(tmp_path, backends=stand_ins)
    assert {warning.filename for warning in seen} == {__file__}
    with pipeline:
        for image, result in zip(images, pipeline.run(images)):
            assert np.array_equal(only(result), expected(image))
    with pytest.raises(segue.Error, match="needs 2 Edge TPUs, but got 1"):
        segue.Pipeline(tmp_path, backends=stand_ins[:1])
    with pytest.raises(segue.Error, match="Edge TPUs and other backends"):
        segue.Pipeline(tmp_path, backends=[stand_ins[0], segue.cpu_backend()])
    with pytest.raises(segue.Error, match="Edge TPUs need compiled segments"):
        segue.Pipeline(segue.plan(model, 2, "balanced"), model, backends=stand_ins)


def device_processes() -> dict[str, int]:
    """Returns the device processes of this process by title, with their numbers."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes().split(b"\0")[0].decode()
            parent = int((folder / "stat").read_text().rsplit(") ", 1)[1].split()[1])
        except OSError:
            continue  # it has ended meanwhile
        if parent == os.getpid() and title.startswith("segue-device"):
            found[title] = int(folder.name)
    return found


def test_killed_device_is_replaced(stand_ins, parts, images, expected, tmp_path):
    file = next(parts.glob("*_segment_0_of_3.tflite"))
    shutil.copy(file, tmp_path / "one_segment_0_of_1_edgetpu.tflite")
    with pytest.warns(RuntimeWarning), segue.Pipeline(tmp_path, backends=stand_ins) as pipeline:
        pipeline.push([images[0]])
        before = only(pipeline.pop())
        os.kill(device_processes()["segue-device pci:apex_0"], signal.SIGKILL)
        pipeline.push([images[0]])
        assert np.array_equal(only(pipeline.pop()), before)
    del pipeline
    gc.collect()
    assert device_processes() == {}


def test_compiled_segments_alone_run(stand_ins, parts, images, expected, tmp_path):
    for file in parts.glob("*.tflite"):
        shutil.copy(file, tmp_path / f"{file.stem}_edgetpu.tflite")
    with pytest.warns(RuntimeWarning, match="not compiled for the Edge TPU"):
        pipeline = segue.Pipeline(tmp_path, backends=stand_ins)
    with pipeline:
        for image, result in zip(images, pipeline.run(images)):
            assert np.array_equal(only(result), expected(image))
    with pytest.raises(segue.Error, match="run only on Edge TPUs .*segue.edgetpu_backend"):
        segue.Pipeline(tmp_path)
    (first, *_) = sorted(tmp_path.iterdir())
    shutil.copy(first, tmp_path / "other_segment_0_of_1_edgetpu.tflite")
    with pytest.raises(segue.Error, match="2 different splits"):
        segue.Pipeline(tmp_path, backends=stand_ins)
    with pytest.warns(RuntimeWarning):
        segue.Pipeline(first, backends=stand_ins).close()
    first.unlink()
    (tmp_path / "other_segment_0_of_1_edgetpu.tflite").unlink()
    with pytest.raises(segue.Error, match="_segment_0_of_3_edgetpu.tflite: file not found"):
        segue.Pipeline(tmp_path, backends=stand_ins)


def test_invalid_constructor_arguments_are_refused(parts, model):
    for backends in ([None], []):
        with pytest.raises(segue.Error, match="backend"):
            segue.Pipeline(parts, backends=backends)
        with pytest.raises(segue.Error, match="backend"):
            segue.Pipeline(segue.plan(model, 2, "balanced"), model, backends=backends)
    with pytest.raises(TypeError, match="folder"):
        segue.Pipeline(parts, model)
    with pytest.raises(segue.Error, match="1 to 256"):
        segue.cpu_backend(threads=0)


def test_forked_child_exits_cleanly(parts):
    program = (
        "import os, segue, sys\n"
        f"pipeline = segue.Pipeline({str(parts)!r})\n"
        "child = os.fork()\n"
        "if child == 0: sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=60, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_segments_not_matching_plan_are_refused(model, tmp_path):
    segue.split(model, segue.plan(model, 2, "balanced"), tmp_path)
    plan = json.loads((tmp_path / "plan.json").read_text())
    plan["stages"][1]["outputs"] = ["elsewhere"]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(segue.Error, match="does not match stage 1 of plan.json"):
        segue.Pipeline(tmp_path)


def test_input_mismatch_names_given_and_expected(parts, images):
    with segue.Pipeline(parts) as pipeline:
        with pytest.raises(segue.Error, match="has FLOAT64 elements, but must have INT8"):
            pipeline.push(images[0].astype(np.float64))
        with pytest.raises(segue.Error, match="has uint32 elements, but must have INT8"):
            pipeline.push(images[0].astype(np.uint32))
        with pytest.raises(segue.Error, match=r"is missing in \['nope'\]"):
            pipeline.push({"nope": images[0]})


def identity_pipeline(seen, shape=(1, 8), queue_capacity=2):
    """Makes a pipeline of a Python function that records the address of its input."""
    like = np.zeros(shape, dtype=np.int8)

    def run(arrays):
        seen.append(arrays[0].ctypes.data)
        assert not arrays[0].flags.writeable
        return [np.array(arrays[0])]

    port_in, port_out = segue.Port("in", like), segue.Port("out", like)
    backend = segue.callable_backend([port_in], [port_out], run)
    return segue._segue.open_pipeline_of_callables(
        [backend], segue._segue.PipelineOptions(queue_capacity)
    )


def test_inputs_are_not_copied():
    seen = []
    pipeline = identity_pipeline(seen, shape=(1, 1 << 20))
    image = np.arange(1 << 20, dtype=np.int64).astype(np.int8).reshape(1, -1)
    assert pipeline.push([image])
    assert np.array_equal(pipeline.pop().outputs["out"], image)
    assert seen == [image.ctypes.data]


def test_outputs_are_views_that_outlive_pipeline(parts, images, expected):
    pipeline = segue.Pipeline(parts)
    pipeline.push(images[0])
    value = only(pipeline.pop())
    assert not value.flags.owndata and value.flags.writeable
    del pipeline
    gc.collect()
    assert np.array_equal(value, expected(images[0]))


def test_input_arrays_are_released_after_use(parts):
    class Image(np.ndarray):
        pass

    gone = []
    with segue.Pipeline(parts) as pipeline:
        for _ in range(20):
            image = np.zeros((1, 64, 64, 3), dtype=np.int8).view(Image)
            weakref.finalize(image, gone.append, 1)
            pipeline.push(image)
            del image
            pipeline.pop()
    del pipeline
    gc.collect()
    assert len(gone) == 20


def test_on_loss_of_its_owner_does_not_keep_a_pipeline(parts, images):
    """The callback refers to the object that holds the pipeline: a cycle through C++."""

    class Owner:
        def __init__(self):
            self.pipeline = segue.Pipeline(parts, on_loss=self.on_loss)

        def on_loss(self, loss):
            pass

    owner = Owner()
    owner.pipeline.push(images[0])
    owner.pipeline.pop()
    gone = []
    weakref.finalize(owner, gone.append, "owner")
    weakref.finalize(owner.pipeline, gone.append, "pipeline")
    threads = len(os.listdir("/proc/self/task"))
    del owner
    gc.collect()
    assert sorted(gone) == ["owner", "pipeline"]
    assert len(os.listdir("/proc/self/task")) < threads


def test_on_loss_lives_as_long_as_its_pipeline(model):
    """Nothing else refers to the callback, and a collection comes before the loss."""
    calls = []
    cpu = segue.cpu_backend()
    session = segue.open_session(model, cpu)
    broken = segue.callable_backend(session.inputs, session.outputs, lambda arrays: 1 / 0)
    with segue.Pipeline(
        segue.plan(model, 1),
        model,
        backends=[broken, cpu],
        on_loss=lambda loss: calls.append(loss.device),
    ) as pipeline:
        gc.collect()
        assert pipeline.push(np.zeros((1, 64, 64, 3), np.int8))
        pipeline.pop()
        assert pipeline.statistics().stages[0].devices == ["device 0", "device 1"]
    assert calls == ["device 0"]


def test_devices_have_the_names_they_are_given(parts, model):
    with segue.Pipeline(parts, device_names=["cpu"]) as pipeline:
        stages = pipeline.statistics().stages
        assert [stage.devices for stage in stages] == [["cpu 0"], ["cpu 1"], ["cpu 2"]]
        assert [len(stage.utilisations) for stage in stages] == [1, 1, 1]
    cpus = [segue.cpu_backend()] * 3
    with segue.Pipeline(parts, backends=cpus, device_names=["a", "b", "c"]) as pipeline:
        assert [stage.devices for stage in pipeline.statistics().stages] == [["a"], ["b"], ["c"]]
    with pytest.raises(segue.Error, match="2 device names for 3 backends"):
        segue.Pipeline(parts, backends=cpus, device_names=["a", "b"])


def test_waiting_pop_releases_the_gil(parts, images):
    """pop waits for an input that another thread pushes, which needs the interpreter's lock."""
    with segue.Pipeline(parts) as pipeline:
        waiting = threading.Event()

        def push():
            waiting.wait()
            pipeline.push(images[0])

        thread = threading.Thread(target=push)
        thread.start()
        waiting.set()
        assert pipeline.pop(timeout_s=60) is not None
        thread.join()


def test_many_threads_push_and_pop_every_result(parts, images, expected):
    wanted = [expected(image).tobytes() for image in images]
    found = []
    with segue.Pipeline(parts) as pipeline:

        def push():
            for image in images:
                pipeline.push(image)

        def pop():
            while (result := pipeline.pop()) is not None:
                found.append(only(result).tobytes())

        producers = [threading.Thread(target=push) for _ in range(3)]
        consumers = [threading.Thread(target=pop) for _ in range(3)]
        for thread in producers + consumers:
            thread.start()
        for thread in producers:
            thread.join()
        pipeline.close()
        for thread in consumers:
            thread.join()
    assert sorted(found) == sorted(wanted * 3)


def test_full_push_and_empty_pop_time_out():
    release = threading.Event()
    like = np.zeros((1, 8), dtype=np.int8)

    def run(arrays):
        release.wait()
        return [np.array(arrays[0])]

    backend = segue.callable_backend([segue.Port("in", like)], [segue.Port("out", like)], run)
    pipeline = segue._segue.open_pipeline_of_callables(
        [backend], segue._segue.PipelineOptions(1, 1)
    )
    accepted = 0
    while pipeline.push([like], 0.05):
        accepted += 1
    assert accepted >= 1
    with pytest.raises(TimeoutError):
        pipeline.pop(0.01)
    release.set()
    pipeline.close()
    for _ in range(accepted):
        assert pipeline.pop() is not None
    assert pipeline.pop() is None


def test_closed_pipeline_refuses_push_and_ends(parts, images):
    with segue.Pipeline(parts) as pipeline:
        pipeline.push(images[0])
        pipeline.close()
        with pytest.raises(segue.Error):
            pipeline.push(images[0])
        assert pipeline.pop() is not None
        assert pipeline.pop() is None


def test_keyboard_interrupt_ends_pop(parts):
    with segue.Pipeline(parts) as pipeline:
        timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                pipeline.pop()
        finally:
            signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "array, words",
    [
        (np.zeros((1, 64, 64, 3), dtype=np.uint8), "INT8"),
        (np.zeros((1, 64, 64, 4), dtype=np.int8), "[1, 64, 64, 4], but must have [1, 64, 64, 3]"),
        (np.zeros((64, 64, 3), dtype=np.int8), "[64, 64, 3]"),
    ],
)
def test_wrong_dtype_or_shape_is_refused(parts, array, words):
    with segue.Pipeline(parts) as pipeline:
        with pytest.raises(segue.Error) as failed:
            pipeline.push(array)
        assert words in str(failed.value)


def test_strided_array_is_copied(parts, images, expected):
    wide = np.repeat(images[0], 2, axis=3)
    with segue.Pipeline(parts) as pipeline:
        pipeline.push(wide[:, :, :, ::2])
        assert np.array_equal(only(pipeline.pop()), expected(images[0]))


def test_segment_error_ends_pipeline():
    like = np.zeros((1, 8), dtype=np.int8)

    def run(arrays):
        raise ValueError("no such weather")

    backend = segue.callable_backend([segue.Port("in", like)], [segue.Port("out", like)], run)
    pipeline = segue._segue.open_pipeline_of_callables([backend])
    pipeline.push([like])
    with pytest.raises(segue.Error, match="no such weather"):
        pipeline.pop()


def test_simulated_backend_reports_statistics(parts, images):
    backend = segue.simulated_backend("edgetpu-usb3", time_scale=1)
    with segue.Pipeline(parts, backends=backend) as pipeline:
        list(pipeline.run(images))
        statistics = pipeline.statistics()
    assert statistics.results == len(images)
    assert [s.mean_time_ns > 0 for s in statistics.stages] == [True] * 3
    assert statistics.latency.p50_ns <= statistics.latency.max_ns
    assert statistics.losses == []


def test_deleted_pipeline_releases_inputs(parts, images):
    references = sys.getrefcount(images[0])
    for _ in range(5):
        with segue.Pipeline(parts) as pipeline:
            pipeline.push(images[0])
    del pipeline
    # A thread that computed when its pipeline ended releases its array a moment later.
    for _ in range(600):
        gc.collect()
        if sys.getrefcount(images[0]) == references:
            return
        time.sleep(0.1)
    raise AssertionError(f"{sys.getrefcount(images[0])} references, not {references}")


def test_abandoned_run_leaves_no_results(parts, images, expected):
    with segue.Pipeline(parts) as pipeline:
        for _ in pipeline.run(images):
            break
        with pytest.raises(ZeroDivisionError):
            list(pipeline.run(1 / 0 if i else images[0] for i in range(2)))
        with pytest.raises(segue.Error, match="expected a numpy array, not list"):
            list(pipeline.run([images[0], [[1, 2]]]))
        (result,) = pipeline.run([images[-1]])
        assert np.array_equal(only(result), expected(images[-1]))


def test_invalid_times_are_refused(parts, model, images):
    with segue.Pipeline(parts) as pipeline:
        for call in (pipeline.pop, lambda s: pipeline.push(images[0], s)):
            with pytest.raises(segue.Error, match="timeout_s"):
                call(float("nan"))
    for seconds in (float("nan"), -1.0):
        with pytest.raises(segue.Error, match="watchdog_s"):
            segue.Pipeline(parts, watchdog_s=seconds)
    segue.Pipeline(parts, watchdog_s=float("inf")).close()
    with pytest.raises(segue.Error, match="max_latency_ms"):
        segue.plan(model, 2, "optimal", max_latency_ms=float("inf"))


def test_exit_during_python_segment_is_clean():
    program = """
import time
import numpy as np
from segue.pipelined_model_runner import PipelinedModelRunner

def detail(name, index):
    return {"name": name, "index": index, "shape": np.array([4]), "dtype": np.int8}

class SlowInterpreter:
    def get_input_details(self):
        return [detail("x", 0)]
    def get_output_details(self):
        return [detail("y", 1)]
    def set_tensor(self, index, array):
        pass
    def invoke(self):
        time.sleep(0.05)
    def get_tensor(self, index):
        return np.zeros(4, np.int8)

runner = PipelinedModelRunner([SlowInterpreter()])
for _ in range(3):
    runner.push({"x": np.zeros(4, np.int8)})
raise SystemExit(3)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (3, "")


def test_exit_with_unfinished_run_is_silent(parts, images):
    program = f"""
import numpy as np
import segue
pipeline = segue.Pipeline({str(parts)!r})
port = pipeline.inputs[0]
results = pipeline.run([np.zeros(port.shape, {images[0].dtype.name!r})] * 6)
next(results)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
