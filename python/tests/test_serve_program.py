"""Tests `python -m segue.serve` and its metrics."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

import segue
import serving
from segue.serve.__main__ import main
from segue.serve.metrics import Metrics
from segue.serve.options import parse_options

requests = pytest.importorskip("requests", reason="requests is not installed")


def infer(server, image):
    body = {
        "inputs": [
            {
                "name": "input_1",
                "shape": list(image.shape),
                "datatype": "INT8",
                "parameters": {"binary_data_size": image.nbytes},
            }
        ],
        "parameters": {"binary_data_output": True},
    }
    head = json.dumps(body).encode()
    answer = requests.post(
        f"{server.url}/v2/models/{server.model}/infer",
        data=head + image.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(head))},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    length = int(answer.headers["Inference-Header-Content-Length"])
    (output,) = json.loads(answer.content[:length])["outputs"]
    return np.frombuffer(answer.content[length:], np.int8).reshape(output["shape"])


def metrics_of(server):
    """Returns values by name with labels."""
    lines = requests.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if x[0] != "#")}


def test_folder_is_served(parts, images, expected):
    with serving.program(parts) as server:
        assert server.model == "conv5-f32"
        assert np.array_equal(infer(server, images[0]), expected(images[0]))


def test_metrics_count_requests(parts, images):
    with serving.program(parts) as server:
        for _ in range(20):
            infer(server, images[0])
        requests.post(f"{server.url}/v2/models/{server.model}/infer", data=b"{", timeout=30)
        values = metrics_of(server)
    assert values['segue_requests_total{code="200",protocol="oip"}'] == 20
    assert values['segue_requests_total{code="400",protocol="oip"}'] == 1
    assert values['segue_request_seconds_count{protocol="oip"}'] == 20
    assert values["segue_results_total"] == 20
    assert values["segue_requests_unanswered"] == 0
    assert values["segue_device_losses_total"] == 0
    assert values["segue_throughput_per_second"] > 0
    low = values['segue_request_quantile_seconds{protocol="oip",quantile="0.5"}']
    high = values['segue_request_quantile_seconds{protocol="oip",quantile="0.99"}']
    assert 0 < low <= high < 60
    assert low >= values['segue_pipeline_latency_seconds{quantile="0.5"}'] * 0.9
    for stage in range(3):
        name = f'segue_device_utilisation_ratio{{device="cpu {stage}",stage="{stage}"}}'
        assert 0 < values[name] <= 1


def test_invalid_requests_are_not_logged(parts):
    with serving.program(parts) as server:
        url = f"{server.url}/v1/vision/detection"
        kind = {"content-type": "multipart/form-data; boundary=x"}
        for _ in range(3):
            assert requests.post(url, data=b"damaged", headers=kind, timeout=30).status_code == 400
            with socket.create_connection(server.address, 30) as connection:
                connection.sendall(b"no request\r\n\r\n")
                assert b" 400 " in connection.recv(4096)
        server.terminate()
        server.is_ending = True
        assert server.stderr.read() == ""


def test_lost_device_and_spare_are_in_metrics(stand_ins, parts, images, tmp_path):
    file = next(parts.glob("*_segment_0_of_3.tflite"))
    shutil.copy(file, tmp_path / "one_segment_0_of_1_edgetpu.tflite")
    with serving.program(tmp_path, "--backend", "edgetpu") as server:
        before = infer(server, images[0])
        os.kill(serving.device_process(server.pid, "pci:apex_0"), signal.SIGKILL)
        assert np.array_equal(infer(server, images[0]), before)
        values = metrics_of(server)
        names = [name for name, _ in segue.edgetpu_devices()]
    assert values["segue_device_losses_total"] == 1
    for device in names[:2]:
        assert f'segue_device_utilisation_ratio{{device="{device}",stage="0"}}' in values


def test_failed_pipeline_ends_program(stand_ins, parts, images, tmp_path):
    file = next(parts.glob("*_segment_0_of_3.tflite"))
    shutil.copy(file, tmp_path / "one_segment_0_of_1_edgetpu.tflite")
    with serving.program(tmp_path, "--backend", "edgetpu", "--use", "pci:apex_0") as server:
        infer(server, images[0])
        os.kill(serving.device_process(server.pid, "pci:apex_0"), signal.SIGKILL)
        with pytest.raises(AssertionError, match="no device is left to run it"):
            infer(server, images[0])  # 503 with the reason
        server.is_ending = True
        server.status = 6


def test_sigterm_answers_accepted_requests(parts, images, expected):
    """One request is computed and others wait when the signal comes."""
    with serving.program(parts, "--backend", "simulated", "--time-scale", "300") as server:
        with ThreadPoolExecutor(6) as pool:
            answers = [pool.submit(infer, server, image) for image in images]
            until = time.monotonic() + 20
            while metrics_of(server)["segue_requests_unanswered"] < len(images):
                assert time.monotonic() < until
            server.terminate()
            server.is_ending = True
            for image, answer in zip(images, answers):
                assert np.array_equal(answer.result(), expected(image))


@pytest.mark.parametrize(
    "arguments, status, reason",
    [
        ([], 2, "name DIR"),
        (["nowhere"], 1, "nowhere"),
        (
            ["DIR", "--host", "0.0.0.0"],
            2,
            "--host 0.0.0.0 is reachable by others; add --token-file",
        ),
        (["DIR", "--host", "::"], 2, "is reachable by others"),
        (["DIR", "--host", "example.org"], 2, "is reachable by others"),
        (["DIR", "--zmq", "ipc:///tmp/a"], 2, "--zmq needs --model"),
        (["DIR", "--zmq", "tcp://*:5555", "--model", "m"], 2, "--zmq tcp://*:5555 is reachable"),
        (["DIR", "--zmq", "tcp://0.0.0.0:5555", "--model", "m"], 2, "is reachable by others"),
        (["DIR", "--zmq", "tcp://eth0:5555", "--model", "m"], 2, "is reachable by others"),
        (["DIR", "--token-file", "nowhere"], 2, "--token-file"),
        (["DIR", "--token-file", "SHORT"], 2, "16 characters or more"),
        (["DIR", "--max-queue", "0"], 2, "from 1 to 100000"),
        (["DIR", "--max-body", "x"], 2, "--max-body"),
        (["DIR", "--port", "65536"], 2, "must be a port"),
        (["PLAN"], 2, "add --model MODEL"),
        (["DIR", "--name", "a/b"], 2, "--name 'a/b'"),
        (["DIR", "--name", ""], 2, "--name: the value is empty"),
        (["DIR", "--model", ""], 2, "--model: the value is empty"),
        (["DIR", "--labels", "l.txt"], 2, "--labels needs --model"),
        (["DIR", "--time-scale", "2"], 2, "--time-scale requires --backend simulated"),
        (["DIR", "--backend", "simulated", "--time-scale", "-1"], 2, "must be from 0 to 1e+06"),
        (["DIR", "--backend", "simulated", "--time-scale", "nan"], 2, "must be from 0 to 1e+06"),
        (["DIR", "--watchdog", "0"], 2, "must be from 0.001 to 86400"),
        (["DIR", "--watchdog", "nan"], 2, "must be from 0.001 to 86400"),
        (["DIR", "--use", "usb:1-1"], 2, "--use requires --backend edgetpu"),
        (
            ["DIR", "--cluster", "auto", "--compiler-cmd", "true"],
            2,
            "--compiler-cmd requires --backend edgetpu and --model",
        ),
    ],
)
def test_invalid_options_are_refused(parts, tmp_path, capsys, arguments, status, reason):
    (tmp_path / "short").write_text("abc\n")
    paths = {"DIR": parts, "PLAN": parts / "plan.json", "SHORT": tmp_path / "short"}
    words = [str(paths.get(word, word)) for word in arguments]
    try:
        found = main(["--port", "0", *words])
    except SystemExit as ended:
        found = ended.code
    assert found == status
    assert reason in capsys.readouterr().err


def test_port_in_use_is_an_error(parts):
    with serving.program(parts) as server:
        port = server.url.rsplit(":", 1)[1]
        done = subprocess.run(
            [sys.executable, "-m", "segue.serve", str(parts), "--port", port],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1 and "Address already in use" in done.stderr


def test_zmq_endpoint_in_use_or_invalid_is_an_error(parts, tmp_path, capsys):
    in_use = socket.create_server(("127.0.0.1", 0))
    port = in_use.getsockname()[1]
    with in_use:
        for endpoint in (f"tcp://127.0.0.1:{port}", f"ipc://{tmp_path}/no/x"):
            arguments = [str(parts), "--port", "0", "--model", "any", "--zmq", endpoint]
            assert main(arguments) == 1
            assert endpoint in capsys.readouterr().err


def test_zmq_endpoint_keeps_files_and_other_servers(parts, tmp_path, capsys):
    file = tmp_path / "model.tflite"
    file.write_bytes(b"weights")
    taken = tmp_path / "taken"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(taken))
        other.listen()
        for endpoint, reason in (
            (f"ipc://{file}", "is a file"),
            (f"ipc://{taken}", "another server"),
            ("tcp://127.0.0.1:99999", "65535"),
        ):
            arguments = [str(parts), "--port", "0", "--model", "any", "--zmq", endpoint]
            assert main(arguments) == 2
            assert reason in capsys.readouterr().err
    assert file.read_bytes() == b"weights"


def test_other_host_with_token_is_served(parts, tmp_path):
    token = "0123456789abcdef"
    (tmp_path / "token").write_text(token + "\n")
    with serving.program(parts, "--host", "0.0.0.0", "--token-file", tmp_path / "token") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert requests.get(f"{url}/v2", timeout=30).status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        assert requests.get(f"{url}/v2", headers=headers, timeout=30).status_code == 200


@pytest.mark.parametrize(
    "words, time_scale, watchdog_s",
    [
        ([], 1, 30),
        (["--backend", "simulated"], 1, 30),
        (["--backend", "simulated", "--time-scale", "0"], 0, 30),
        (["--backend", "simulated", "--time-scale", "20", "--watchdog", "2"], 20, 40),
    ],
)
def test_watchdog_waits_for_slow_simulated_devices(words, time_scale, watchdog_s):
    options = parse_options(["parts", *words])
    assert (options.time_scale, options.watchdog) == (time_scale, watchdog_s)


def test_utilisations_have_the_names_of_their_stage():
    """After a loss, a stage has its lost device and the spare; no message is parsed."""
    stages = [
        SimpleNamespace(devices=["usb:1-1"], utilisations=[0.5]),
        SimpleNamespace(devices=["pci:apex_0", "usb:2-1"], utilisations=[0.25, 0.75]),
    ]
    latency = SimpleNamespace(p50_ns=0, p99_ns=0)
    statistics = SimpleNamespace(
        stages=stages, results=0, losses=["any text"], throughput_per_s=0, latency=latency
    )
    metrics = Metrics(SimpleNamespace(statistics=lambda: statistics), lambda: 0, [])
    text = metrics.text().decode()
    for stage, device, share in ((0, "usb:1-1", 0.5), (1, "pci:apex_0", 0.25), (1, "usb:2-1", 0.75)):
        line = f'segue_device_utilisation_ratio{{device="{device}",stage="{stage}"}} {share}'
        assert line in text
