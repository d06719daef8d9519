"""Scripts for pycoral, with one import changed."""

import threading

import numpy as np
import pytest

from segue import pipelined_model_runner as pipeline


def interpreters(parts):
    made = [pipeline.make_interpreter(str(p), "cpu") for p in sorted(parts.glob("*.tflite"))]
    for interpreter in made:
        interpreter.allocate_tensors()
    return made


def classify(runner, images):
    """Does the same as pycoral's example model_pipelining_classify_image."""
    results = []
    name = runner.interpreters()[0].get_input_details()[0]["name"]

    def producer():
        for image in images:
            runner.push({name: image})
        runner.push({})

    def consumer():
        while True:
            result = runner.pop()
            if not result:
                break
            (values,) = result.values()
            results.append(values)

    threads = [threading.Thread(target=producer), threading.Thread(target=consumer)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_pycoral_script_runs_with_changed_import(parts, images, expected):
    runner = pipeline.PipelinedModelRunner(interpreters(parts))
    results = classify(runner, images)
    assert len(results) == len(images)
    for image, result in zip(images, results):
        assert np.array_equal(result, expected(image))
    assert runner.statistics().results == len(images)


def test_push_all_before_first_pop_works(parts, images):
    runner = pipeline.PipelinedModelRunner(interpreters(parts))
    name = runner.interpreters()[0].get_input_details()[0]["name"]
    for image in images * 5:
        runner.push({name: image})
    runner.push({})
    count = 0
    while runner.pop():
        count += 1
    assert count == 5 * len(images)
    assert runner.pop() is None


def test_input_buffer_is_reusable_after_push(parts, images, expected):
    runner = pipeline.PipelinedModelRunner(interpreters(parts))
    name = runner.interpreters()[0].get_input_details()[0]["name"]
    buffer = np.empty_like(images[0])
    for image in images:
        buffer[:] = image
        runner.push({name: buffer})
    runner.push({})
    for image in images:
        (value,) = runner.pop().values()
        assert np.array_equal(value, expected(image))


def test_wrong_inputs_raise_value_error(parts, images):
    runner = pipeline.PipelinedModelRunner(interpreters(parts))
    name = runner.interpreters()[0].get_input_details()[0]["name"]
    with pytest.raises(ValueError):
        runner.push({name: images[0], "other": images[0]})
    with pytest.raises(ValueError):
        runner.push({name: images[0].astype(np.float32)})
    with pytest.raises(ValueError):
        runner.push({"other": images[0]})


def test_litert_interpreters_are_accepted(parts, images, expected):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    made = [litert.Interpreter(str(p)) for p in sorted(parts.glob("*.tflite"))]
    for interpreter in made:
        interpreter.allocate_tensors()
    runner = pipeline.PipelinedModelRunner(made)
    for image, result in zip(images, classify(runner, images), strict=True):
        # Other kernels round differently in the last bit of each layer.
        assert np.abs(result.astype(int) - expected(image)).max() <= 5


def test_missing_edge_tpu_is_named(parts):
    with pytest.raises((ValueError, RuntimeError)) as failed:
        pipeline.make_interpreter(str(next(iter(parts.glob("*.tflite")))), "pci:7")
    assert "libedgetpu" in str(failed.value) or "Edge TPU" in str(failed.value)
