import os
from pathlib import Path

import numpy as np
import pytest

import segue

SMALL = "zoo:conv5-f32"


@pytest.fixture(scope="session")
def model() -> segue.Model:
    return segue.open_model(SMALL)


@pytest.fixture(scope="session")
def parts(model: segue.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three segments with their plan."""
    folder = tmp_path_factory.mktemp("parts")
    segue.split(model, segue.plan(model, 3, "balanced"), folder)
    return folder


@pytest.fixture
def images() -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [random.integers(-128, 128, (1, 64, 64, 3), dtype=np.int8) for _ in range(6)]


@pytest.fixture(scope="session")
def expected(model: segue.Model):
    """The outputs of the whole model."""
    session = segue.open_session(model, segue.cpu_backend())
    return lambda image: session.run([image])[0]


@pytest.fixture
def stand_ins(monkeypatch):
    """Backends for the devices of the stand-in for libedgetpu."""
    if "SEGUE_TEST_STAND_IN" not in os.environ:
        pytest.skip("SEGUE_TEST_STAND_IN names no stand-in for libedgetpu; scripts/test builds it")
    monkeypatch.setenv("SEGUE_EDGETPU_LIB", os.environ["SEGUE_TEST_STAND_IN"])
    return [segue.edgetpu_backend(name) for name, _ in segue.edgetpu_devices()]
