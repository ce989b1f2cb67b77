"""State of a training on disk: written and read back, damage, other settings, the newest kept."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorstore

from mnas.errors import UsageError
from mnas.training import checkpoint
from mnas.training.checkpoint import Checkpoint, CheckpointConfig, Epoch, newest

SETTINGS = {"training": {"epochs": 2, "learning_rate": 0.1}, "seed": 3}
LEAVES = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int32), np.ones((1, 2))]
STATE = Checkpoint(SETTINGS, [Epoch(1, 2.5, 0.25), Epoch(2, 1.5, 0.5)], [0.1, 0.7], LEAVES)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return STATE.write(tmp_path_factory.mktemp("written") / "checkpoints", keep=2)


@pytest.fixture
def path(written, tmp_path):
    """A copy of the checkpoint, to be damaged."""
    return Path(shutil.copytree(written, tmp_path / written.name))


def files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file())


def read(path: Path) -> Checkpoint:
    return Checkpoint.read(path).with_leaves(path, LEAVES)


def assert_same(found: Checkpoint) -> None:
    assert (found.settings, found.history) == (SETTINGS, STATE.history)
    assert found.losses == STATE.losses
    for one, other in zip(found.leaves, LEAVES, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_what_was_written_is_read(written):
    assert written.name == "000002-000000002"
    assert_same(read(written))
    Checkpoint.read(written).check_settings(SETTINGS, written, [])


def test_only_the_newest_are_kept_and_what_a_killed_process_left_is_removed(tmp_path):
    directory = tmp_path / "checkpoints"
    assert newest(directory) is None
    (directory / ".000001-000000003.tmp" / "state").mkdir(parents=True)
    for epochs, steps in ((0, 900), (0, 1000), (1, 0), (10, 0)):
        history = [Epoch(number, 1.0, 0.5) for number in range(1, epochs + 1)]
        state = Checkpoint(SETTINGS, history, [0.5] * steps, LEAVES)
        path = state.write(directory, keep=2)
        assert newest(directory) == path
    assert sorted(os.listdir(directory)) == ["000001-000000000", "000010-000000000"]


def test_a_checkpoint_that_is_there_is_not_written_again(path):
    before = files(path)
    times = [file.stat().st_mtime_ns for file in before]
    assert STATE.write(path.parent, keep=2) == path
    assert [file.stat().st_mtime_ns for file in files(path)] == times


def test_any_damaged_byte_is_found(path):
    # Also bytes that say nothing about the arrays: each file is compared as a whole.
    for file in files(path):
        whole = file.read_bytes()
        for position in range(0, len(whole), max(1, len(whole) // 12)):
            damaged = bytearray(whole)
            damaged[position] ^= 0x11
            file.write_bytes(damaged)
            with pytest.raises(UsageError, match=f"{path}"):
                read(path)
        file.write_bytes(whole)
    assert_same(read(path))


def test_truncated_missing_and_additional_files_are_named(path):
    for file in files(path):
        whole = file.read_bytes()
        for length in {0, len(whole) // 2, max(0, len(whole) - 2)} - {len(whole)}:
            file.write_bytes(whole[:length])
            with pytest.raises(UsageError, match=f"{path}"):
                read(path)
        file.unlink()
        with pytest.raises(UsageError, match=file.name):
            read(path)
        file.write_bytes(whole)
    (path / "state" / "more").write_text("")
    with pytest.raises(UsageError, match="state/more is not of the checkpoint"):
        read(path)


def test_links_and_pipes_in_place_of_files_are_rejected(path):
    file = path / "state" / "manifest.ocdbt"
    content = file.read_bytes()
    (path.parent / "elsewhere").write_bytes(content)
    file.unlink()
    file.symlink_to(path.parent / "elsewhere")
    with pytest.raises(UsageError, match=r"state/manifest.ocdbt is not what was written"):
        read(path)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(UsageError, match=r"state/manifest.ocdbt is not what was written"):
        read(path)


def crafted(path: Path, **changes) -> None:
    """Change the head of a checkpoint, with a matching checksum and the files as they are now."""
    head = json.loads((path / "head.json").read_text())
    state = path / "state"
    content = {name: list(checkpoint._content(file)) for name, file in checkpoint._files(state)}
    head = {**head, "files": content, **changes}
    del head["sum"]
    head["sum"] = checkpoint._checksum(head)
    (path / "head.json").write_text(json.dumps(head))


EPOCH = {"epoch": 1, "loss": 1.0, "accuracy": 0.5}
EPOCHS = [EPOCH, {**EPOCH, "epoch": 2}]
HEADS = [
    {"format": "mnas-checkpoint/0"},
    {"settings": []},
    {"files": []},
    {"history": {}},
    {"history": [7, 7]},
    {"history": [{**EPOCH, "epoch": 2}, EPOCH]},
    {"history": [{**EPOCH, "epoch": "1"}, EPOCHS[1]]},
    {"history": [{**EPOCH, "loss": None}, EPOCHS[1]]},
    {"history": [{**EPOCH, "more": 1}, EPOCHS[1]]},
    {"history": [EPOCH]},
    {"losses": {}},
    {"losses": [0.1, None]},
    {"losses": [0.1]},
]


@pytest.mark.parametrize("changes", HEADS, ids=range(len(HEADS)))
def test_a_head_of_another_kind_is_rejected(path, changes):
    crafted(path)
    assert_same(read(path))
    crafted(path, **changes)
    with pytest.raises(UsageError, match=f"{path} is damaged"):
        read(path)


@pytest.mark.parametrize("text", ["", "not JSON", "[" * 100_000, "[]", "7", "{}"])
def test_a_head_that_is_none_is_rejected(path, text):
    (path / "head.json").write_text(text)
    with pytest.raises(UsageError, match=f"{path}"):
        read(path)


def test_arrays_of_another_kind_are_rejected_before_they_are_read(path, tmp_path):
    for leaves in (LEAVES[:2], [*LEAVES, LEAVES[0]], [LEAVES[0].T, *LEAVES[1:]], LEAVES[::-1]):
        with pytest.raises(UsageError, match="its arrays are not those of the network"):
            Checkpoint.read(path).with_leaves(path, leaves)


def test_crafted_files_of_arrays_are_rejected_in_one_line(path):
    for file in files(path / "state"):
        whole = file.read_bytes()
        for content in (b"", b"{}", whole[: len(whole) // 2], whole[::-1]):
            file.write_bytes(content)
            crafted(path)
            try:
                assert_same(read(path))  # a file that Orbax doesn't need
            except UsageError as error:
                assert str(path) in str(error)
                assert "\n" not in str(error)
        file.write_bytes(whole)


def test_an_array_that_claims_to_be_huge_is_not_read(path):
    store = tensorstore.KvStore.open(
        {"driver": "ocdbt", "base": f"file://{path.absolute()}/state/"}
    ).result()
    described = json.loads(store["leaf_00000/.zarray"])
    store["leaf_00000/.zarray"] = json.dumps({**described, "shape": [10**6, 10**6]}).encode()
    crafted(path)
    with pytest.raises(UsageError, match="its arrays are not those of the network"):
        read(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 4}, r"seed was 3 and is 4 now; accepted: 3, or another directory"),
        ({"training": {"epochs": 4, "learning_rate": 0.1}}, r"training\.epochs was 2 and is 4 now"),
        ({"training": {"epochs": 2}}, r"training\.learning_rate was 0.1 and is None now"),
        ({"more": 1}, "more was None and is 1 now"),
    ],
)
def test_the_setting_that_differs_is_named(written, changed, message):
    with pytest.raises(UsageError, match=f"000002-000000002: {message}"):
        Checkpoint.read(written).check_settings({**SETTINGS, **changed}, written, [])


def test_free_settings_may_differ(written):
    changed = {**SETTINGS, "training": {"epochs": 4, "learning_rate": 0.1}}
    Checkpoint.read(written).check_settings(changed, written, ["training.epochs"])


@pytest.mark.parametrize(
    ("field", "value"), [("minutes", 0.0), ("steps", 0), ("keep", 0), ("keep", 1.5)]
)
def test_invalid_settings_of_checkpoints_are_rejected_by_name(field, value):
    with pytest.raises(UsageError, match=f"checkpoint: {field} = {value}; accepted"):
        CheckpointConfig(**{field: value})
