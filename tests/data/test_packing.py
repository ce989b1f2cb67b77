"""Packing: equal bytes whatever the processes and interruptions; unreadable images; the disk."""

import collections
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from mnas.data import packing, parts
from mnas.data.pack import PackSource
from mnas.data.sources import open_source
from mnas.errors import RunFailure, UsageError
from tests.data.packs import Log, files_of, packed
from tests.data.sets import save_classes, save_idx


@pytest.fixture
def small_parts(monkeypatch):
    """Pack 3 images in a part."""
    monkeypatch.setattr(packing, "PART_ROWS", 3)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with 10 training and 4 test images."""
    save_classes(tmp_path / "in" / "train", count=5)
    save_classes(tmp_path / "in" / "val", count=2)
    return tmp_path / "in"


def test_bytes_do_not_depend_on_the_number_of_processes(folder, tmp_path, small_parts):
    for processes in (1, 2):
        log = Log()
        packed(folder, tmp_path / str(processes), processes=processes, log=log)
        assert log.total == sum(count for count, _ in log.parts) == 14
        assert sorted(log.parts) == [(1, False)] * 2 + [(3, False)] * 4
    assert files_of(tmp_path / "1") == files_of(tmp_path / "2")
    assert {*files_of(tmp_path / "1")} == {
        "pack.json",
        "train_images.npy",
        "train_labels.npy",
        "test_images.npy",
        "test_labels.npy",
    }


@pytest.mark.parametrize("name", ["digits", "idx"])
def test_sources_in_memory_are_packed(tmp_path, name):
    source = name if name == "digits" else str(save_idx(tmp_path / "idx"))
    packed(source, tmp_path / "pack", processes=2)
    expected, found = open_source(source), PackSource(tmp_path / "pack")
    assert found.classes == expected.classes
    indices = np.arange(len(expected.train.labels))
    np.testing.assert_array_equal(found.train.pixels, expected.train.images(indices, 8))
    np.testing.assert_array_equal(found.train.labels, expected.train.labels)


def test_arrays_are_plain_files_of_numpy(folder, tmp_path):
    packed(folder, tmp_path / "pack")
    images, labels = (np.load(tmp_path / "pack" / f"train_{n}.npy") for n in ("images", "labels"))
    assert (images.shape, images.dtype, labels.dtype) == ((10, 8, 8, 3), np.uint8, np.int32)
    assert labels.tolist() == [0] * 5 + [1] * 5


def test_a_packing_is_resumed_to_the_same_bytes(folder, tmp_path, small_parts, monkeypatch):
    packed(folder, tmp_path / "whole")
    for stop in range(6):
        write, calls = parts.Reading._write, iter(range(100))

        def failing(*arguments, write=write, calls=calls, stop=stop):
            if next(calls) == stop:
                raise KeyboardInterrupt
            write(*arguments)

        out = tmp_path / f"stopped{stop}"
        with monkeypatch.context() as patch:
            patch.setattr(parts.Reading, "_write", failing)
            with pytest.raises(KeyboardInterrupt):
                packed(folder, out)
        assert not (out / "pack.json").exists()
        log = Log()
        packed(folder, out, log=log)
        assert [resumed for _, resumed in log.parts] == [True] * stop + [False] * (6 - stop)
        assert files_of(out) == files_of(tmp_path / "whole")


def test_parts_that_were_not_written_whole_are_written_again(
    folder, tmp_path, small_parts, monkeypatch
):
    packed(folder, tmp_path / "whole")
    out = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(packing._Packing, "finish", _interrupted)
        packed(folder, out)
    with open(out / "train_images.npy", "r+b") as file:  # of part 0, as after a power failure
        file.seek(200)
        file.write(b"\0" * 100)
    lines = (out / "packing.jsonl").read_text().splitlines()
    (out / "packing.jsonl").write_text("\n".join([*lines[:3], lines[3][:-9]]))
    log = Log()
    packed(folder, out, log=log)
    assert [resumed for _, resumed in log.parts] == [False, True, False, False, False, False]
    assert files_of(out) == files_of(tmp_path / "whole")


def _interrupted(*_):
    raise KeyboardInterrupt


def test_a_finished_pack_is_left_as_it_is(folder, tmp_path):
    first = packed(folder, tmp_path / "pack")
    before = files_of(tmp_path / "pack")
    log = Log()
    assert packed(folder, tmp_path / "pack", log=log) == first
    assert log.total is None
    assert files_of(tmp_path / "pack") == before


def test_another_pack_is_not_overwritten(folder, tmp_path):
    packed(folder, tmp_path / "pack")
    before = files_of(tmp_path / "pack")
    with pytest.raises(
        UsageError, match=r"holds a pack of other images or settings \(resolution\)"
    ):
        packed(folder, tmp_path / "pack", resolution=4)
    Image.new("RGB", (8, 8)).save(folder / "train" / "cat" / "0.png")
    with pytest.raises(
        UsageError, match=r"other images or settings \(origin\); accepted: the same"
    ):
        packed(folder, tmp_path / "pack")
    assert files_of(tmp_path / "pack") == before


def test_other_files_are_not_touched(folder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds other files; accepted: a new or empty directory"):
        packed(folder, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_unreadable_images_are_told_and_left_out_on_demand(folder, tmp_path, small_parts):
    for name in ("train/cat/1.png", "train/dog/4.png", "val/cat/0.png"):
        (folder / name).write_bytes(b"no image")
    log = Log()
    with pytest.raises(UsageError, match=r"3 images of .* can't be read .*--skip-unreadable"):
        packed(folder, tmp_path / "pack", log=log, processes=2)
    assert len(log.causes) == 3 and any("1.png" in cause for cause in log.causes)
    pack = packed(folder, tmp_path / "pack", skip_unreadable=True)
    left_out = [(item.split, item.index) for item in pack.left_out]
    assert left_out == [("train", 1), ("train", 9), ("test", 0)]
    source, found = open_source(str(folder)), PackSource(tmp_path / "pack")
    assert found.damaged() == []
    assert "left out: 2 unreadable images" not in found.describe()
    assert "3 unreadable images" in found.describe()
    kept = np.delete(np.arange(10), [1, 9])
    np.testing.assert_array_equal(found.train.labels, source.train.labels[kept])
    np.testing.assert_array_equal(found.train.pixels, source.train.images(kept, 8))
    np.testing.assert_array_equal(found.test.labels, source.test.labels[1:])
    packed(folder, tmp_path / "again", skip_unreadable=True, processes=2)
    assert files_of(tmp_path / "pack") == files_of(tmp_path / "again")


def test_a_source_of_which_nothing_can_be_read_is_rejected(tmp_path):
    save_classes(tmp_path / "in", count=2)
    for path in (tmp_path / "in").rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"no image of .* \(train\) can be read"):
        packed(tmp_path / "in", tmp_path / "pack", skip_unreadable=True)


def test_a_full_disk_is_found_before_anything_is_written(folder, tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 14 * 192 - 1))
    with pytest.raises(UsageError, match=r"the pack needs 0.00 GB in .*; accepted: a lower reso"):
        packed(folder, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resolution": 0}, "resolution = 0"),
        ({"resolution": 4097}, "resolution = 4097"),
        ({"processes": 0}, "processes = 0"),
    ],
)
def test_settings_are_checked(tmp_path, settings, message):
    with pytest.raises(UsageError, match=rf"^data: {message}; accepted: "):
        packed("digits", tmp_path / "pack", **settings)


def test_a_second_packing_of_a_directory_is_rejected(folder, tmp_path, monkeypatch):
    finish = packing._Packing.finish

    def second(*arguments):
        with pytest.raises(UsageError, match=r"is writing this pack"):
            packed(folder, tmp_path / "pack")
        return finish(*arguments)

    monkeypatch.setattr(packing._Packing, "finish", second)
    packed(folder, tmp_path / "pack")
    assert PackSource(tmp_path / "pack").damaged() == []


def test_a_lost_process_is_told(folder, tmp_path, small_parts, monkeypatch):
    monkeypatch.setattr(parts, "_run", _ends)
    with pytest.raises(RunFailure, match=r"one of 2 reading processes was killed"):
        packed(folder, tmp_path / "pack", processes=2)


def _ends(*_):
    os._exit(1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_command_is_resumed_to_the_same_bytes(tmp_path, number):
    save_classes(tmp_path / "in", count=550)
    packed(tmp_path / "in", tmp_path / "whole")
    words = ["data", "pack", "in", "out", "--resolution", "8", "--processes", "2"]
    command = [sys.executable, "-m", "mnas", *words]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "out" / "packing.jsonl"
    while process.poll() is None and not (journal.exists() and journal.read_text().count("\n") > 1):
        time.sleep(0.01)
    process.send_signal(number)
    error = process.communicate()[1]
    if number == signal.SIGTERM and process.returncode:
        assert process.returncode == 143
        assert "to continue: mnas data pack in out --resolution 8 --processes 2" in error
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
