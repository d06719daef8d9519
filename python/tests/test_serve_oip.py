"""Tests Open Inference Protocol v2 with NVIDIA's client and with handwritten requests."""

import json
import re
import threading

import numpy as np
import pytest

import segue
import serving

requests = pytest.importorskip("requests", reason="requests is not installed")
triton = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")

from tritonclient.utils import InferenceServerException


@pytest.fixture(scope="module")
def server(parts):
    with serving.serving(segue.Pipeline(parts)) as server:
        yield server


@pytest.fixture
def client(server):
    client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    yield client
    client.close()


def tensor_of(image, binary=True):
    tensor = triton.InferInput("input_1", list(image.shape), "INT8")
    tensor.set_data_from_numpy(image, binary_data=binary)
    return tensor


def infer(server, body, **headers):
    url = f"{server.url}/v2/models/small/infer"
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(url, data=data, headers=headers, timeout=30)


def test_tritonclient_describes_server_and_model(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("small")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    model = client.get_model_metadata("small")
    assert model["inputs"] == [{"name": "input_1", "datatype": "INT8", "shape": [1, 64, 64, 3]}]
    assert model["outputs"][0]["shape"] == [1, 64, 64, 32]
    assert client.get_model_metadata("small", "1") == model
    assert not client.is_model_ready("other") and not client.is_model_ready("small", "2")


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("output", ["all", "binary", "json"])
def test_tritonclient_result_matches_whole_model(client, images, expected, binary_in, output):
    wanted = [triton.InferRequestedOutput("conv2d_4", binary_data=output == "binary")]
    for image in images[:2]:
        result = client.infer(
            "small",
            [tensor_of(image, binary_in)],
            outputs=None if output == "all" else wanted,
            request_id="seven",
        )
        assert np.array_equal(result.as_numpy("conv2d_4"), expected(image))
        response = result.get_response()
        assert response["id"] == "seven" and response["model_name"] == "small"


def test_parallel_requests_get_own_results(server, images, expected):
    client = triton.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=4)
    asked = [client.async_infer("small", [tensor_of(image)]) for image in images * 2]
    for image, answer in zip(images * 2, asked):
        assert np.array_equal(answer.get_result().as_numpy("conv2d_4"), expected(image))
    client.close()


def test_tritonclient_gets_error_reason(client, images):
    with pytest.raises(InferenceServerException, match=r"must be INT8 \[1, 64, 64, 3\]"):
        client.infer("small", [tensor_of(images[0][:, :32])])
    with pytest.raises(InferenceServerException, match="no model 'large'"):
        client.infer("large", [tensor_of(images[0])])
    with pytest.raises(InferenceServerException, match="compressed"):
        client.infer("small", [tensor_of(images[0])], request_compression_algorithm="gzip")
    wanted = [triton.InferRequestedOutput("conv2d_4", class_count=3)]
    with pytest.raises(InferenceServerException, match="'sequence_id'.*not supported"):
        client.infer("small", [tensor_of(images[0])], sequence_id=3, sequence_start=True)
    with pytest.raises(InferenceServerException, match="'classification'.*not supported"):
        client.infer("small", [tensor_of(images[0])], outputs=wanted)


def small_input(**changes):
    tensor = {"name": "in", "shape": [1, 8], "datatype": "INT8", "data": list(range(8)), **changes}
    return {key: value for key, value in tensor.items() if value is not None}


@pytest.fixture(scope="module")
def copying():
    """A server of a model that copies 8 numbers."""
    release = threading.Event()
    release.set()
    with serving.serving(serving.blocked_pipeline(release)) as server:
        yield server


def test_json_values_come_back(copying):
    for data in (list(range(8)), [list(range(8))], [[-128, 127, 0, 1, 2, 3, 4, 5]]):
        answer = infer(copying, {"inputs": [small_input(data=data)]})
        assert answer.status_code == 200
        assert answer.json()["outputs"][0]["data"] == list(np.ravel(data))


@pytest.mark.parametrize(
    "body, reason",
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be a JSON object"),
        ({}, r"input \['in'\] is missing"),
        ({"inputs": {}}, "'inputs' must be a list"),
        ({"inputs": [3]}, "'inputs' must name each of"),
        ({"inputs": [small_input(), small_input()]}, "at most once"),
        ({"inputs": [small_input(name="other")]}, "not 'other'"),
        ({"inputs": [small_input(datatype="UINT8")]}, r"must be INT8 \[1, 8\], not 'UINT8'"),
        ({"inputs": [small_input(shape=[8])]}, r"must be INT8 \[1, 8\], not 'INT8' \[8\]"),
        ({"inputs": [small_input(shape=[1, -8])]}, "must be INT8"),
        ({"inputs": [small_input(data=None)]}, "has 0 values"),
        ({"inputs": [small_input(data=[1] * 7)]}, "has 7 values"),
        ({"inputs": [small_input(data=[[1, 2], [3]])]}, "'data' of input 'in'"),
        ({"inputs": [small_input(data=[1.5] * 8)]}, "not INT8"),
        ({"inputs": [small_input(data=[True] * 8)]}, "not INT8"),
        ({"inputs": [small_input(data=["1"] * 8)]}, "not INT8"),
        ({"inputs": [small_input(data=[128] * 8)]}, "has 128 to 128, INT8 holds -128 to 127"),
        ({"inputs": [small_input(data=[10**40] * 8)]}, "not INT8"),
        ({"inputs": [small_input(data="x" * 8)]}, "has 0 values"),
        ({"inputs": [small_input(parameters=[])]}, "must be an object"),
        ({"inputs": [small_input(parameters={"shared_memory_region": "a"})]}, "not supported"),
        (
            {"inputs": [small_input(data=None, parameters={"binary_data_size": 8})]},
            "0 bytes follow",
        ),
        ({"inputs": [small_input(parameters={"binary_data_size": 8})]}, "binary_data_size is 8"),
        ({"inputs": [small_input()], "outputs": [{"name": "nope"}]}, "'outputs' must name"),
        ({"inputs": [small_input()], "id": 3}, "'id' must be a string"),
    ],
)
def test_invalid_request_is_refused(copying, body, reason):
    answer = infer(copying, body)
    assert answer.status_code == 400, answer.text
    assert re.search(reason, answer.json()["error"])
    assert infer(copying, {"inputs": [small_input()]}).status_code == 200


@pytest.mark.parametrize(
    "length, extra, reason",
    [
        ("x", b"12345678", "inference-header-content-length is 'x'"),
        ("-1", b"12345678", "inference-header-content-length is '-1'"),
        ("0", b"12345678", "inference-header-content-length is '0'"),
        ("999999", b"12345678", "is '999999', but the body has"),
        ("9" * 4000, b"12345678", "inference-header-content-length is '9999"),
        (None, b"1234567", "binary_data_size is 8 and 7 bytes follow"),
        (None, b"123456789", "1 bytes follow the last input"),
    ],
)
def test_wrong_binary_size_is_refused(copying, length, extra, reason):
    tensor = small_input(data=None, parameters={"binary_data_size": 8})
    head = json.dumps({"inputs": [tensor]}).encode()
    header = {"Inference-Header-Content-Length": length or str(len(head))}
    answer = infer(copying, head + extra, **header)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


def test_bool_bytes_other_than_0_and_1_are_refused():
    like = np.zeros((1, 4), dtype=np.bool_)
    backend = segue.callable_backend(
        [segue.Port("in", like)], [segue.Port("out", like)], lambda arrays: [~arrays[0]]
    )
    tensor = {"name": "in", "shape": [1, 4], "datatype": "BOOL"}
    with serving.serving(serving.callable_pipeline(backend)) as server:
        answer = infer(server, {"inputs": [{**tensor, "data": [True, False, False, True]}]})
        assert answer.json()["outputs"][0]["data"] == [False, True, True, False]
        head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": 4}}]}).encode()
        header = {"Inference-Header-Content-Length": str(len(head))}
        answer = infer(server, head + b"\1\0\0\1", **header)
        assert answer.json()["outputs"][0]["data"] == [False, True, True, False]
        answer = infer(server, head + b"\1\0\2\1", **header)
        assert answer.status_code == 400 and "other than 0 and 1" in answer.json()["error"]


def test_nan_output_requires_binary():
    like = np.zeros((1, 2), dtype=np.float32)
    value = np.array([[np.nan, np.inf]], dtype=np.float32)
    backend = segue.callable_backend(
        [segue.Port("in", like)], [segue.Port("out", like)], lambda arrays: [value]
    )
    pipeline = serving.callable_pipeline(backend)
    body = {"inputs": [{"name": "in", "shape": [1, 2], "datatype": "FP32", "data": [0, 1]}]}
    with serving.serving(pipeline) as server:
        answer = infer(server, body)
        assert answer.status_code == 400 and "ask for binary data" in answer.json()["error"]
        answer = infer(server, {**body, "parameters": {"binary_data_output": True}})
        length = int(answer.headers["Inference-Header-Content-Length"])
        values = np.frombuffer(answer.content[length:], np.float32)
        assert np.isnan(values[0]) and np.isinf(values[1])


def test_unknown_path_or_method_is_refused(copying):
    for method, path, status in (
        ("GET", "/v2/models/small/infer", 405),
        ("POST", "/v2/models/other/infer", 404),
        ("POST", "/v2/models/small/versions/2/infer", 404),
        ("GET", "/elsewhere", 404),
    ):
        answer = requests.request(method, copying.url + path, timeout=30)
        assert answer.status_code == status and answer.json()["error"]
