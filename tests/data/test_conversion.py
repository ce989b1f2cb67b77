"""Arrays of other forms than uint8 with channels last and labels from 0: converted, or rejected."""

import itertools

import numpy as np
import pytest

from mnas.data.sources import open_source
from mnas.errors import UsageError
from tests.data.sets import RNG

PIXELS = RNG.integers(0, 256, (12, 6, 5, 3), np.uint8)
PIXELS[0, 0, 0, 0] = 255
LABELS = np.arange(12) % 3


@pytest.fixture
def opened(tmp_path):
    """Return a source of PIXELS and LABELS but for the arrays given; None omits one."""

    numbers = itertools.count()

    def build(**changes):
        arrays = {"train_images": PIXELS, "train_labels": LABELS, **changes}
        kept = {name: array for name, array in arrays.items() if array is not None}
        path = tmp_path / f"{next(numbers)}.npz"
        np.savez(path, **kept)
        return open_source(str(path))

    return build


def assert_same(source, other, note):
    """Check that two sources have equal content, and that the first notes a conversion."""
    assert (source.train.pixels == other.train.pixels).all()
    assert source.train.pixels.dtype == np.uint8
    assert source.train.labels.tolist() == other.train.labels.tolist()
    assert source.train.labels.dtype == np.int32
    assert f", {note}" in source.describe() and note not in other.describe()


def test_channels_are_moved_last(opened):
    plain = opened()
    moved = opened(train_images=PIXELS.transpose(0, 3, 1, 2))
    assert_same(moved, plain, "channels moved last")
    assert moved.digest() == plain.digest()
    assert moved.train.images(np.array([3]), 9).shape == (1, 9, 9, 3)
    grey = opened(train_images=PIXELS[:, None, ..., 0])
    assert (grey.train.pixels[..., 0] == PIXELS[..., 0]).all()


@pytest.mark.parametrize("shape", [(12, 3, 6, 3), (12, 1, 6, 3), (12, 3, 6, 1)])
def test_channels_that_may_be_first_or_last_are_rejected(opened, shape):
    with pytest.raises(UsageError, match=r"accepted: .*which of the two are the channels"):
        opened(train_images=np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ">f4"])
def test_floats_from_0_to_1_are_scaled(opened, dtype):
    floats = opened(train_images=(PIXELS / 255).astype(dtype))
    name = np.dtype(dtype).name if dtype[0] == "f" else dtype
    assert_same(floats, opened(), f"{name} from 0 to 1 scaled to 8 bits")


def test_floats_are_rounded_to_the_nearest_eighth_bit(opened):
    # 0.5 · 255 = 127.5 rounds to the even 128; 0.1 · 255 = 25.5 in floats, 26; 0.998 · 255 = 254.49
    values = np.full((12, 4, 4), 0.5)
    values[0, 0] = [0, 1, 0.1, 0.998]
    pixels = opened(train_images=values).train.pixels
    assert pixels[0, 0].tolist() == [0, 255, 26, 254] and pixels[1, 0, 0] == 128


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (PIXELS.astype("f4"), r"float32 from 0 to 255; .*images.round\(\).astype\('uint8'\)"),
        (PIXELS / 255 - 0.5, r"float64 from -0.5 to 0.5; accepted: uint8, or float from 0 to 1$"),
        (PIXELS / 255 / 255, "float64 from 0 to 0.00392157; accepted"),
        (np.where(PIXELS == 255, np.nan, 0.5), "float64 from nan to nan; accepted"),
        (np.where(PIXELS == 255, np.inf, 0.5), "float64 from 0.5 to inf; accepted"),
    ],
    ids=["bytes", "normalised", "twice", "nan", "infinite"],
)
def test_other_floats_are_rejected(opened, images, message):
    with pytest.raises(UsageError, match=rf"0.npz: train_images is {message}"):
        opened(train_images=images).digest()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
def test_one_hot_labels_become_indices(opened, dtype):
    one_hot = opened(train_labels=np.eye(3, dtype=dtype)[LABELS])
    assert_same(one_hot, opened(), "one-hot labels")
    assert one_hot.classes == ("0", "1", "2")


def test_one_hot_labels_have_a_class_for_each_column(opened):
    rare = np.eye(5, dtype=int)[LABELS]  # no image of the last two
    assert opened(train_labels=rare).classes == ("0", "1", "2", "3", "4")
    names = np.array(["a", "b", "c", "d", "e"])
    assert opened(train_labels=rare, classes=names).classes == tuple("abcde")
    with pytest.raises(UsageError, match="classes has 4 names; accepted: 5, one for each column"):
        opened(train_labels=rare, classes=names[:4])


@pytest.mark.parametrize(
    "labels",
    [
        np.eye(3)[LABELS] * 0.5,
        np.eye(3, dtype=int)[LABELS] * 2,
        np.eye(3, dtype=int)[LABELS] | np.eye(3, dtype=int)[0],
        np.zeros((12, 3), bool),
        np.where(np.eye(3)[LABELS] == 1, 1, np.nan),
        np.where(np.eye(3)[LABELS] == 1, 1, -1),
    ],
    ids=["halves", "twos", "several", "none", "nan", "minus"],
)
def test_labels_of_several_columns_that_are_not_one_hot_are_rejected(opened, labels):
    with pytest.raises(UsageError, match=r"train_labels is .* with rows that are not one 1 and"):
        opened(train_labels=labels)


def test_labels_from_1_keep_their_numbers_as_names(opened):
    from_one = opened(train_labels=LABELS + 1, test_images=PIXELS[:3], test_labels=[1, 3, 3])
    assert from_one.classes == ("1", "2", "3")
    assert from_one.train.labels.tolist() == LABELS.tolist()
    assert from_one.test.labels.tolist() == [0, 2, 2]
    assert ", labels from 1, 3 test images" in from_one.describe()


def test_labels_from_1_are_told_by_the_number_of_names(opened):
    names = np.array(["a", "b", "c", "d"])
    few = np.where(LABELS == 2, 4, 1)  # 4 can be no label from 0 of 4 classes
    assert opened(train_labels=few, classes=names).train.labels.tolist() == (few - 1).tolist()
    with_gap = opened(train_labels=LABELS + 1, classes=names)  # 1 to 3: class 0 has no image
    assert with_gap.train.labels.tolist() == (LABELS + 1).tolist()
    assert "labels from 1" not in with_gap.describe()
    with pytest.raises(UsageError, match="labels from 0 to 4; accepted: 0 to 3, those of the 4"):
        opened(train_labels=np.where(LABELS == 2, 4, 0), classes=names)


def test_test_labels_have_the_form_of_the_training_labels(opened):
    def test_labels(train, test):
        source = opened(train_labels=train, test_images=PIXELS[:3], test_labels=test)
        assert source.train.labels.tolist() == LABELS.tolist()
        return source.test.labels.tolist()

    eye = np.eye(3, dtype=int)
    assert test_labels(eye[LABELS], eye[[2, 0, 0]]) == [2, 0, 0]
    with pytest.raises(UsageError, match="test_labels has labels from 0 to 2; accepted: 1 to 3"):
        test_labels(LABELS + 1, [0, 1, 2])
    for train, test, accepted in [
        (LABELS, eye, "integers"),
        (eye[LABELS], np.arange(3), "one-hot labels of 3 classes"),
        (eye[LABELS], np.eye(4, dtype=int)[:3], "one-hot labels of 3 classes"),
    ]:
        with pytest.raises(UsageError, match=f"has another form than .*accepted: {accepted}$"):
            test_labels(train, test)


def test_dark_test_images_are_read(opened):
    dark = opened(
        train_images=PIXELS / 255, test_images=np.full((2, 6, 5), 0.2), test_labels=[0, 1]
    )
    assert (dark.test.pixels == 51).all()


def test_memory_is_that_of_floats_and_bytes(opened, monkeypatch):
    source = opened(train_images=np.ones((12, 100, 100, 3), np.float64))
    monkeypatch.setattr("mnas.data.source.available_bytes", lambda: 3_000_000)
    with pytest.raises(UsageError, match="train_images need 3 MB of memory, and 3 MB are avail"):
        source.digest()  # 12 · 30,000 · (8 + 1) bytes are 3.24 million
