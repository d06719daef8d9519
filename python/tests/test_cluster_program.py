"""`python -m segue.cluster` and `segue serve --cluster` on a cluster of two nodes."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from clusters import LocalCluster

import segue


@pytest.fixture(scope="module")
def cluster():
    running = LocalCluster(2)
    yield running
    running.stop()


def run(*words, status=0, **settings):
    command = [sys.executable, "-m", "segue.cluster", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, **settings)
    assert done.returncode == status, done.stderr
    return done


def test_sweep_gives_the_same_bytes(cluster, model, parts, tmp_path):
    file = next(parts.glob("*_segment_0_of_3.tflite"))
    shutil.copy(file, tmp_path / "own.tflite")
    arguments = ["zoo:conv5-f32", "own.tflite", "--tpus", "1..3,4", "--strategies", "optimal,balanced"]
    where = ["--address", cluster.address, "--cache", tmp_path / "cache"]
    run("sweep", *arguments, *where, "-o", tmp_path / "lines", cwd=tmp_path)
    code = (
        "from segue._segue import sweep_lines\n"
        "for line in sweep_lines(['zoo:conv5-f32', 'own.tflite'], [1, 2, 3, 4], ['edgetpu-pcie'],"
        " ['optimal', 'balanced'], 0, '1/1', 1): print(line.rstrip())"
    )
    alone = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path)
    assert (tmp_path / "lines").read_bytes() == alone
    assert len(alone.splitlines()) == 16
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".tflite"]


def test_run_prints_statistics(cluster, model, tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text(segue.plan(model, 2, "balanced").to_json())
    where = ["--address", cluster.address, "--cache", tmp_path / "cache"]
    done = run("run", plan, "--model", "zoo:conv5-f32", "--inputs", 7, "--json", *where,
               "--backend", "simulated", "--time-scale", 3)  # fmt: skip
    printed = json.loads(done.stdout)
    assert printed["results"] == 7
    simulated = [stage.time.total_ns for stage in segue.read_plan(plan).stages]
    for stage, expected in zip(printed["stages"], simulated):
        assert stage["mean_time_ns"] >= 3 * expected
    run("run", plan, *where, status=2)


def test_missing_cluster_is_told(tmp_path, parts):
    done = run("run", parts, "--address", "127.0.0.1:1", status=6)
    assert "ray start --head" in done.stderr and "Traceback" not in done.stderr
    known = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    done = run("run", parts, status=6, env=known)
    assert "no Ray cluster at '127.0.0.1:1'" in done.stderr, done.stderr


def test_without_ray_the_message_names_the_extra(tmp_path):
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError('no ray', name='ray')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = run("run", "parts", status=1, env=environment)
    assert done.stderr == "segue cluster: error: ray is missing; install the wheel with [cluster]\n"
    code = "import segue.cluster\ntry:\n from segue.cluster import sweep\nexcept ImportError as e: print(e)"
    text = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert text == "segue.cluster: ray is missing; install the wheel with [cluster]\n"


def test_serving_runs_on_a_cluster(cluster, images, expected, model, tmp_path):
    serving = pytest.importorskip("serving")
    from test_serve_program import infer, metrics_of

    plan = tmp_path / "plan.json"
    plan.write_text(segue.plan(model, 2, "balanced").to_json())
    with serving.program(plan, "--model", "zoo:conv5-f32", "--cluster", cluster.address,
                         env={**os.environ, "HOME": str(tmp_path)}) as server:  # fmt: skip
        for image in images:
            assert np.array_equal(infer(server, image), expected(image))
        values = metrics_of(server)
    assert values["segue_results_total"] == len(images)
    busy = [key for key in values if key.startswith("segue_device_utilisation_ratio")]
    assert len(busy) == 2 and all('device="cpu ' in key and values[key] > 0 for key in busy), busy


def test_options_of_one_host_are_refused_on_a_cluster(capsys):
    main = pytest.importorskip("segue.serve.__main__").main
    for words, text in (
        (["--cluster", "auto", "--use", "usb:1-1"], "--use names Edge TPUs of this host"),
        (["--compiler-cmd", "true"], "--compiler-cmd needs --cluster"),
    ):
        with pytest.raises(SystemExit):
            main(["parts", *words])
        assert text in capsys.readouterr().err
