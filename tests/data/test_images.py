"""Data sets at one resolution: the embedded digits, splits, settings."""

import pickle

import numpy as np
import pytest

from mnas.data.images import DataConfig, Subset, load
from mnas.data.sources import EMBEDDED, open_source
from mnas.errors import UsageError
from tests.data.sets import checked, contents


@pytest.fixture(scope="module")
def digits():
    return checked(load(DataConfig(), 8, test=True), 8)


def test_digits_have_documented_splits_and_classes(digits):
    assert len(digits.train.labels) == 1200
    assert len(digits.validation.labels) == 300  # 0.2 of 1,500
    assert len(digits.test.labels) == 297
    assert digits.classes == tuple("0123456789")
    assert set(digits.train.labels) == set(digits.validation.labels) == set(range(10))
    assert digits.train.read().min() == 0 and digits.train.read().max() == 255
    assert (digits.train.read()[..., 0] == digits.train.read()[..., 2]).all()


def test_digits_equal_scikit_learns(digits):
    from sklearn.datasets import load_digits

    original = load_digits()
    assert (digits.test.labels == original.target[1500:]).all()
    # 0 to 16 become 0 to 255: 16 is 255, 8 is 127.5 and rounds to even, 1 is 15.94.
    sixteenths = np.round(digits.test.read()[..., 0] / 255 * 16)
    assert (sixteenths == original.images[1500:]).all()
    pairs = zip(original.images[1500:].ravel(), digits.test.read()[..., 0].ravel(), strict=True)
    assert {(0, 0), (1, 16), (8, 128), (16, 255)} <= {(int(a), int(b)) for a, b in pairs}


def test_splits_are_disjoint_and_complete(digits):
    from sklearn.datasets import load_digits

    train, validation, test = (
        contents(getattr(digits, split).read()) for split in ("train", "validation", "test")
    )
    # All of scikit-learn's digits are different.
    assert train.isdisjoint(validation)
    assert validation.isdisjoint(test)
    labels = np.concatenate([digits.train.labels, digits.validation.labels])
    assert (np.bincount(labels) == np.bincount(load_digits().target[:1500])).all()
    assert len(train) + len(validation) == 1500


def test_split_depends_only_on_its_seed(digits):
    again, other = load(DataConfig(), 8), load(DataConfig(split_seed=1), 8, test=True)
    assert (again.validation.read() == digits.validation.read()).all()
    assert (again.train.labels == digits.train.labels).all()
    assert contents(other.validation.read()) != contents(digits.validation.read())
    assert (other.test.read() == digits.test.read()).all()
    # The validation split is the same at any resolution and number of training images.
    few = load(DataConfig(train_images=100), 16)
    assert (few.validation.labels == digits.validation.labels).all()
    assert len(few.train.labels) == 100
    assert (few.train.labels == digits.train.labels[:100]).all()


def test_validation_can_be_a_number_of_images():
    images = load(DataConfig(validation=25, train_images=10_000), 8)
    assert (len(images.validation.labels), len(images.train.labels)) == (25, 1475)
    assert len(load(DataConfig(validation=1), 8).validation) == 1


@pytest.mark.parametrize("validation", [1500, 2000, 0.0001, 0.9999])
def test_empty_splits_are_rejected(validation):
    with pytest.raises(ValueError, match=rf"validation = {validation} of 1500 training images"):
        load(DataConfig(validation=validation), 8)


@pytest.mark.parametrize("resolution", [5, 8, 13, 32])
def test_digits_load_at_any_resolution(resolution):
    images = checked(load(DataConfig(train_images=20, validation=10), resolution), resolution)
    assert images.train.read().std() > 10


@pytest.mark.parametrize(
    "field, value",
    [("validation", 0), ("validation", -0.1), ("validation", 1.5), ("validation", float("nan")),
     ("validation", float("inf")), ("train_images", 0), ("split_seed", -1),
     ("feeding", "disk"), ("readers", -1)],
)  # fmt: skip
def test_invalid_settings_are_rejected_by_name(field, value):
    with pytest.raises(ValueError, match=rf"data: {field} = {value!r}; accepted:"):
        DataConfig(**{field: value})


def test_test_set_is_read_only_when_asked_for():
    images = load(DataConfig(), 8)
    assert images.test is None


def test_paths_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert DataConfig("sets/x.npz").source == str(tmp_path / "sets" / "x.npz")
    assert DataConfig("./digits").source == str(tmp_path / "digits")
    assert DataConfig("digits").source == "digits"


@pytest.mark.parametrize("source", ["", 3, "a\0b"])
def test_sources_that_are_no_path_are_rejected(source):
    with pytest.raises(UsageError, match=r"data: source = .*; accepted: digits, a .npz file, a "):
        DataConfig(source)


def test_images_beyond_the_memory_are_rejected_before_they_are_read(monkeypatch):
    monkeypatch.setattr("mnas.data.source.available_bytes", lambda: 10**6)
    message = r"1,200 images of 100 × 100 pixels need 36 MB of memory, and 1 MB are available"
    with pytest.raises(UsageError, match=message):
        load(DataConfig(), 100).train.read()
    load(DataConfig(train_images=20), 100).train.read()


def test_digits_are_described_in_one_line():
    line = "1,500 images, 10 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 8×8, 297 test images"
    assert open_source(EMBEDDED).describe() == line


def test_digest_depends_on_the_content_and_the_split(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"train_images": rng.integers(0, 256, (12, 8, 8), np.uint8)}
    arrays["train_labels"] = np.arange(12) % 3

    def digest(name, resolution=8, changed=None, **settings):
        path = tmp_path / f"{name}.npz"
        changes = {key: value.copy() for key, value in arrays.items()}
        if changed is not None:
            changes[changed].flat[[0, -1]] ^= 1
        np.savez(path, **changes)
        return load(DataConfig(str(path), **settings), resolution).digest()

    first = digest("one")
    assert digest("other") == first
    others = [
        digest("images", changed="train_images"),
        digest("labels", changed="train_labels"),
        digest("one", resolution=9),
        digest("one", split_seed=1),
        digest("one", validation=3),
        digest("one", train_images=5),
    ]
    assert len({first, *others}) == 7


def test_subset_reads_only_what_is_asked_for(monkeypatch):
    monkeypatch.setattr("mnas.data.images.CHUNK_BYTES", 1000)
    rng = np.random.default_rng(0)
    pixels, asked = rng.integers(0, 256, (20, 8, 8, 3), np.uint8), []

    class Counting:
        labels = np.arange(20, dtype=np.int32)

        def images(self, indices, resolution):
            asked.append(len(indices))
            return pixels[indices]

    subset = Subset(Counting(), np.arange(20)[::-2], 8)
    assert (len(subset), subset.nbytes, subset.labels.tolist()) == (10, 1920, [*range(19, 0, -2)])
    assert asked == []
    np.testing.assert_array_equal(subset.take(np.array([3, 0])), pixels[[13, 19]])
    np.testing.assert_array_equal(subset.read(), pixels[::-2])
    assert asked == [2, 5, 5]  # five images of 192 bytes in a part


def test_another_process_opens_the_source_by_its_name(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (500, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "x.npz", train_images=pixels, train_labels=np.arange(500) % 2)
    images = load(DataConfig(str(tmp_path / "x.npz")), 8)
    sent = pickle.dumps(images.train)
    assert len(sent) < 10_000
    received = pickle.loads(sent)
    np.testing.assert_array_equal(received.read(), images.train.read())
    np.testing.assert_array_equal(received.labels, images.train.labels)
    # Without a source, the images themselves are sent.
    received = pickle.loads(pickle.dumps(Subset.of(pixels, np.arange(500))))
    np.testing.assert_array_equal(received.read(), pixels)


def test_wrong_arrays_are_programming_errors():
    pixels = np.zeros((10, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match=r"float64.*accepted: uint8 \[N, R, R, 3\]") as error:
        Subset.of(pixels / 255, np.arange(10))
    assert not isinstance(error.value, UsageError)
    for shape in [(0, 4, 4, 3), (10, 4, 5, 3), (10, 4, 4), (10, 4, 4, 1)]:
        with pytest.raises(ValueError, match=r"accepted: uint8 \[N, R, R, 3\]"):
            Subset.of(np.zeros(shape, np.uint8), np.arange(shape[0]))
    with pytest.raises(ValueError, match=r"labels: int64 \[9\]; accepted: integers \[10\]"):
        Subset.of(pixels, np.arange(9))
