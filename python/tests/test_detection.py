"""Detectors take pictures and return boxes in pixels of the picture."""

import numpy as np
import pytest

import segue
from tiny_detector import SIZE, tiny_detector



@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("detector") / "tiny.tflite"
    file.write_bytes(tiny_detector())
    return file


@pytest.fixture(scope="module")
def model(model_file):
    return segue.open_model(model_file)


@pytest.fixture(scope="module")
def detector(model):
    return segue.Detector(model, score=0.25, iou=0.45, max_detections=100)


def output_with(model, channels):
    """Makes an output whose first row has these channels; the others are 0."""
    (tensor,) = model.outputs
    values = np.zeros(tensor.shape, np.float32)
    values[0, 0] = channels
    quantized = np.round(values / tensor.scales[0]) + tensor.zero_points[0]
    return quantized.clip(-128, 127).astype(np.int8)


def test_box_returns_to_picture(model, detector):
    picture = np.zeros((SIZE, 2 * SIZE, 3), np.uint8)
    inputs, transform = detector.prepare(picture)
    assert list(inputs.shape) == detector.input_shape == [1, SIZE, SIZE, 3]
    output = output_with(model, [0.5, 0.5, 0.25, 0.125, 0.99, 0, 0.75, 0])
    (box,) = detector.decode([output], transform)
    assert box.class_id == 1
    assert box.score == pytest.approx(0.74, abs=0.02)
    assert (box.left, box.top) == pytest.approx((24, 12), abs=0.5)
    assert (box.right, box.bottom) == pytest.approx((40, 20), abs=0.5)


def test_path_is_a_model(model_file, detector):
    for path in (model_file, str(model_file)):
        assert segue.Detector(path).family == detector.family == "YOLOv5"


def test_pipeline_equals_whole_model(model, tmp_path):
    detector = segue.Detector(model, score=0.0)
    picture = np.random.default_rng(3).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    inputs, transform = detector.prepare(picture)
    whole = segue.open_session(model, segue.cpu_backend()).run([inputs])
    segue.split(model, segue.plan(model, 2), tmp_path / "parts")
    with segue.Pipeline(tmp_path / "parts") as pipeline:
        pipeline.push(inputs)
        outputs = list(pipeline.pop().outputs.values())
    expected = [repr(box) for box in detector.decode(whole, transform)]
    assert [repr(box) for box in detector.decode(outputs, transform)] == expected
    assert expected


def test_wrong_picture_is_refused(detector):
    for picture in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(segue.Error, match=r"uint8 \[height, width, 3\]"):
            detector.prepare(picture)
    with pytest.raises(segue.Error, match="0 x 0"):
        detector.prepare(np.zeros((0, 0, 3), np.uint8))


def test_wrong_outputs_are_refused(detector):
    _, transform = detector.prepare(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(segue.Error, match="0 outputs"):
        detector.decode([], transform)
    with pytest.raises(segue.Error, match="output"):
        detector.decode([np.zeros(3, np.uint8)], transform)


def test_classifier_and_unknown_family_are_refused():
    with pytest.raises(segue.Error, match="not those of a detector") as caught:
        segue.Detector("zoo:mobilenet@64")
    assert caught.value.code == "unsupported"
    with pytest.raises(segue.Error, match="unknown family 'ssd3'"):
        segue.Detector("zoo:mobilenet@64", family="ssd3")
