"""A damaged checkpoint of a training is rejected, or continued as it was written."""

import hashlib
import json
import types
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.data.images import Images, Subset
from mnas.training.checkpoint import Epoch
from mnas.training.config import TrainingConfig
from mnas.training.whole_network import Retraining
from tests.fuzz.contract import Quiet, read
from tests.fuzz.strategies import ODD_FILES, edited_bytes, edited_json, fewer
from tests.runs import network

CONFIG = TrainingConfig(epochs=2, batch_size=4, ema_decay=0.0)
rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (8, 8, 8, 3), np.uint8)
LABELS = np.arange(8, dtype=np.int32)
SUBSET = Subset.of(PIXELS, LABELS)
SOURCE = types.SimpleNamespace(digest=lambda: "random pixels")
IMAGES = Images(SUBSET, SUBSET, None, tuple("0123456789"), SOURCE)


def resumed(directory) -> Retraining:
    return Retraining(network(), IMAGES, CONFIG, 0, directory)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """The directory of a training of one epoch, its checkpoint and the training as resumed."""
    directory = tmp_path_factory.mktemp("fuzz")

    def stop(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resumed(directory).run(stop)
    (path,) = (directory / "checkpoints").iterdir()
    return Quiet((directory, path, resumed(directory)))


def assert_same(found: Retraining, expected: Retraining) -> None:
    assert found.history == expected.history
    for leaf, other in zip(*map(jax.tree.leaves, (found._state, expected._state)), strict=True):
        np.testing.assert_array_equal(leaf, other)


def files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file())


@fewer
@given(draws=st.data())
def test_damaged_checkpoint(training, draws):
    directory, path, expected = training
    file = draws.draw(st.sampled_from(files(path)))
    valid = file.read_bytes()
    try:
        file.write_bytes(draws.draw(st.one_of(edited_bytes(valid), st.sampled_from(ODD_FILES))))
        found = read(lambda: resumed(directory), path)
    finally:
        file.write_bytes(valid)
    if found is not None:
        assert_same(found, expected)


def signed(head: Any) -> str:
    """Return the text of a head with the checksum that belongs to it."""
    if isinstance(head, dict):
        head = {key: value for key, value in head.items() if key != "sum"}
        head["sum"] = hashlib.sha256(json.dumps(head, sort_keys=True).encode()).hexdigest()
    return json.dumps(head)


@fewer
@given(draws=st.data())
def test_checkpoint_with_another_head(training, draws):
    directory, path, expected = training
    file = path / "head.json"
    valid = file.read_text()
    head = json.loads(valid)
    edited = draws.draw(edited_json(head))
    try:
        file.write_text(signed(edited))
        found = read(lambda: resumed(directory), path)
    finally:
        file.write_text(valid)
    if found is not None:
        epochs = [epoch.epoch for epoch in found.history]
        assert epochs == [1]
        assert all(isinstance(epoch, Epoch) for epoch in found.history)
        if edited == head:
            assert_same(found, expected)


@fewer
@given(draws=st.data())
def test_checkpoint_with_other_files_of_arrays(training, draws):
    directory, path, _ = training
    file = draws.draw(st.sampled_from(files(path / "state")))
    head, valid = (path / "head.json").read_text(), file.read_bytes()
    content = draws.draw(st.one_of(edited_bytes(valid), st.sampled_from(ODD_FILES)))
    described = json.loads(head)
    name = file.relative_to(path / "state").as_posix()
    described["files"][name] = [len(content), hashlib.sha256(content).hexdigest()]
    try:
        file.write_bytes(content)
        (path / "head.json").write_text(signed(described))
        read(lambda: resumed(directory), path)
    finally:
        file.write_bytes(valid)
        (path / "head.json").write_text(head)
