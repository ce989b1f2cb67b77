"""Data sets at one resolution: the embedded digits, splits, settings."""

import numpy as np
import pytest

from mnas.data.images import DataConfig, load
from mnas.data.sources import EMBEDDED, open_source
from mnas.errors import UsageError
from tests.data.sets import checked, contents


@pytest.fixture(scope="module")
def digits():
    return checked(load(DataConfig(), 8, test=True), 8)


def test_digits_have_documented_splits_and_classes(digits):
    assert len(digits.train_labels) == 1200
    assert len(digits.validation_labels) == 300  # 0.2 of 1,500
    assert len(digits.test_labels) == 297
    assert digits.classes == tuple("0123456789")
    assert set(digits.train_labels) == set(digits.validation_labels) == set(range(10))
    assert digits.train_images.min() == 0 and digits.train_images.max() == 255
    assert (digits.train_images[..., 0] == digits.train_images[..., 2]).all()


def test_digits_equal_scikit_learns(digits):
    from sklearn.datasets import load_digits

    original = load_digits()
    assert (digits.test_labels == original.target[1500:]).all()
    # 0 to 16 become 0 to 255: 16 is 255, 8 is 127.5 and rounds to even, 1 is 15.94.
    sixteenths = np.round(digits.test_images[..., 0] / 255 * 16)
    assert (sixteenths == original.images[1500:]).all()
    pairs = zip(original.images[1500:].ravel(), digits.test_images[..., 0].ravel(), strict=True)
    assert {(0, 0), (1, 16), (8, 128), (16, 255)} <= {(int(a), int(b)) for a, b in pairs}


def test_splits_are_disjoint_and_complete(digits):
    from sklearn.datasets import load_digits

    train, validation, test = (
        contents(getattr(digits, f"{split}_images")) for split in ("train", "validation", "test")
    )
    # All of scikit-learn's digits are different.
    assert train.isdisjoint(validation)
    assert validation.isdisjoint(test)
    labels = np.concatenate([digits.train_labels, digits.validation_labels])
    assert (np.bincount(labels) == np.bincount(load_digits().target[:1500])).all()
    assert len(train) + len(validation) == 1500


def test_split_depends_only_on_its_seed(digits):
    again, other = load(DataConfig(), 8), load(DataConfig(split_seed=1), 8, test=True)
    assert (again.validation_images == digits.validation_images).all()
    assert (again.train_labels == digits.train_labels).all()
    assert contents(other.validation_images) != contents(digits.validation_images)
    assert (other.test_images == digits.test_images).all()
    # The validation split is the same at any resolution and number of training images.
    few = load(DataConfig(train_images=100), 16)
    assert (few.validation_labels == digits.validation_labels).all()
    assert len(few.train_labels) == 100
    assert (few.train_labels == digits.train_labels[:100]).all()


def test_validation_can_be_a_number_of_images():
    images = load(DataConfig(validation=25, train_images=10_000), 8)
    assert (len(images.validation_labels), len(images.train_labels)) == (25, 1475)
    assert len(load(DataConfig(validation=1), 8).validation_labels) == 1


@pytest.mark.parametrize("validation", [1500, 2000, 0.0001, 0.9999])
def test_empty_splits_are_rejected(validation):
    with pytest.raises(ValueError, match=rf"validation = {validation} of 1500 training images"):
        load(DataConfig(validation=validation), 8)


@pytest.mark.parametrize("resolution", [5, 8, 13, 32])
def test_digits_load_at_any_resolution(resolution):
    images = checked(load(DataConfig(train_images=20, validation=10), resolution), resolution)
    assert images.train_images.std() > 10


@pytest.mark.parametrize(
    "field, value",
    [("validation", 0), ("validation", -0.1), ("validation", 1.5), ("validation", float("nan")),
     ("validation", float("inf")), ("train_images", 0), ("split_seed", -1)],
)  # fmt: skip
def test_invalid_settings_are_rejected_by_name(field, value):
    with pytest.raises(ValueError, match=rf"data: {field} = {value}; accepted:"):
        DataConfig(**{field: value})


def test_test_set_is_read_only_when_asked_for():
    images = load(DataConfig(), 8)
    assert images.test_images is None and images.test_labels is None


def test_paths_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert DataConfig("sets/x.npz").source == str(tmp_path / "sets" / "x.npz")
    assert DataConfig("./digits").source == str(tmp_path / "digits")
    assert DataConfig("digits").source == "digits"


@pytest.mark.parametrize("source", ["", 3, "a\0b"])
def test_sources_that_are_no_path_are_rejected(source):
    with pytest.raises(UsageError, match=r"data: source = .*; accepted: digits, a .npz file or"):
        DataConfig(source)


def test_images_beyond_the_memory_are_rejected_before_they_are_read(monkeypatch):
    monkeypatch.setattr("mnas.data.source.available_bytes", lambda: 10**6)
    message = r"1,500 images of 100 × 100 pixels need 45 MB of memory, and 1 MB are available"
    with pytest.raises(UsageError, match=message):
        load(DataConfig(), 100)
    load(DataConfig(train_images=20, validation=10), 100)


def test_digits_are_described_in_one_line():
    line = "1,500 images, 10 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 8×8 to 8×8"
    assert open_source(EMBEDDED).describe() == line


def test_digest_depends_on_every_image_and_label():
    images = load(DataConfig(train_images=20, validation=10), 8)
    assert images.digest() == load(DataConfig(train_images=20, validation=10), 8).digest()
    digests = {images.digest()}
    for name in ("train_images", "train_labels", "validation_images", "validation_labels"):
        array = getattr(images, name)
        array.flat[-1] ^= 1
        digests.add(images.digest())
    assert len(digests) == 5


def test_source_is_told_by_name(tmp_path):
    for name in ("none.npz", "NONE.NPZ"):
        with pytest.raises(UsageError, match=rf"no file .*{name}; accepted: digits"):
            load(DataConfig(str(tmp_path / name)), 8)
    with pytest.raises(UsageError, match=r"no folder .*nowhere; accepted: digits, a .npz file or"):
        load(DataConfig(str(tmp_path / "nowhere")), 8)
    (tmp_path / "x.npy").write_bytes(b"")
    with pytest.raises(UsageError, match=r"x.npy is no folder; accepted: digits, a .npz file or"):
        load(DataConfig(str(tmp_path / "x.npy")), 8)
