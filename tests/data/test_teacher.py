"""Class probabilities of a teacher: files, malformed ones, and batches with them."""

import numpy as np
import pytest

from mnas.data.feeds import DeviceImages, StreamedImages
from mnas.data.images import DataConfig, Subset, load
from mnas.data.streaming import FixedOrder, TrainingOrder
from mnas.data.teacher import TaughtFeed, Teacher
from mnas.errors import UsageError


def probabilities(rows: int = 6, classes: int = 3) -> np.ndarray:
    values = np.random.default_rng(1).uniform(0.1, 1, (rows, classes))
    return (values / values.sum(1, keepdims=True)).astype(np.float32)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Change to a directory with `x.npz`, six images of three classes."""
    monkeypatch.chdir(tmp_path)
    pixels = np.arange(6 * 8 * 8 * 3, dtype=np.uint8).reshape(6, 8, 8, 3)
    np.savez("x.npz", x_train=pixels, y_train=np.arange(6) % 3)
    return load(DataConfig("x.npz", validation=2), 8)


def test_a_written_file_is_read(tmp_path, source):
    path = tmp_path / "t.npz"
    Teacher(path, probabilities(), "a digest").write()
    read = Teacher.read(path)
    np.testing.assert_array_equal(read.probabilities, probabilities())
    assert (read.path, read.source) == (path, "a digest")


@pytest.mark.parametrize("feed", [DeviceImages, StreamedImages])
def test_batches_have_the_rows_of_their_images(tmp_path, source, feed):
    if feed is StreamedImages:
        pytest.importorskip("grain")
    teacher = Teacher(tmp_path / "t.npz", probabilities(), source.source.digest())
    taught = teacher.feed(feed(source.train), source)
    assert isinstance(taught, TaughtFeed)
    assert len(taught) == 4 and taught.resolution == 8
    np.testing.assert_array_equal(taught.labels, source.train.labels)
    order = FixedOrder(np.array([[0, 1], [3, 2], [1, 1]], np.int32))
    for number, (images, targets) in enumerate(taught.batches(order, 1), start=1):
        positions = order.positions(number)
        np.testing.assert_array_equal(images, source.train.take(positions))
        # Rows of the source, of whose images two are held out.
        expected = probabilities()[source.train.positions[positions]]
        np.testing.assert_array_equal(targets, expected)
    assert number == 2
    # From the middle of an order without an end, as of a training.
    training = TrainingOrder(4, 2, seed=3)
    _, targets = next(taught.batches(training, 5))
    taught.stop()
    expected = probabilities()[source.train.positions[training.positions(5)]]
    np.testing.assert_array_equal(targets, expected)


def test_probabilities_of_other_images_are_rejected(tmp_path, source):
    digest = source.source.digest()
    feed = DeviceImages(source.train)
    for rows, of in ((probabilities(5), digest), (probabilities(6, 4), digest)):
        with pytest.raises(UsageError, match=r"t\.npz has probabilities of [56] images in [34]"):
            Teacher(tmp_path / "t.npz", rows, of).feed(feed, source)
    with pytest.raises(UsageError, match="another source; accepted: those of the same training"):
        Teacher(tmp_path / "t.npz", probabilities(), "another").require_images(source)


def changed(row: int, values: list[float]) -> np.ndarray:
    found = probabilities()
    found[row] = values
    return found


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"probabilities": probabilities()}, "arrays probabilities; accepted"),
        ({"source": np.array("a")}, "arrays source; accepted"),
        (
            {"probabilities": probabilities(), "source": np.array("a"), "more": np.zeros(1)},
            "arrays more, probabilities, source; accepted",
        ),
        ({"probabilities": probabilities().astype(float), "source": np.array("a")}, "of float64"),
        ({"probabilities": probabilities()[0], "source": np.array("a")}, r"of float32 \(3,\)"),
        ({"probabilities": probabilities(0), "source": np.array("a")}, r"of float32 \(0, 3\)"),
        ({"probabilities": probabilities(), "source": np.array(3)}, "source of int64"),
        ({"probabilities": probabilities(), "source": np.array(["a"])}, r"source of <U1 \(1,\)"),
        *(
            ({"probabilities": changed(2, row), "source": np.array("a")}, "no probabilities")
            for row in ([0.5, 0.5, 0.1], [1.5, -0.5, 0], [np.nan, 0.5, 0.5], [np.inf, 0, 0])
        ),
        (
            {"probabilities": np.array([[{}]], object), "source": np.array("a")},
            "Python objects, which are not unpickled",
        ),
    ],
)
def test_malformed_files_are_rejected(tmp_path, arrays, message):
    path = tmp_path / "t.npz"
    np.savez(path, allow_pickle=True, **arrays)
    with pytest.raises(UsageError, match=message) as error:
        Teacher.read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_truncated_and_missing_files_are_rejected(tmp_path):
    path = tmp_path / "t.npz"
    Teacher(path, probabilities(), "a").write()
    content = path.read_bytes()
    for end in (0, 1, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(UsageError, match=r"t\.npz can't be read as \.npz"):
            Teacher.read(path)
    with pytest.raises(UsageError, match="no such file"):
        Teacher.read(tmp_path / "none.npz")


def test_subsets_of_arrays_are_taught():
    subset = Subset.of(np.zeros((3, 8, 8, 3), np.uint8), np.arange(3))
    taught = TaughtFeed(DeviceImages(subset), probabilities(3))
    ((_, targets),) = taught.batches(FixedOrder(np.array([[2, 0]], np.int32)))
    np.testing.assert_array_equal(targets, probabilities(3)[[2, 0]])
