"""State of a training on disk: written and read back, damage, other settings."""

import json

import numpy as np
import pytest

from mnas.errors import UsageError
from mnas.files import write_arrays
from mnas.training import checkpoint
from mnas.training.checkpoint import Checkpoint, Epoch

SETTINGS = {"training": {"epochs": 2, "learning_rate": 0.1}, "seed": 3}
STATE = Checkpoint(
    SETTINGS,
    [Epoch(1, 2.5, 0.25), Epoch(2, 1.5, 0.5)],
    [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int32), np.zeros((0, 2))],
)


@pytest.fixture
def path(tmp_path):
    STATE.write(tmp_path / "checkpoint.npz")
    return tmp_path / "checkpoint.npz"


def test_what_was_written_is_read(path):
    read = Checkpoint.read(path)
    assert (read.settings, read.history) == (SETTINGS, STATE.history)
    for one, other in zip(read.leaves, STATE.leaves, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    read.check_state(STATE.leaves, path)
    read.check_settings(SETTINGS, path, [])


def test_any_damaged_byte_is_found_or_without_effect(path):
    whole = path.read_bytes()
    rejected = 0
    for position in range(0, len(whole), 5):
        damaged = bytearray(whole)
        damaged[position] ^= 0x11
        path.write_bytes(damaged)
        try:
            read = Checkpoint.read(path)
        except UsageError as error:
            assert str(path) in str(error)
            rejected += 1
        else:  # dates, attributes: bytes that say nothing about the arrays
            assert (read.settings, read.history) == (SETTINGS, STATE.history)
            assert read.leaves[0].tolist() == STATE.leaves[0].tolist()
    assert rejected > 0.8 * len(whole) / 5


def test_a_truncated_file_is_rejected(path):
    whole = path.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UsageError, match=r"checkpoint.npz can't be read as .npz"):
            Checkpoint.read(path)


def crafted(path, head, leaves=STATE.leaves, **others):
    """Write a checkpoint of this content with a matching checksum."""
    arrays = {f"leaf_{index}": leaf for index, leaf in enumerate(leaves)}
    arrays |= {"head": np.array(head), **others}
    write_arrays(path, {**arrays, "sum": np.array(checkpoint._checksum(arrays))})


EPOCH = {"epoch": 1, "loss": 1.0, "accuracy": 0.5}
HEADS = [
    "",
    "not JSON",
    "[" * 100_000,
    "[]",
    "7",
    json.dumps({"settings": {}}),
    json.dumps({"settings": [], "history": []}),
    json.dumps({"settings": {}, "history": {}}),
    json.dumps({"settings": {}, "history": [7]}),
    json.dumps({"settings": {}, "history": [{**EPOCH, "epoch": 2}]}),
    json.dumps({"settings": {}, "history": [{**EPOCH, "epoch": "1"}]}),
    json.dumps({"settings": {}, "history": [{**EPOCH, "loss": None}]}),
    json.dumps({"settings": {}, "history": [{**EPOCH, "loss": float("nan")}]}),
    json.dumps({"settings": {}, "history": [{**EPOCH, "more": 1}]}),
]


@pytest.mark.parametrize("head", HEADS, ids=range(len(HEADS)))
def test_a_head_of_another_kind_is_rejected(path, head):
    crafted(path, head)
    with pytest.raises(UsageError, match=r"checkpoint.npz"):
        Checkpoint.read(path)


def test_arrays_of_another_kind_are_rejected(path):
    head = json.dumps({"settings": SETTINGS, "history": []})
    crafted(path, head, extra=np.zeros(1))
    with pytest.raises(UsageError, match=r"checkpoint.npz is damaged: it has the arrays .*extra"):
        Checkpoint.read(path)
    crafted(path, np.arange(3))
    with pytest.raises(UsageError, match=r"checkpoint.npz: head is not JSON"):
        Checkpoint.read(path)
    for leaves in (STATE.leaves[:2], [*STATE.leaves[:2], np.zeros((1, 2))], STATE.leaves[::-1]):
        crafted(path, head, leaves)
        with pytest.raises(UsageError, match="its arrays are not those of the network"):
            Checkpoint.read(path).check_state(STATE.leaves, path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 4}, r"seed was 3 and is 4 now; accepted: 3, or another directory"),
        ({"training": {"epochs": 4, "learning_rate": 0.1}}, r"training\.epochs was 2 and is 4 now"),
        ({"training": {"epochs": 2}}, r"training\.learning_rate was 0.1 and is None now"),
        ({"more": 1}, "more was None and is 1 now"),
    ],
)
def test_the_setting_that_differs_is_named(path, changed, message):
    with pytest.raises(UsageError, match=f"checkpoint.npz: {message}"):
        Checkpoint.read(path).check_settings({**SETTINGS, **changed}, path, [])


def test_free_settings_may_differ(path):
    changed = {**SETTINGS, "training": {"epochs": 4, "learning_rate": 0.1}}
    Checkpoint.read(path).check_settings(changed, path, ["training.epochs"])
