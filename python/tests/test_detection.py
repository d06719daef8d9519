"""Detectors: pictures in, boxes in their pixels out."""

import numpy as np
import pytest

import segue

YOLO = "zoo:yolov8n@64"
CELLS = 64 + 16 + 4  # of an input of 64 pixels


@pytest.fixture(scope="module")
def model():
    if "zoo:yolov8n" not in segue.zoo_names():
        pytest.skip("the zoo has no detector")
    return segue.open_model(YOLO)


@pytest.fixture(scope="module")
def detector(model):
    return segue.Detector(model, score=0.25, iou=0.45, max_detections=100)


def output_with(model, channels):
    """An output whose first row has these channels; the others are 0."""
    (tensor,) = model.outputs
    dtype = np.dtype(tensor.type.lower())
    values = np.zeros(tensor.shape, np.float32)
    values[0, : len(channels), 0] = channels
    if dtype == np.float32:
        return values
    limits = np.iinfo(dtype)
    quantized = np.round(values / tensor.scales[0]) + tensor.zero_points[0]
    return quantized.clip(limits.min, limits.max).astype(dtype)


def test_box_returns_to_picture(model, detector):
    picture = np.zeros((64, 128, 3), np.uint8)
    inputs, transform = detector.prepare(picture)
    assert list(inputs.shape) == detector.input_shape == [1, 64, 64, 3]
    (box,) = detector.decode([output_with(model, [0.5, 0.5, 0.25, 0.125, 0, 0.75])], transform)
    assert box.class_id == 1
    assert box.score == pytest.approx(0.75, abs=0.01)
    assert (box.left, box.top) == pytest.approx((48, 24), abs=1)
    assert (box.right, box.bottom) == pytest.approx((80, 40), abs=1)


def test_path_is_a_model(detector):
    assert segue.Detector(YOLO).family == detector.family == "YOLOv8"


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
