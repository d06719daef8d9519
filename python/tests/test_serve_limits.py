"""Tests clients that are slow, vanish, send too much or lack a token, and the end of a server."""

import contextlib
import json
import threading
import time
from http.client import HTTPConnection

import numpy as np
import pytest

import segue
import serving

requests = pytest.importorskip("requests", reason="requests is not installed")

PATH = "/v2/models/small/infer"
BODY = json.dumps(serving.infer_json(list(range(8)))).encode()


@pytest.fixture
def release():
    event = threading.Event()
    yield event
    event.set()


def copying(release, **settings):
    return serving.serving(serving.blocked_pipeline(release), **settings)


def infer(server, data=BODY, **headers):
    return requests.post(server.url + PATH, data=data, headers=headers, timeout=30)


def request_text(length, **headers):
    lines = [f"POST {PATH} HTTP/1.1", "Host: x", f"Content-Length: {length}"]
    lines += [f"{key}: {value}" for key, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_all(connection):
    """Reads until the server closes the connection."""
    data = b""
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            return data
        if not part:
            return data
        data += part


def wait_until(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def in_threads(count, function):
    threads = [threading.Thread(target=function) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_oversize_body_gets_413(release):
    release.set()
    with copying(release, max_body=1000) as server:
        assert infer(server).status_code == 200
        answer = infer(server, bytes(1001))
        assert answer.status_code == 413 and "1000 bytes" in answer.json()["error"]
        # A request without a length is refused as soon as it exceeds the limit.
        answer = infer(server, iter([bytes(600), bytes(600)]))
        assert answer.status_code == 413
        # A false length beyond the limit is refused before the body is read.
        with server.raw() as connection:
            connection.sendall(request_text(10**12))
            assert b" 413 " in connection.recv(4096)
        assert infer(server).status_code == 200


def test_full_queue_gets_503_with_retry_after(release):
    with copying(release, max_queue=3) as server:
        codes = []
        threads = in_threads(3, lambda: codes.append(infer(server).status_code))
        wait_until(lambda: server.engine.unanswered == 3)
        answer = infer(server)
        assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1
        assert "3 requests are unanswered" in answer.json()["error"]
        release.set()
        for thread in threads:
            thread.join()
        assert codes == [200] * 3
        assert infer(server).status_code == 200


def test_large_body_is_refused_with_an_answer(release):
    """The client sends everything before it reads; closing the connection would lose the answer."""
    token = "a" * 20
    with copying(release, max_queue=1, max_body=4 << 20, token=token) as server:
        allowed = {"Authorization": f"Bearer {token}"}
        threads = in_threads(1, lambda: infer(server, **allowed))
        wait_until(lambda: server.engine.unanswered == 1)
        client = HTTPConnection("127.0.0.1", server.port, timeout=30)
        with contextlib.closing(client):

            def status_of(size, **headers):
                client.request("POST", PATH, bytes(size), headers)
                answer = client.getresponse()
                answer.read()
                return answer.status

            assert status_of(3 << 20, **allowed) == 503
            assert status_of(32 << 20) == 401
            assert status_of(100, **allowed) == 503
            release.set()
            threads[0].join()
            assert status_of(32 << 20, **allowed) == 413
            assert status_of(3 << 20, **allowed) == 400


def test_refused_body_that_drips_ends_connection(release):
    release.set()
    with copying(release, client_timeout_s=0.5, max_body=1000) as server:
        with server.raw() as connection:
            connection.sendall(request_text(10**9))
            assert b" 413 " in connection.recv(4096)
            begin = time.monotonic()
            with pytest.raises(OSError):
                while time.monotonic() - begin < 10:
                    connection.sendall(b"x")
                    time.sleep(0.05)
            assert time.monotonic() - begin < 5
        assert infer(server).status_code == 200


def test_disconnected_client_frees_its_place(release):
    with copying(release, max_queue=8) as server:
        connections = [server.raw() for _ in range(8)]
        for connection in connections:
            connection.sendall(request_text(len(BODY)) + BODY)
        wait_until(lambda: server.engine.unanswered == 8)
        for connection in connections:
            connection.close()
        # The inputs in the pipeline remain: one is computed, one waits, and one is being pushed.
        wait_until(lambda: server.engine.unanswered <= 3)
        release.set()
        assert infer(server).status_code == 200
        text = server.service.metrics.text().decode()
        assert 'segue_requests_total{code="499",protocol="oip"} 8.0' in text


def test_disconnect_during_body_frees_everything(release):
    release.set()
    with copying(release) as server:
        for _ in range(20):
            with server.raw() as connection:
                connection.sendall(request_text(100_000) + b"x" * 1000)
        assert infer(server).status_code == 200
        assert server.engine.unanswered == 0


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nHost: x\r\n"])
def test_missing_headers_end_connection(release, sent):
    release.set()
    with copying(release, client_timeout_s=0.5) as server, server.raw() as connection:
        connection.sendall(sent)
        begin = time.monotonic()
        assert read_all(connection) == b""
        assert time.monotonic() - begin < 5
        assert infer(server).status_code == 200


def test_slow_headers_end_connection(release):
    release.set()
    with copying(release, client_timeout_s=0.5) as server, server.raw() as connection:
        begin = time.monotonic()
        with pytest.raises(OSError):
            connection.sendall(b"GET /v2 HTTP/1.1\r\n")
            while time.monotonic() - begin < 10:
                connection.sendall(b"X: y\r\n")
                time.sleep(0.05)
        assert time.monotonic() - begin < 5


def test_slow_headers_of_second_request_end_connection(release):
    release.set()
    with copying(release, client_timeout_s=0.5) as server, server.raw() as connection:
        connection.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in connection.recv(4096)
        begin = time.monotonic()
        with pytest.raises(OSError):
            connection.sendall(b"GET /v2 HTTP/1.1\r\n")
            while time.monotonic() - begin < 10:
                connection.sendall(b"X: y\r\n")
                time.sleep(0.05)
        assert time.monotonic() - begin < 5


def test_incomplete_body_gets_408(release):
    release.set()
    with copying(release, client_timeout_s=0.5) as server, server.raw() as connection:
        connection.sendall(request_text(len(BODY)) + BODY[:10])
        assert b" 408 " in read_all(connection)
        assert infer(server).status_code == 200


def test_unread_answer_ends_connection():
    like = np.zeros((1, 16 << 20), dtype=np.int8)
    small = np.zeros((1, 8), dtype=np.int8)
    backend = segue.callable_backend(
        [segue.Port("in", small)], [segue.Port("out", like)], lambda _: [like]
    )
    pipeline = serving.callable_pipeline(backend)
    body = json.dumps(
        {**serving.infer_json([1] * 8), "parameters": {"binary_data_output": True}}
    ).encode()
    with serving.serving(pipeline, client_timeout_s=0.5) as server, server.raw() as connection:
        connection.sendall(request_text(len(body)) + body)
        time.sleep(1.5)
        assert len(read_all(connection)) < 16 << 20
        assert len(infer(server, body).content) > 16 << 20


def test_slow_clients_do_not_delay_others(release):
    release.set()
    with copying(release, client_timeout_s=5, max_queue=16) as server:
        slow = [server.raw() for _ in range(40)]
        for connection in slow:
            connection.sendall(request_text(len(BODY)) + BODY[:10])
        begin = time.monotonic()
        assert infer(server).status_code == 200
        assert time.monotonic() - begin < 2
        for connection in slow:
            connection.close()


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 1_000_000,
    ],
)
def test_malformed_http_is_refused(release, text):
    release.set()
    with copying(release, client_timeout_s=2) as server:
        with server.raw() as connection:
            try:
                connection.sendall(text)
            except OSError:
                pass  # it was refused before it was complete
            answer = read_all(connection)
            assert answer == b"" or b" 400 " in answer
        assert infer(server).status_code == 200


def test_request_without_token_gets_401(release):
    release.set()
    token = "a" * 20
    with copying(release, token=token) as server:
        for headers in ({}, {"Authorization": token}, {"Authorization": f"Bearer {token}b"}):
            answer = infer(server, **headers)
            assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
        assert infer(server, Authorization=f"Bearer {token}").status_code == 200
        for path, status in (
            ("/v2/health/live", 200),
            ("/v2/health/ready", 200),
            ("/v1/server/status/ping", 200),
            ("/v2", 401),
            ("/metrics", 401),
            ("/v2/models/small", 401),
            ("/v1/vision/custom/list", 401),
            ("/v2/models/small/../../health/live", 401),
            ("//v2/health/live", 401),
        ):
            with server.raw() as connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                assert f" {status} ".encode() in connection.recv(4096), path


def test_shutdown_answers_accepted_requests(release):
    server = serving.Server(serving.blocked_pipeline(release), max_queue=10)
    codes = []
    threads = in_threads(10, lambda: codes.append(infer(server).status_code))
    wait_until(lambda: server.engine.unanswered == 10)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    time.sleep(0.3)
    with pytest.raises(requests.ConnectionError):
        infer(server)  # no new connections
    release.set()
    stopping.join(30)
    for thread in threads:
        thread.join()
    assert codes == [200] * 10


def test_failed_pipeline_is_not_ready():
    like = np.zeros((1, 8), dtype=np.int8)

    def run(arrays):
        raise ValueError("the device is on fire")

    backend = segue.callable_backend([segue.Port("in", like)], [segue.Port("out", like)], run)
    with serving.serving(serving.callable_pipeline(backend)) as server:
        for _ in range(2):
            answer = infer(server)
            assert answer.status_code == 503 and "on fire" in answer.json()["error"]
        for path in ("live", "ready"):
            assert requests.get(f"{server.url}/v2/health/{path}", timeout=30).status_code == 503


def test_internal_error_hides_details(parts, caplog):
    class Broken(serving.MarkingDetector):
        def decode(self, outputs, transform):
            raise KeyError("secret")

    detector = Broken((1, 64, 64, 3))
    with serving.serving(
        segue.Pipeline(parts), detector=detector, output_names=["conv2d_4"]
    ) as server:
        image = {"image": serving.encoded(serving.picture(1))}
        url = f"{server.url}/v1/vision/detection"
        answer = requests.post(url, files=image, timeout=30)
        assert answer.status_code == 500 and "secret" not in answer.text
        assert "secret" in caplog.text
