"""`segue serve --plan set.json`: several models on the devices that they share."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import segue
import serving
from segue.serve.__main__ import main

requests = pytest.importorskip("requests", reason="requests is not installed")

SOURCES = {"conv5-f32": "zoo:conv5-f32", "mobilenet@64": "zoo:mobilenet@64"}


@pytest.fixture(scope="module")
def set_json(tmp_path_factory):
    demands = [segue.Demand(SOURCES["conv5-f32"], rate_per_s=20), segue.Demand(SOURCES["mobilenet@64"])]
    file = tmp_path_factory.mktemp("set") / "set.json"
    file.write_text(segue.plan_set(demands, "1xedgetpu-pcie").to_json())
    return file


def infer(server, name, image):
    tensor = requests.get(f"{server.url}/v2/models/{name}", timeout=30).json()["inputs"][0]
    body = {"inputs": [{**tensor, "data": image.ravel().tolist()}]}
    answer = requests.post(f"{server.url}/v2/models/{name}/infer", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    return np.array(output["data"], np.int8).reshape(output["shape"])


def image_for(model, seed):
    random = np.random.default_rng(seed)
    return random.integers(-128, 128, model.inputs[0].shape, dtype=np.int8)


def test_each_model_answers_by_its_name(set_json):
    with serving.program("--plan", set_json) as server, ThreadPoolExecutor(4) as pool:
        assert server.model == "conv5-f32, mobilenet@64"
        asked = []
        for seed in range(6):
            for name, source in SOURCES.items():
                model = segue.open_model(source)
                image = image_for(model, seed)
                expected = segue.open_session(model, segue.cpu_backend()).run([image])[0]
                asked.append((expected, pool.submit(infer, server, name, image)))
        for expected, answer in asked:
            assert np.array_equal(answer.result(), expected)
        assert requests.get(f"{server.url}/v2/health/ready", timeout=30).status_code == 200
        listed = requests.post(f"{server.url}/v1/vision/custom/list", timeout=30).json()
        assert listed["models"] == list(SOURCES)
        unknown = requests.get(f"{server.url}/v2/models/other", timeout=30)
        assert unknown.status_code == 404
        assert "this is conv5-f32, mobilenet@64" in unknown.text


def test_metrics_have_model_as_label(set_json):
    with serving.program("--plan", set_json) as server:
        for name, source in SOURCES.items():
            for seed in range(3 if name == "mobilenet@64" else 1):
                infer(server, name, image_for(segue.open_model(source), seed))
        text = requests.get(f"{server.url}/metrics", timeout=30).text
    lines = text.splitlines()
    assert 'segue_results_total{model="conv5-f32"} 1.0' in lines
    assert 'segue_results_total{model="mobilenet@64"} 3.0' in lines
    assert 'segue_requests_total{code="200",model="mobilenet@64",protocol="oip"} 3.0' in lines
    assert len([line for line in lines if line.startswith("# TYPE segue_results")]) == 1


@pytest.mark.parametrize(
    "words",
    [["--plan", "set.json", "--model", "m.tflite"], ["--plan", "set.json", "DIR"], []],
)
def test_options_of_single_models_are_refused(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "--plan" in capsys.readouterr().err


def test_missing_set_is_an_error(tmp_path, capsys):
    assert main(["--plan", str(tmp_path / "set.json"), "--port", "0"]) == 1
    assert "set.json" in capsys.readouterr().err
