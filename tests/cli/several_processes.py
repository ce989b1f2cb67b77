"""Data and flags of trainings by several processes, in a directory of their own."""

import json

import numpy as np
import pytest

from tests.cli.test_train import SPEC

FLAGS = ["--data", "x.npz", "--validation", "8", "--batch-size", "8", "--resolution", "8"]


@pytest.fixture
def training_data(tmp_path, monkeypatch):
    """Work in a directory with the network `tiny.json` and the images of `FLAGS`."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 8, 8, 3), np.uint8)
    np.savez("x.npz", x_train=pixels, y_train=np.arange(48) % 10)
    with open("tiny.json", "w") as file:
        json.dump(SPEC, file)
