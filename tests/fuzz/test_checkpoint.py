"""A damaged checkpoint of a training is rejected, or continued as it was written."""

import io
import json
import zipfile

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.data.images import Images
from mnas.training.config import TrainingConfig
from mnas.training.whole_network import Retraining
from tests.fuzz.archives import npy, zipped
from tests.fuzz.contract import Quiet, read
from tests.fuzz.strategies import ODD_FILES, edited_bytes, edited_json, fewer
from tests.runs import network

CONFIG = TrainingConfig(epochs=2, batch_size=4, ema_decay=0.0)
rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (8, 8, 8, 3), np.uint8)
LABELS = np.arange(8, dtype=np.int32)
IMAGES = Images(PIXELS, LABELS, PIXELS, LABELS, None, None, tuple("0123456789"))


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
    return Quiet((directory, (directory / "checkpoint.npz").read_bytes(), resumed(directory)))


def assert_same(found: Retraining, expected: Retraining) -> None:
    assert found.history == expected.history
    for leaf, other in zip(*map(jax.tree.leaves, (found._state, expected._state)), strict=True):
        np.testing.assert_array_equal(leaf, other)


@fewer
@given(draws=st.data())
def test_damaged_checkpoint(training, draws):
    directory, valid, expected = training
    path = directory / "checkpoint.npz"
    path.write_bytes(draws.draw(st.one_of(edited_bytes(valid), st.sampled_from(ODD_FILES))))
    found = read(lambda: resumed(directory), path)
    if found is not None:
        assert_same(found, expected)


def with_members(valid: bytes, changes: dict[str, bytes | None]) -> bytes:
    """Return the archive with some members replaced, or left out."""
    with zipfile.ZipFile(io.BytesIO(valid)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | changes
    return zipped({name: content for name, content in members.items() if content is not None})


@fewer
@given(draws=st.data())
def test_checkpoint_with_another_head(training, draws):
    directory, valid, expected = training
    path = directory / "checkpoint.npz"
    with np.load(io.BytesIO(valid)) as archive:
        head = json.loads(str(archive["head"]))
    edited = draws.draw(edited_json(head))
    path.write_bytes(with_members(valid, {"head.npy": npy(np.array(json.dumps(edited)))}))
    found = read(lambda: resumed(directory), path)
    if found is not None and edited == head:
        assert_same(found, expected)
    if found is not None:
        epochs = [epoch.epoch for epoch in found.history]
        assert epochs == [*range(1, len(epochs) + 1)]
        assert len(epochs) <= CONFIG.epochs


others = st.sampled_from(
    [None, b"", b"x", npy(np.zeros(3)), npy(np.float32(1)), npy(np.array(None)), npy(np.array("x"))]
)


@fewer
@given(draws=st.data())
def test_checkpoint_with_other_arrays(training, draws):
    directory, valid, expected = training
    path = directory / "checkpoint.npz"
    with zipfile.ZipFile(io.BytesIO(valid)) as archive:
        names = archive.namelist()
    changes = draws.draw(st.dictionaries(st.sampled_from([*names, "leaf_99.npy"]), others))
    path.write_bytes(with_members(valid, changes))
    found = read(lambda: resumed(directory), path)
    if found is not None:
        assert_same(found, expected)
