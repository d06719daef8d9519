"""Runs the Python examples as users do."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHARED = EXAMPLES.parent.parent / "shared"


def run(name, *arguments):
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sweep_prints_a_plan_per_tpu_count():
    output = run("sweep.py", "zoo:conv5-f512", "zoo:resnet50")
    assert output.startswith("zoo:conv5-f512 (simulated)\n  1 TPUs:")
    assert "zoo:resnet50 (simulated)" in output and "8 TPUs:" in output


def test_whole_model_classifies_a_folder(tmp_path):
    image = pytest.importorskip("PIL.Image")
    random = np.random.default_rng(1)
    for i in range(3):
        pixels = random.integers(0, 256, (50, 70, 3), dtype=np.uint8)
        image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("no image")
    output = run("classify_images.py", "zoo:mobilenetv2@96", tmp_path, "--tpus", "3")
    lines = output.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["0.png", "1.png", "2.png"]
    assert lines[3].startswith("3 images, ") and lines[3].endswith("(measured)")


def test_segments_classify_like_the_whole_model(tmp_path):
    image = pytest.importorskip("PIL.Image")
    import segue

    model = segue.open_model("zoo:mobilenetv2@96")
    segue.split(model, segue.plan(model, 2, "balanced"), tmp_path / "parts")
    image.new("RGB", (30, 20), "red").save(tmp_path / "red.png")
    whole = run("classify_images.py", "zoo:mobilenetv2@96", tmp_path)
    assert run("classify_images.py", tmp_path / "parts", tmp_path).split(":")[1][:12] == whole.split(":")[1][:12]


def test_real_model_classifies_a_cat(tmp_path):
    pytest.importorskip("PIL.Image")
    model = SHARED / "models" / "mobilenet_v2_1.0_224_quant.tflite"
    picture = SHARED / "images" / "cat.bmp"
    if not model.exists() or not picture.exists():
        pytest.skip(f"{model} or {picture} is not here")
    (tmp_path / picture.name).symlink_to(picture)
    output = run("classify_images.py", model, tmp_path)
    # Classes 282 to 287 with a background class are cats.
    assert any(f"class {number}\n" in output for number in range(282, 288)), output
