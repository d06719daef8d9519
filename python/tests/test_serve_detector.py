"""Tests the program with a model that segue.Detector reads, through each protocol."""

import json

import numpy as np
import pytest

import segue
import serving
from segue.serve.__main__ import main
from tiny_detector import tiny_detector

requests = pytest.importorskip("requests", reason="requests is not installed")
zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")

LABELS = ["person", "car", "dog"]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector")
    file = folder / "tiny.tflite"
    file.write_bytes(tiny_detector())
    model = segue.open_model(file)
    segue.split(model, segue.plan(model, 2, "balanced"), folder / "parts")
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    return file


@pytest.fixture(scope="module")
def found(model_file):
    """The detections of the whole model and segue.Detector in a picture."""
    model = segue.open_model(model_file)
    session = segue.open_session(model, segue.cpu_backend())
    detector = segue.Detector(model, score=0.1)

    def find(pixels):
        prepared, transform = detector.prepare(pixels)
        return detector.decode(session.run([prepared]), transform)

    return find


def ask_form(server, pixels, **fields):
    files = {"image": serving.encoded(pixels)}
    url = f"{server.url}/v1/vision/detection"
    return requests.post(url, files=files, data=fields, timeout=60).json()["predictions"]


def ask_zmq(endpoint, pixels):
    context = zmq.Context()
    client = context.socket(zmq.REQ)
    client.setsockopt(zmq.RCVTIMEO, 60_000)
    client.setsockopt(zmq.LINGER, 0)
    client.connect(endpoint)
    header = {"shape": [1, *pixels.shape], "dtype": "uint8", "model_type": "yologeneric"}
    client.send_multipart([json.dumps(header).encode(), pixels.tobytes()])
    rows = np.frombuffer(client.recv(), np.float32).reshape(20, 6)
    client.close()
    context.term()
    return rows


def test_form_and_zmq_match_detector(model_file, found, tmp_path):
    endpoint = f"ipc://{tmp_path}/detector"
    folder = model_file.parent
    arguments = ("--model", model_file, "--labels", folder / "labels.txt", "--zmq", endpoint)
    for source in (folder / "parts", folder / "parts/plan.json"):
        with serving.program(source, *arguments) as server:
            assert server.model == "tiny"
            for seed, (width, height) in enumerate([(32, 32), (320, 200), (50, 300)]):
                pixels = serving.picture(seed, width, height)
                boxes = found(pixels)
                assert len(boxes) > 5
                assert ask_form(server, pixels, min_confidence=0.3) == [
                    {
                        "label": LABELS[box.class_id],
                        "confidence": pytest.approx(box.score),
                        "x_min": round(box.left),
                        "y_min": round(box.top),
                        "x_max": round(box.right),
                        "y_max": round(box.bottom),
                    }
                    for box in boxes
                    if box.score >= 0.3
                ]
                rows = ask_zmq(endpoint, pixels)
                for row, box in zip(rows, boxes):
                    wanted = [
                        box.top / height,
                        box.left / width,
                        box.bottom / height,
                        box.right / width,
                    ]
                    assert row[0] == box.class_id and row[1] == np.float32(box.score)
                    assert row[2:] == pytest.approx(wanted, abs=1e-6)
                assert not rows[len(boxes) :].any()


def test_classifier_is_served_without_detection(model, parts, tmp_path, capsys):
    file = tmp_path / "classifier.tflite"
    model.save(file)
    with serving.program(parts, "--model", file) as server:
        assert requests.get(f"{server.url}/v2/health/ready", timeout=30).status_code == 200
        files = {"image": serving.encoded(serving.picture(1))}
        answer = requests.post(f"{server.url}/v1/vision/detection", files=files, timeout=30)
        assert answer.status_code == 501
    labels = tmp_path / "labels.txt"
    labels.write_text("one\n")
    for option in (["--labels", str(labels)], ["--zmq", f"ipc://{tmp_path}/a"]):
        assert main([str(parts), "--port", "0", "--model", str(file), *option]) == 3


def test_model_of_other_pipeline_is_refused(model, model_file, tmp_path, capsys):
    file = tmp_path / "other.tflite"
    model.save(file)
    arguments = [str(model_file.parent / "parts"), "--port", "0", "--model", str(file)]
    assert main(arguments) == 7
    assert "not those of the pipeline" in capsys.readouterr().err
