"""Image data sets: digits, `.npz` arrays and folders; splits, resizing, malformed files."""

import numpy as np
import pytest
from PIL import Image

from mnas.data.images import DataConfig, load
from mnas.errors import UsageError

RNG = np.random.default_rng(0)


def contents(images: np.ndarray) -> set[bytes]:
    """Return the pixels of every image as bytes."""
    return {image.tobytes() for image in images}


def checked(images, resolution):
    """Check the shapes, types and labels that `Images` documents; return the images."""
    for split in ("train", "validation", "test"):
        pixels, labels = getattr(images, f"{split}_images"), getattr(images, f"{split}_labels")
        if split == "test" and pixels is None:
            assert labels is None
            continue
        assert pixels.shape == (len(labels), resolution, resolution, 3)
        assert (pixels.dtype, labels.dtype) == (np.uint8, np.int32)
        assert labels.min() >= 0 and labels.max() < len(images.classes)
    return images


# --- the embedded set ---


@pytest.fixture(scope="module")
def digits():
    return checked(load(DataConfig(), 8), 8)


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
    again, other = load(DataConfig(), 8), load(DataConfig(split_seed=1), 8)
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


# --- arrays ---


def arrays(**changes):
    """Return 20 training and 6 test images of 3 classes, all different; None omits an array."""
    named = {
        "train_images": RNG.integers(0, 256, (20, 9, 9, 3), np.uint8),
        "train_labels": np.arange(20) % 3,
        "test_images": RNG.integers(0, 256, (6, 9, 9, 3), np.uint8),
        "test_labels": np.arange(6) % 3,
        **changes,
    }
    return {name: array for name, array in named.items() if array is not None}


@pytest.fixture
def saved(tmp_path):
    def save(**changes) -> DataConfig:
        np.savez(tmp_path / "images.npz", **arrays(**changes))
        return DataConfig(str(tmp_path / "images.npz"), validation=0.25)

    return save


def test_npz_arrays_are_split_without_loss(saved):
    config = saved()
    images = checked(load(config, 9), 9)
    assert (len(images.train_labels), len(images.validation_labels)) == (15, 5)
    assert images.classes == ("0", "1", "2")
    with np.load(config.source) as archive:
        original = archive["train_images"], archive["train_labels"]
        assert (images.test_images == archive["test_images"]).all()
    label_of = {image.tobytes(): label for image, label in zip(*original, strict=True)}
    for split in ("train", "validation"):
        for image, label in zip(
            getattr(images, f"{split}_images"), getattr(images, f"{split}_labels"), strict=True
        ):
            assert label_of.pop(image.tobytes()) == label
    assert not label_of  # every training image is in exactly one split


@pytest.mark.parametrize("shape", [(20, 9, 9), (20, 9, 9, 1)])
def test_grey_arrays_are_repeated_over_the_channels(saved, shape):
    grey = RNG.integers(0, 256, shape, np.uint8)
    images = checked(load(saved(train_images=grey), 9), 9)
    for channel in range(3):
        splits = (images.train_images, images.validation_images)
        loaded = set.union(*(contents(split[..., channel]) for split in splits))
        assert loaded == contents(grey.reshape(20, 9, 9))


def test_class_names_are_read_and_test_set_is_optional(saved):
    names = np.array(["cat", "dog", "emu", "fox"])
    images = load(saved(classes=names, test_images=None, test_labels=None), 9)
    assert images.classes == ("cat", "dog", "emu", "fox")
    assert images.test_images is None and images.test_labels is None


def test_classes_include_labels_of_the_test_set(saved):
    assert len(load(saved(test_labels=np.array([0, 1, 2, 3, 4, 5])), 9).classes) == 6


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"train_images": None}, "has train_labels, test_images, test_labels; accepted: train_im"),
        ({"train_labels": None}, "has train_images, test_images, test_labels; accepted: train_im"),
        ({"test_labels": None}, "has train_images, train_labels, test_images; accepted: train_im"),
        ({"test_images": None}, "accepted: train_images and train_labels, optionally test_images"),
        ({"train_images": np.zeros((20, 9, 9, 3))}, "train_images is float64.*accepted: uint8"),
        ({"test_images": np.zeros((6, 9, 9, 3), int)}, "test_images is int64.*accepted: uint8"),
        ({"train_images": np.zeros((20, 81), np.uint8)}, r"train_images is uint8 \(20, 81\)"),
        ({"train_images": np.zeros((20, 9, 9, 2), np.uint8)}, r"\(20, 9, 9, 2\); accepted: uint8"),
        (
            {"train_images": np.zeros((0, 9, 9), np.uint8), "train_labels": np.zeros(0, int)},
            r"train_images is uint8 \(0, 9, 9\)",
        ),
        ({"train_labels": np.arange(19)}, r"train_labels is int64 \(19,\).*accepted: .*\[20\]"),
        ({"train_labels": np.zeros(20)}, "train_labels is float64.*accepted: integers from 0"),
        ({"test_labels": np.arange(6) - 1}, "test_labels is int64.*accepted: integers from 0"),
        ({"classes": np.array(["cat", "dog"])}, "2 classes, but labels up to 2"),
    ],
)
def test_malformed_arrays_are_rejected_by_name(saved, changes, message):
    with pytest.raises(ValueError, match=rf"images.npz.*{message}"):
        load(saved(**changes), 9)


def test_files_that_are_not_npz_are_rejected_by_name(saved, tmp_path):
    with pytest.raises(ValueError, match=r"no file .*none.npz; accepted: digits"):
        load(DataConfig(str(tmp_path / "none.npz")), 8)
    config = saved()
    path = tmp_path / "images.npz"
    whole = path.read_bytes()
    np.savez(path, train_images=np.array([object()]), train_labels=np.zeros(1, int))
    pickled = path.read_bytes()
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    single = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 4] ^= 0xFF  # in the pixels, detected by the checksum only
    for content in (b"", b"PK", b"nonsense", whole[: len(whole) // 2], damaged, pickled, single):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"images.npz can't be read as .npz"):
            load(config, 8)


# --- folders ---


def save_image(path, colour, size=(12, 12), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    """Folder with ten red and ten blue images, all of different shades."""
    for shade in range(10):
        save_image(tmp_path / "red" / f"{shade}.png", (200 + shade, 0, 0))
        save_image(tmp_path / "blue" / "deeper" / f"{shade}.PNG", (0, 0, 200 + shade))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "red" / "notes.txt").write_text("not an image either")
    return tmp_path


def test_class_folders_become_labels(folder):
    images = checked(load(DataConfig(str(folder), validation=5), 6), 6)
    assert images.classes == ("blue", "red")
    assert (len(images.train_labels), len(images.validation_labels)) == (15, 5)
    assert images.test_images is None and images.test_labels is None
    everything = np.concatenate([images.train_images, images.validation_images])
    labels = np.concatenate([images.train_labels, images.validation_labels])
    assert len(contents(everything)) == 20
    assert (everything[labels == 0][..., 2] >= 200).all()
    assert (everything[labels == 1][..., 0] >= 200).all()


@pytest.mark.parametrize("test_folder", ["val", "test"])
def test_test_set_of_a_folder_is_never_held_out(folder, test_folder):
    for name in ("red", "blue"):
        target = folder / "all" / "train" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / name).rename(target)
    for shade in range(3):
        save_image(folder / "all" / test_folder / "red" / f"{shade}.png", (100 + shade, 0, 0))
        save_image(folder / "all" / test_folder / "blue" / f"{shade}.png", (0, 0, 100 + shade))
    images = checked(load(DataConfig(str(folder / "all"), validation=0.5), 8), 8)
    assert images.test_images.max() == 102 and images.test_labels.tolist() == [0, 0, 0, 1, 1, 1]
    # Validation images come from the training folder: none has a shade of the test folder.
    assert images.validation_images.max(axis=(1, 2, 3)).min() >= 200
    assert (len(images.train_labels), len(images.validation_labels)) == (10, 10)


def test_images_are_scaled_along_the_shorter_edge_and_cropped(tmp_path):
    wide = Image.new("RGB", (40, 10), (255, 0, 0))
    wide.paste((0, 255, 0), (15, 0, 25, 10))  # the square in the middle
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        wide.save(tmp_path / name / "wide.png")
    images = load(DataConfig(str(tmp_path), validation=1), 10)
    assert (images.train_images == [0, 255, 0]).all()


@pytest.mark.parametrize(
    "mode, colour", [("L", 90), ("RGBA", (90, 90, 90, 255)), ("1", 1), ("P", 0)]
)
def test_images_of_all_modes_become_rgb(folder, mode, colour):
    save_image(folder / "red" / "odd.png", colour, mode=mode)
    assert len(load(DataConfig(str(folder)), 8).train_labels) == 17  # 21 less 4


def test_unsuitable_folders_are_rejected_by_name(folder):
    with pytest.raises(ValueError, match=r"no folder .*nowhere; accepted: digits, a .npz file or"):
        load(DataConfig(str(folder / "nowhere")), 8)
    with pytest.raises(ValueError, match="red has 0 class folders; accepted: 2 or more"):
        load(DataConfig(str(folder / "red")), 8)
    (folder / "green").mkdir()
    (folder / "green" / "notes.txt").write_text("not an image")
    with pytest.raises(ValueError, match=r"no images in .*green; accepted: .png, .jpg"):
        load(DataConfig(str(folder)), 8)


def test_files_with_any_byte_corrupted_raise_only_usage_errors(tmp_path):
    noise = RNG.integers(0, 256, (4, 5, 5, 3), np.uint8)
    for label in range(2):
        (tmp_path / "folder" / str(label)).mkdir(parents=True)
        Image.fromarray(noise[label]).save(tmp_path / "folder" / str(label) / "0.png")
    np.savez(tmp_path / "arrays.npz", train_images=noise, train_labels=np.arange(4))
    rejected = 0
    for source, path in ("folder", "folder/0/0.png"), ("arrays.npz", "arrays.npz"):
        whole = (tmp_path / path).read_bytes()
        for position in range(len(whole)):
            damaged = bytearray(whole)
            damaged[position] ^= 0xFF
            (tmp_path / path).write_bytes(damaged)
            try:
                load(DataConfig(str(tmp_path / source), validation=1), 5)
            except UsageError as error:
                assert str(error).startswith("data: ")
                rejected += 1
    assert rejected > 500


def test_unreadable_images_are_rejected_by_name(folder):
    path = folder / "red" / "odd.png"
    noise = RNG.integers(0, 256, (12, 12, 3), np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    for content in (b"", b"GIF89a", b"no image", whole[:40], whole[: len(whole) // 2], damaged):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"odd.png can't be read as an image"):
            load(DataConfig(str(folder)), 8)
