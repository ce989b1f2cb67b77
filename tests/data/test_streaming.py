"""Orders of batches, and reading ahead by threads and processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mnas.data.images import Subset
from mnas.data.streaming import FixedOrder, Stream, TrainingOrder

ROOT = Path(__file__).parents[2]
IMAGES = np.random.default_rng(0).integers(0, 256, (11, 4, 4, 3), np.uint8)
SUBSET = Subset.of(IMAGES, np.arange(11))


def test_an_epoch_has_every_image_at_most_once_and_epochs_differ():
    order = TrainingOrder(11, 4, seed=0)
    assert order.steps == 2
    epochs = [
        np.concatenate([order.positions(epoch * 2 + step) for step in range(2)])
        for epoch in range(5)
    ]
    assert all(len({*epoch.tolist()}) == 8 and epoch.dtype == np.int32 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5
    assert TrainingOrder(11, 4, seed=1).positions(0).tolist() != epochs[0][:4].tolist()
    # The order that proxy training has always had.
    expected = np.random.default_rng([0, *b"order", 3]).permutation(11)[:8]
    np.testing.assert_array_equal(epochs[2], expected)


def test_a_stream_yields_batches_in_order_from_any_number():
    order = FixedOrder(np.arange(10).reshape(5, 2))
    for first in (0, 3, 5):
        stream = Stream(SUBSET, order, first)
        batches = list(stream)
        stream.close()
        np.testing.assert_array_equal(
            np.array(batches).reshape(-1, 4, 4, 3), IMAGES[2 * first : 10]
        )


def test_an_unreadable_image_ends_the_stream_with_its_error():
    class Damaged:
        labels = np.zeros(11, np.int32)

        def images(self, indices, resolution):
            if 5 in indices:
                raise ValueError("image 5 can't be read")
            return IMAGES[indices]

    stream = Stream(Subset(Damaged(), np.arange(11), 4), FixedOrder(np.arange(10).reshape(5, 2)))
    np.testing.assert_array_equal(next(stream), IMAGES[:2])
    np.testing.assert_array_equal(next(stream), IMAGES[2:4])
    with pytest.raises(ValueError, match="image 5 can't be read"):
        next(stream)
    stream.close()


PROGRAM = """
import multiprocessing, sys, time
import numpy as np
from mnas.data.images import DataConfig, load
from mnas.data.streaming import Stream, TrainingOrder

if __name__ == "__main__":
    images = load(DataConfig(sys.argv[1], validation=4), 4)
    order = TrainingOrder(len(images.train), 8, seed=0)
    stream = Stream(images.train, order, first=3, readers=2)
    for number in range(3, 25):
        np.testing.assert_array_equal(next(stream), images.train.take(order.positions(number)))
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    if sys.argv[2] == "close":
        stream.close()
        print(len(multiprocessing.active_children()))
    elif sys.argv[2] == "sleep":
        time.sleep(60)
"""


def start(tmp_path, end):
    pixels = np.random.default_rng(1).integers(0, 256, (44, 4, 4, 3), np.uint8)
    np.savez(tmp_path / "x.npz", train_images=pixels, train_labels=np.arange(44) % 2)
    (tmp_path / "program.py").write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "x.npz"), end],
        **{"cwd": ROOT, "env": {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_running(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_reader_processes_yield_the_same_batches_and_end_with_the_stream(tmp_path):
    process = start(tmp_path, "close")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    readers, left = output.splitlines()
    assert len(readers.split()) == 2
    assert left == "0"
    assert errors == ""


@pytest.mark.slow
def test_a_process_ends_quietly_with_its_readers(tmp_path):
    process = start(tmp_path, "end")
    _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_reader_processes_end_with_a_killed_process(tmp_path, number):
    process = start(tmp_path, "sleep")
    readers = [int(reader) for reader in process.stdout.readline().split()]
    assert len(readers) == 2 and all(map(is_running, readers))
    process.send_signal(number)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while any(map(is_running, readers)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
