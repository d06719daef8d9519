"""A server in a thread, and a detector whose detections identify their image."""

import asyncio
import contextlib
import io
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import segue

for package in (
    "fastapi",
    "uvicorn",
    "zmq",
    "prometheus_client",
    "python_multipart",
    "PIL",
    "requests",
):
    pytest.importorskip(package, reason=f"segue[serve] is not installed: no {package}")

import uvicorn
from PIL import Image

from segue.serve.app import Service, make_app
from segue.serve.detection import Detection
from segue.serve.engine import Engine
from segue.serve.frigate import FrigateServer
from segue.serve.limits import timed_protocol
from segue.serve.metrics import Metrics

NAME = "small"
LABELS = [f"class {i}" for i in range(8)]


@dataclass(frozen=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float
    score: float
    class_id: int


class MarkingDetector:
    """Stands in for segue.Detector: 3 boxes computed from the sums of the output's channels."""

    def __init__(self, shape):
        self.height, self.width = shape[1:3]

    def prepare(self, image):
        assert image.dtype == np.uint8 and image.shape[2] == 3
        height, width = image.shape[:2]
        resized = Image.fromarray(image).resize((self.width, self.height), Image.NEAREST)
        values = (np.asarray(resized).astype(np.int16) - 128).astype(np.int8)
        return values[np.newaxis], (width, height)

    def decode(self, outputs, transform):
        width, height = transform
        sums = np.resize(outputs[0].astype(np.int64).sum(axis=(0, 1, 2)), 12)
        boxes = []
        for i, score in enumerate((0.9, 0.6, 0.3)):
            a, b, c, d = (sums[4 * i : 4 * i + 4] % 97) / 200
            boxes.append(
                Box(
                    a * width,
                    b * height,
                    (0.5 + c) * width,
                    (0.5 + d) * height,
                    score,
                    int(sums[i] % 8),
                )
            )
        return boxes


class Server:
    """Listens at a free port of the loopback address, until `stop`."""

    def __init__(
        self, pipeline, *, detector=None, output_names=(), zmq=None, max_queue=16, **settings
    ):
        self.engine = Engine(pipeline, max_queue)
        self.pool = ThreadPoolExecutor(2)
        metrics = Metrics(pipeline, lambda: self.engine.unanswered, [])
        self.service = Service(
            name=NAME,
            engine=self.engine,
            inputs=pipeline.inputs,
            outputs=pipeline.outputs,
            metrics=metrics,
            pool=self.pool,
            **settings,
        )
        if detector is not None:
            self.service.detection = Detection(
                self.engine, detector, output_names, LABELS, self.pool
            )
        if zmq is not None:
            self.service.frigate = FrigateServer(
                self.service.detection,
                zmq,
                name=NAME,
                max_body=self.service.max_body,
                max_queue=max_queue,
                token=self.service.token,
                observe=metrics.observe,
            )
        self.zmq = zmq
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            make_app(self.service),
            http=timed_protocol(self.service.client_timeout_s),
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_config=None,
            limit_concurrency=max_queue + 32,
            timeout_graceful_shutdown=20,
        )
        self.server = uvicorn.Server(config)
        started = threading.Event()
        self.service.on_started = started.set
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        assert started.wait(30)

    def _run(self):
        asyncio.run(self.server.serve(sockets=[self.socket]))

    def stop(self):
        self.server.should_exit = True
        self.thread.join(60)
        assert not self.thread.is_alive()
        self.socket.close()

    def raw(self):
        """A plain connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@contextlib.contextmanager
def serving(*arguments, **settings):
    server = Server(*arguments, **settings)
    try:
        yield server
    finally:
        server.stop()


def blocked_pipeline(release, shape=(1, 8), computed=None):
    """A pipeline of one Python function that waits for `release`, and then copies its input."""
    like = np.zeros(shape, dtype=np.int8)

    def run(arrays):
        release.wait()
        if computed is not None:
            computed.append(arrays[0].ravel()[0])
        return [np.array(arrays[0])]

    backend = segue.callable_backend([segue.Port("in", like)], [segue.Port("out", like)], run)
    return callable_pipeline(backend, 1)


def callable_pipeline(backend, capacity=2):
    options = segue._segue.PipelineOptions(capacity, capacity)
    return segue._segue.open_pipeline_of_callables([backend], options)


def infer_json(values):
    """The body of a request to a blocked_pipeline."""
    tensor = {"name": "in", "shape": [1, 8], "datatype": "INT8", "data": values}
    return {"inputs": [tensor]}


def picture(seed, width=96, height=80):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(pixels, kind="PNG"):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format=kind)
    return data.getvalue()


def memory_kib(process="self"):
    with open(f"/proc/{process}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def device_process(parent, device):
    """Returns the process in which a pipeline of process `parent` runs an Edge TPU."""
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        for child in children.read_text().split():
            line = Path(f"/proc/{child}/cmdline").read_text()
            if line.split("\0")[0] == f"segue-device {device}":
                return int(child)
    raise AssertionError(f"no process of {device}")


@contextlib.contextmanager
def program(*arguments, **settings):
    """Starts the server program and yields it with its address; ends it with SIGTERM if it runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "segue.serve", *map(str, arguments), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )
    try:
        for line in process.stderr:
            if found := re.search(r"(.+) (?:is|are) served at (http://\S+)", line):
                process.url = found[2]
                host, port = found[2].removeprefix("http://").rsplit(":", 1)
                process.address = (host, int(port))
                process.model = found[1].split(": ")[-1]
                break
        else:
            raise AssertionError(f"ended with {process.wait()}")
        process.status = 0  # the expected exit status
        process.is_ending = False
        yield process
        if not process.is_ending:
            process.terminate()
        assert process.wait(60) == process.status
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
