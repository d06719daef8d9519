"""Sends the requests of Frigate's ZeroMQ plugin frigate/detectors/plugins/zmq_ipc.py."""

import json
import threading
import time

import numpy as np
import pytest

import segue
import serving

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")

SHAPE = [1, 80, 96, 3]


@pytest.fixture(scope="module")
def detector():
    return serving.MarkingDetector((1, 64, 64, 3))


def serve(parts, detector, endpoint, **settings):
    return serving.serving(
        segue.Pipeline(parts),
        detector=detector,
        output_names=["conv2d_4"],
        zmq=endpoint,
        **settings,
    )


@pytest.fixture(scope="module")
def server(parts, detector, tmp_path_factory):
    with serve(parts, detector, f"ipc://{tmp_path_factory.mktemp('zmq')}/detector") as server:
        yield server


class Plugin:
    """A client with the socket and timeouts of Frigate's plugin."""

    def __init__(self, endpoint, timeout_ms=20_000, token=None):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.REQ)
        self.socket.setsockopt(zmq.RCVTIMEO, timeout_ms)
        self.socket.setsockopt(zmq.LINGER, 0)
        if token is not None:
            self.socket.plain_username = b"segue"
            self.socket.plain_password = token.encode()
        self.socket.connect(endpoint)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close(linger=0)
        self.context.term()

    def ask(self, header, *frames):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        self.socket.send_multipart([text, *frames])
        return self.socket.recv_multipart()

    def rows(self, pixels, **changes):
        header = {"shape": [1, *pixels.shape], "dtype": "uint8", "model_type": "ssd", **changes}
        (frame,) = self.ask(header, pixels.tobytes())
        assert len(frame) == 480, frame
        return np.frombuffer(frame, np.float32).reshape(20, 6)

    def error(self, *message):
        (frame,) = self.ask(*message)
        assert len(frame) != 480  # the plugin reports any other length
        return json.loads(frame)


@pytest.fixture
def plugin(server):
    with Plugin(server.zmq) as plugin:
        yield plugin


def expected_rows(detector, expected, pixels):
    height, width = pixels.shape[:2]
    prepared, transform = detector.prepare(pixels)
    boxes = detector.decode([expected(prepared)], transform)
    rows = np.zeros((20, 6), np.float32)
    for row, box in zip(rows, boxes):
        row[:] = [
            box.class_id,
            box.score,
            box.top / height,
            box.left / width,
            box.bottom / height,
            box.right / width,
        ]
    return rows


def test_rows_hold_class_score_and_relative_box(plugin, detector, expected):
    for seed in range(5):
        pixels = serving.picture(seed)
        assert np.array_equal(plugin.rows(pixels), expected_rows(detector, expected, pixels))


def test_planar_image_gives_same_rows(plugin):
    pixels = serving.picture(3)
    planar = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    assert np.array_equal(plugin.rows(planar), plugin.rows(pixels))


def test_model_handshake_accepts_and_stores_nothing(plugin):
    answer = plugin.error({"model_request": True, "model_name": "yolov9.onnx"})
    assert answer == {"model_available": True, "model_loaded": True}
    answer = plugin.error({"model_data": True, "model_name": "yolov9.onnx"}, b"weights")
    assert answer["model_saved"] is False and answer["model_loaded"] is False


@pytest.mark.parametrize(
    "header, frames, reason",
    [
        (b"", [], "must be a JSON object"),
        (b"[1]", [b"x"], "must be a JSON object"),
        (b"{" * 2000, [b"x"], "must be a JSON object"),
        (b"\xff", [b"x"], "must be a JSON object"),
        ({}, [b"x"], "dtype must be uint8, not None"),
        ({"dtype": "float32", "shape": SHAPE}, [bytes(23040)], "not 'float32'"),
        ({"dtype": "uint8"}, [bytes(23040)], "shape must be"),
        ({"dtype": "uint8", "shape": SHAPE[1:]}, [bytes(23040)], "shape must be"),
        ({"dtype": "uint8", "shape": [2, 80, 48, 3]}, [bytes(23040)], "shape must be"),
        ({"dtype": "uint8", "shape": [1, 80, 48, 4]}, [bytes(23040)], "shape must be"),
        ({"dtype": "uint8", "shape": [1, 0, 96, 3]}, [b""], "shape must be"),
        ({"dtype": "uint8", "shape": [1, -80, 96, 3]}, [b""], "shape must be"),
        ({"dtype": "uint8", "shape": [1, True, 96, 3]}, [bytes(288)], "shape must be"),
        ({"dtype": "uint8", "shape": [1, 80.0, 96, 3]}, [bytes(23040)], "shape must be"),
        ({"dtype": "uint8", "shape": [1, 10**9, 10**9, 3]}, [b""], "shape must be"),
        ({"dtype": "uint8", "shape": "large"}, [b""], "shape must be"),
        ({"dtype": "uint8", "shape": SHAPE}, [], "one frame of 23040 bytes"),
        ({"dtype": "uint8", "shape": SHAPE}, [bytes(23039)], "23040 bytes, not [23039]"),
        ({"dtype": "uint8", "shape": SHAPE}, [bytes(23040), b""], "one frame"),
    ],
)
def test_invalid_request_is_refused(plugin, header, frames, reason):
    answer = plugin.error(header, *frames)
    assert answer["code"] == 400 and reason in answer["error"]
    assert plugin.rows(serving.picture(1))[0, 1] > 0  # this client can continue


def test_no_error_has_the_size_of_rows(plugin):
    """The list of sizes in the message makes errors of many lengths, including 480."""
    header = {"dtype": "uint8", "shape": SHAPE}
    lengths = set()
    for size in (1, 10, 100):
        for count in range(2, 130):
            (frame,) = plugin.ask(header, bytes(size), *[b""] * count)
            lengths.add(len(frame))
    assert {479, 481} <= lengths and 480 not in lengths


def test_vanished_clients_do_not_affect_others(server, plugin, detector, expected):
    header = json.dumps({"shape": SHAPE, "dtype": "uint8", "model_type": "ssd"}).encode()
    for _ in range(5):
        with Plugin(server.zmq) as leaving:
            leaving.socket.send_multipart([header, bytes(23040)])
    pixels = serving.picture(4)
    assert np.array_equal(plugin.rows(pixels), expected_rows(detector, expected, pixels))


def test_oversize_message_ends_own_connection(parts, detector, tmp_path):
    endpoint = f"ipc://{tmp_path}/small"
    with serve(parts, detector, endpoint, max_body=30_000) as server:
        with Plugin(endpoint, timeout_ms=500) as large:
            with pytest.raises(zmq.Again):
                large.ask({"shape": [1, 100, 101, 3], "dtype": "uint8"}, bytes(30_300))
        with Plugin(endpoint) as plugin:
            assert plugin.rows(serving.picture(1))[0, 1] > 0
        text = server.service.metrics.text().decode()
        assert 'segue_requests_total{code="200",protocol="zmq"} 1.0' in text


def test_dealer_sockets_are_answered(server):
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.RCVTIMEO, 20_000)
    socket.connect(server.zmq)
    request = json.dumps({"model_request": True, "model_name": "small.tflite"}).encode()
    for envelope in ([], [b""]):
        socket.send_multipart([*envelope, request])
        frames = socket.recv_multipart()
        assert frames[:-1] == envelope and json.loads(frames[-1])["model_loaded"] is True
    socket.close(linger=0)
    context.term()


def test_tcp_client_without_token_is_not_answered(parts, detector):
    token = "t" * 20
    endpoint = f"tcp://127.0.0.1:{serving.free_port()}"
    with serve(parts, detector, endpoint, token=token):
        for wrong in (None, "u" * 20):
            with Plugin(endpoint, timeout_ms=500, token=wrong) as plugin:
                with pytest.raises(zmq.Again):
                    plugin.ask({"model_request": True})
        with Plugin(endpoint, token=token) as plugin:
            assert plugin.rows(serving.picture(1))[0, 1] > 0


class CountingDetector(serving.MarkingDetector):
    prepared = 0

    def prepare(self, image):
        self.prepared += 1
        return super().prepare(image)


def test_full_queue_refuses_zmq_request(tmp_path):
    """With more clients than places in the queue, a refused one succeeds later."""
    detector = CountingDetector((1, 64, 64, 3))
    release = threading.Event()
    pipeline = serving.blocked_pipeline(release, shape=(1, 64, 64, 3))
    settings = {"detector": detector, "output_names": ["out"], "max_queue": 3}
    endpoint = f"ipc://{tmp_path}/full"
    header = {"shape": SHAPE, "dtype": "uint8", "model_type": "ssd"}
    frame = serving.picture(1).tobytes()
    with serving.serving(pipeline, zmq=endpoint, **settings) as server:
        plugins = [Plugin(endpoint) for _ in range(3)]
        for plugin in plugins:
            plugin.socket.send_multipart([json.dumps(header).encode(), frame])
        while server.engine.unanswered < 3:
            time.sleep(0.01)
        with Plugin(endpoint) as late:
            assert late.error(header, frame)["code"] == 503
            assert detector.prepared == 3
            release.set()
            for plugin in plugins:
                assert len(plugin.socket.recv()) == 480
                plugin.__exit__()
            (reply,) = late.ask(header, frame)
            assert len(reply) == 480
