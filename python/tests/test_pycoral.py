"""Tests what scripts for pycoral rely on: its pipelines and the methods that its adapters call."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import segue
from segue import pipelined_model_runner as pipeline


def said_by(program):
    """Runs a program; returns exit status, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def make_runner(files, devices=("cpu",) * 3, allocate=True):
    interpreters = [pipeline.make_interpreter(str(f), d) for f, d in zip(files, devices)]
    if allocate:
        for interpreter in interpreters:
            interpreter.allocate_tensors()
    return pipeline.PipelinedModelRunner(interpreters)


@pytest.fixture
def files(parts):
    return sorted(parts.glob("*.tflite"))


@pytest.fixture
def inputs(files, images):
    (detail,) = pipeline.make_interpreter(str(files[0]), "cpu").get_input_details()
    return {detail["name"]: images[0]}


@pytest.fixture
def reference(images, expected):
    return expected(images[0])


# --- the runner


def test_wrong_segment_order_is_refused(files):
    for order in ([1, 0, 2], [0, 2, 1], [2, 1, 0]):
        with pytest.raises(ValueError, match=r"Interpreter \d can not get its input tensors"):
            make_runner([files[i] for i in order])


def test_wrong_input_type_is_refused(files, inputs):
    runner = make_runner(files)
    for wrong in (np.zeros((1, 64, 64, 3)), [[1, 2]], None):
        with pytest.raises(ValueError, match="Input should be a list of numpy array of type int8"):
            runner.push({name: wrong for name in inputs})


def test_exit_with_unpopped_results_is_silent(files):
    program = f"""
import numpy as np
from segue import pipelined_model_runner as pipeline

interpreters = [pipeline.make_interpreter(f, "cpu") for f in {[str(f) for f in files]!r}]
for interpreter in interpreters:
    interpreter.allocate_tensors()
runner = pipeline.PipelinedModelRunner(interpreters)
detail = interpreters[0].get_input_details()[0]
for _ in range(3):
    runner.push({{detail["name"]: np.zeros(detail["shape"], detail["dtype"])}})
"""
    assert said_by(program) == (0, "", "")


def test_push_after_end_is_refused(files, inputs, reference):
    runner = make_runner(files)
    runner.push(inputs)
    (value,) = runner.pop().values()
    assert np.array_equal(value, reference)
    runner.push({})
    for pushed in (inputs, {}):
        with pytest.raises(RuntimeError, match="Pipeline was turned off before"):
            runner.push(pushed)
    assert runner.pop() is None


def test_inputs_before_end_are_returned(files, inputs, reference):
    runner = make_runner(files)
    for _ in range(5):
        runner.push(inputs)
    runner.push({})
    for _ in range(5):
        (value,) = runner.pop().values()
        assert np.array_equal(value, reference)
    assert runner.pop() is None


def test_producer_and_consumer_threads_work(files, inputs, reference):
    runner = make_runner(files)
    values = []

    def produce():
        for _ in range(20):
            runner.push(inputs)
        runner.push({})

    def consume():
        while result := runner.pop():
            values.extend(result.values())

    threads = [threading.Thread(target=produce), threading.Thread(target=consume)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(values) == 20
    assert all(np.array_equal(value, reference) for value in values)


def test_queue_size_one_holds_two_per_segment_and_one(files, inputs):
    runner = make_runner(files)
    runner.set_input_queue_size(1)
    runner.set_output_queue_size(1)
    room = 2 * len(files) + 1
    for _ in range(room):
        runner.push(inputs)

    def push_one_more():
        runner.push(inputs)
        runner.push({})

    producer = threading.Thread(target=push_one_more)
    producer.start()
    producer.join(0.5)
    assert producer.is_alive()
    count = 0
    while runner.pop():
        count += 1
    producer.join(10)
    assert not producer.is_alive()
    assert count == room + 1


@pytest.mark.parametrize("unready", [0, 2])
def test_unallocated_interpreter_fails_at_first_input(files, inputs, unready):
    runner = make_runner(files, allocate=False)
    for position, interpreter in enumerate(runner.interpreters()):
        if position != unready:
            interpreter.allocate_tensors()
    runner.push(inputs)
    words = f"Segment {unready} runner error: Invoke called on model that is not ready"
    with pytest.raises(RuntimeError, match=words):
        runner.pop()
    for pushed in (inputs, {}):
        with pytest.raises(RuntimeError, match=words):
            runner.push(pushed)


def test_queue_size_changes_apply_while_running(files, inputs):
    runner = make_runner(files)
    runner.set_input_queue_size(np.int64(1))
    runner.set_output_queue_size(np.uint8(1))
    for _ in range(2 * len(files) + 1):
        runner.push(inputs)
    producer = threading.Thread(target=runner.push, args=(inputs,))
    producer.start()
    producer.join(0.3)
    assert producer.is_alive()
    runner.set_input_queue_size(2)
    producer.join(10)
    assert not producer.is_alive()
    runner.set_input_queue_size(0)
    for _ in range(20):
        runner.push(inputs)
    runner.set_output_queue_size(np.int32(1000))
    runner.push({})
    count = 0
    while runner.pop():
        count += 1
    assert count == 2 * len(files) + 22


@pytest.mark.parametrize("size, error", [(-1, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_invalid_queue_size_is_refused(files, size, error):
    runner = make_runner(files)
    for set_size in (runner.set_input_queue_size, runner.set_output_queue_size):
        with pytest.raises(error):
            set_size(size)


class Named:
    """An interpreter of another runtime that has only names and fails on request."""

    def __init__(self, reads, gives, error=None):
        self.names = (reads, gives)
        self.error = error

    def get_input_details(self):
        return [self.detail(name) for name in self.names[0]]

    def get_output_details(self):
        return [self.detail(name) for name in self.names[1]]

    @staticmethod
    def detail(name):
        return {"name": name, "index": name, "shape": np.array([4]), "dtype": np.int8}

    def set_tensor(self, index, value):
        pass

    def invoke(self):
        if self.error is not None:
            raise self.error

    def get_tensor(self, index):
        return np.zeros(4, np.int8)


def test_tensors_skipping_segments_are_accepted():
    pipeline.PipelinedModelRunner([Named("x", "ab"), Named("a", "c"), Named("bcx", "y")])


@pytest.mark.parametrize(
    "interpreters, first_wrong",
    [
        ([Named("x", "a"), Named("b", "y"), Named("a", "b")], 1),
        ([Named("a", "y"), Named("x", "a")], 1),
        ([Named("x", "a"), Named("a", "b"), Named("c", "y")], 2),
    ],
)
def test_first_segment_without_inputs_is_named(interpreters, first_wrong):
    words = f"Interpreter {first_wrong} can not get its input tensors"
    with pytest.raises(ValueError, match=words):
        pipeline.PipelinedModelRunner(interpreters)


def test_later_segment_error_follows_results():
    failing = Named("a", "y")
    runner = pipeline.PipelinedModelRunner([Named("x", "a"), failing])
    runner.push({"x": np.zeros(4, np.int8)})
    assert runner.pop() is not None
    failing.error = ValueError("no such voltage")
    runner.push({"x": np.zeros(4, np.int8)})
    with pytest.raises(segue.Error, match="^Segment 1 runner error: no such voltage$") as failed:
        runner.pop()
    assert failed.value.code == "device"
    assert "Traceback" in str(failed.value.__cause__)


# --- interpreters, as pycoral.adapters use them


def allocated(file):
    interpreter = pipeline.make_interpreter(str(file), "cpu")
    interpreter.allocate_tensors()
    return interpreter


def test_tensor_views_share_interpreter_memory(files, images):
    interpreter = allocated(files[0])
    given = interpreter.get_input_details()[0]
    result = interpreter.get_output_details()[0]
    read_input, read_output = (interpreter.tensor(d["index"]) for d in (given, result))
    seen = []
    for image in images[:2]:
        read_input()[0][:, :] = image[0]
        assert np.array_equal(read_input(), image)
        interpreter.invoke()
        seen.append(read_output())
        assert seen[-1].shape == tuple(result["shape"])
        assert np.array_equal(interpreter.get_tensor(result["index"]), seen[-1])
    assert not np.array_equal(*seen)
    session = segue.open_session(segue.open_model(files[0]), segue.cpu_backend())
    for image, value in zip(images, seen):
        assert np.array_equal(session.run([image])[0], value)
    read_input().fill(0)
    assert not read_input().any()


def test_set_and_get_tensor_copy(files, images):
    interpreter = allocated(files[0])
    index = interpreter.get_input_details()[0]["index"]
    buffer = images[0].copy()
    interpreter.set_tensor(index, buffer)
    buffer[...] = images[1]
    assert np.array_equal(interpreter.get_tensor(index), images[0])
    interpreter.get_tensor(index).fill(0)
    assert np.array_equal(interpreter.get_tensor(index), images[0])


def test_mismatched_tensor_values_are_refused(files, images):
    interpreter = allocated(files[0])
    index = interpreter.get_input_details()[0]["index"]
    for wrong in (images[0].astype(np.float32), images[0][0], images[0][:, :32]):
        with pytest.raises(ValueError, match=f"Cannot set tensor {index}"):
            interpreter.set_tensor(index, wrong)
    with pytest.raises(ValueError, match="neither an input nor an output"):
        interpreter.tensor(10_000)()


def test_unallocated_tensor_access_is_refused(files, images):
    interpreter = pipeline.make_interpreter(str(files[0]), "cpu")
    index = interpreter.get_input_details()[0]["index"]
    for call in (
        interpreter.tensor(index),
        lambda: interpreter.get_tensor(index),
        lambda: interpreter.set_tensor(index, images[0]),
    ):
        with pytest.raises(ValueError, match=r"allocate_tensors\(\)"):
            call()
    with pytest.raises(RuntimeError, match=r"not ready. Call allocate_tensors\(\)"):
        interpreter.invoke()
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, images[0])
    interpreter.allocate_tensors()
    assert np.array_equal(interpreter.get_tensor(index), images[0])


def test_output_details_have_quantization(files, inputs):
    interpreter = allocated(files[-1])
    interpreter.invoke()
    detail = interpreter.get_output_details()[0]
    scale, zero_point = detail["quantization"]
    assert np.issubdtype(detail["dtype"], np.integer) and scale > 0
    values = interpreter.tensor(detail["index"])().flatten().astype(np.int64)
    assert np.isfinite(scale * (values - zero_point)).all()
    assert not interpreter._get_full_signature_list()


def test_runner_uses_interpreters_edge_tpus(
    stand_ins, files, inputs, reference, tmp_path
):
    compiled = []
    for file in files:
        compiled.append(tmp_path / f"{file.stem}_edgetpu.tflite")
        compiled[-1].write_bytes(file.read_bytes())
    runner = make_runner(compiled, ["pci:0", "pci:1", "usb"])
    first = runner.interpreters()[0]
    (image,) = inputs.values()
    first.set_tensor(first.get_input_details()[0]["index"], image)
    first.invoke()
    runner.push(inputs)
    (value,) = runner.pop().values()
    assert np.array_equal(value, reference)
    assert [d["type"] for d in pipeline.list_edge_tpus()] == ["pci", "pci", "usb"]


# --- the end of a program


@pytest.mark.parametrize(
    "end",
    [
        "held = [segue.cpu_backend(), segue.zoo_names(), pipeline]",
        "cycle.append(segue.callable_backend([port], [port], lambda a: cycle))",
        "raise SystemExit(0)",
        "import os, threading; threading.Thread(target=pipeline.pop, daemon=True).start()",
        "sys.modules['kept'] = iter(pipeline.run([image])); next(sys.modules['kept'])",
    ],
)
def test_exit_with_live_objects_is_silent(files, end):
    program = f"""
import sys
import numpy as np
import segue
pipeline = segue.Pipeline({str(files[0].parent)!r})
image = np.zeros(pipeline.inputs[0].shape, np.int8)
port = segue.Port("x", np.zeros(4, np.int8))
cycle = []
sys.modules["more"] = [pipeline, cycle, port]
{end}
"""
    assert said_by(program) == (0, "", "")
