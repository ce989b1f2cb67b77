"""Images of `.npz` files: keys, labels, classes, malformed and hostile files."""

import io
import zipfile

import numpy as np
import pytest

from mnas.data.images import DataConfig, load
from mnas.data.sources import open_source
from mnas.errors import UsageError
from tests.data.sets import RNG, checked, contents


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
    images = checked(load(config, 9, test=True), 9)
    assert (len(images.train.labels), len(images.validation.labels)) == (15, 5)
    assert images.classes == ("0", "1", "2")
    with np.load(config.source) as archive:
        original = archive["train_images"], archive["train_labels"]
        assert (images.test.read() == archive["test_images"]).all()
    label_of = {image.tobytes(): label for image, label in zip(*original, strict=True)}
    for split in ("train", "validation"):
        subset = getattr(images, split)
        for image, label in zip(subset.read(), subset.labels, strict=True):
            assert label_of.pop(image.tobytes()) == label
    assert not label_of  # every training image is in exactly one split


@pytest.mark.parametrize("shape", [(20, 9, 9), (20, 9, 9, 1)])
def test_grey_arrays_are_repeated_over_the_channels(saved, shape):
    grey = RNG.integers(0, 256, shape, np.uint8)
    images = checked(load(saved(train_images=grey), 9), 9)
    for channel in range(3):
        splits = (images.train.read(), images.validation.read())
        loaded = set.union(*(contents(split[..., channel]) for split in splits))
        assert loaded == contents(grey.reshape(20, 9, 9))


def test_class_names_are_read_and_test_set_is_optional(saved):
    names = np.array(["cat", "dog", "emu", "fox"])
    images = load(saved(classes=names, test_images=None, test_labels=None), 9)
    assert images.classes == ("cat", "dog", "emu", "fox")
    assert images.test is None


def test_test_images_without_labels_are_left_out(saved):
    config = saved(test_labels=None)
    assert load(config, 9, test=True).test is None
    line = open_source(config.source).describe()
    assert line.endswith("; left out: 1 array of images without labels (test_images)")


def test_test_set_is_read_only_when_asked_for_and_has_the_classes_of_the_training_set(saved):
    config = saved(test_labels=np.array([0, 1, 2, 3, 1, 1]))
    images = load(config, 9)
    assert images.test is None and len(images.classes) == 3
    with pytest.raises(UsageError, match="test_labels has labels from 0 to 3; accepted: 0 to 2"):
        load(config, 9, test=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, ">i4"])
def test_labels_may_be_a_column(saved, dtype):
    flat = load(saved(), 9)
    column = load(saved(train_labels=(np.arange(20) % 3)[:, None].astype(dtype)), 9)
    assert column.train.labels.tolist() == flat.train.labels.tolist()
    assert column.train.labels.dtype == np.int32 and column.classes == ("0", "1", "2")


def test_keys_of_keras_are_read(tmp_path):
    own = arrays()
    np.savez(tmp_path / "own.npz", **own)
    renamed = {"train_images": "x_train", "train_labels": "y_train"}
    renamed |= {"test_images": "x_test", "test_labels": "y_test"}
    np.savez(tmp_path / "keras.npz", **{renamed[name]: array for name, array in own.items()})
    one, other = (
        load(DataConfig(str(tmp_path / f"{n}.npz")), 9, test=True) for n in ("own", "keras")
    )
    assert (one.train.read() == other.train.read()).all()
    assert (one.test.labels == other.test.labels).all()
    np.savez(tmp_path / "both.npz", **own, x_train=own["train_images"])
    with pytest.raises(UsageError, match="has train_images and x_train; accepted: one of the two"):
        load(DataConfig(str(tmp_path / "both.npz")), 9)


GAPS = [
    (20240131 + np.arange(20) % 4, "the 4 labels 20240131, 20240132, 20240133, 20240134"),
    (3_000_000_000 + np.arange(20) % 4, "the 4 labels 3000000000, 3000000001, 30"),
    (
        np.uint64(2**64 - 4) + np.arange(20, dtype=np.uint64) % 4,
        "the 4 labels 18446744073709551612, ",
    ),
    (2 + np.arange(20) % 3, "the 3 labels 2, 3, 4; accepted: each of 0 to 2 or 1 to 3, or cl"),
    (np.arange(20) % 4 - 1, "the 4 labels -1, 0, 1, 2; accepted: each of 0 to 3 or 1 to 4, or"),
    (np.arange(20) * 3, "the 20 labels 0, 3, 6, 9, 12, ..., 57; accepted: each of 0 to 19 or"),
]


@pytest.mark.parametrize(("labels", "message"), GAPS, ids=[m[:25] for _, m in GAPS])
def test_labels_with_gaps_are_rejected(saved, labels, message):
    with pytest.raises(UsageError, match=f"train_labels has {message}"):
        load(saved(train_labels=labels), 9)


def test_labels_without_an_image_need_class_names(saved):
    labels = np.where(np.arange(20) % 4 == 1, 0, np.arange(20) % 4)  # 0, 2 and 3
    with pytest.raises(UsageError, match="the 3 labels 0, 2, 3; accepted: each of 0 to 2"):
        load(saved(train_labels=labels), 9)
    images = load(saved(train_labels=labels, classes=np.array([b"a", b"b", b"c", b"d"])), 9)
    assert images.classes == ("a", "b", "c", "d")
    with pytest.raises(UsageError, match="labels from 0 to 3; accepted: 0 to 2, those of the 3 cl"):
        load(saved(train_labels=labels, classes=np.array([7, 8, 9])), 9)


def test_the_line_names_images_classes_sizes_and_unread_arrays(saved):
    line = (
        "20 images, 3 classes (0, 1, 2), 9×9, 6 test images; left out: 2 arrays of other "
        "names (a, val_images)"
    )
    assert open_source(saved(a=np.zeros(2), val_images=np.zeros(1)).source).describe() == line
    named = saved(classes=np.array(["cat", "dog", "emu"]), test_images=None, test_labels=None)
    line = "20 images, 3 classes (cat, dog, emu), 9×9"
    assert open_source(named.source).describe() == line


def test_a_malformed_test_set_spoils_nothing_else(saved):
    twice = saved(x_test=np.zeros((6, 9, 9), np.uint8))
    source = open_source(twice.source)
    assert "unusable test set (" in source.describe()
    assert len(load(twice, 9).train) == 15
    with pytest.raises(UsageError, match="has test_images and x_test; accepted: one of the two"):
        _ = source.test


def test_digest_is_of_the_content_that_a_search_reads(tmp_path):
    own = arrays()

    def digest(name, save=np.savez, **changes):
        save(tmp_path / name, **{**own, **changes})
        return open_source(str(tmp_path / name)).digest()

    first = digest("one.npz")
    assert digest("two.npz", np.savez_compressed) == first
    assert digest("three.npz", train_labels=own["train_labels"].astype(np.uint8)) == first
    assert digest("four.npz", test_labels=own["test_labels"] + 9) == first
    changed = own["train_images"].copy()
    changed[-1, -1, -1, -1] ^= 1
    assert digest("five.npz", train_images=changed) != first
    assert digest("six.npz", train_labels=own["train_labels"][::-1]) != first
    assert digest("seven.npz", classes=np.array(["a", "b", "c"])) != first


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"train_images": None}, "has train_labels, test_images, test_labels; accepted: train_im"),
        ({"train_labels": None}, "has train_images, test_images, test_labels; accepted: train_im"),
        (
            {"test_images": None},
            "accepted: train_images and train_labels .*, optionally test_images",
        ),
        ({"train_images": np.zeros((20, 9, 9, 3))}, "train_images is float64 from 0 to 0; accepte"),
        ({"test_images": np.zeros((6, 9, 9, 3), int)}, "test_images is int64.*accepted: uint8"),
        ({"train_images": np.zeros((20, 81), np.uint8)}, r"train_images is uint8 \(20, 81\)"),
        ({"train_images": np.zeros((20, 9, 9, 2), np.uint8)}, r"\(20, 9, 9, 2\); accepted: uint8"),
        (
            {"train_images": np.zeros((0, 9, 9), np.uint8), "train_labels": np.zeros(0, int)},
            r"train_images is uint8 \(0, 9, 9\)",
        ),
        ({"train_labels": np.arange(19)}, r"train_labels is int64 \(19,\).*accepted: .*\[20\]"),
        ({"train_labels": np.zeros(20)}, "train_labels is float64.*accepted: integers from 0"),
        (
            {"test_labels": np.arange(6) - 4},
            "test_labels has labels from -4 to 1; accepted: 0 to 2",
        ),
        ({"classes": np.array(["cat", "dog"])}, "train_labels has labels from 0 to 2; accepted: 0"),
        ({"classes": 3}, r"classes is int64 \(\); accepted: the name of each class"),
        (
            {"classes": np.array([["cat", "dog"]])},
            r"classes is <U3 \(1, 2\); accepted: the name of",
        ),
        (
            {"classes": np.array([1.5, 2.5, 3.5])},
            r"classes is float64 \(3,\); accepted: the name of",
        ),
        ({"classes": np.array(["cat", "cat", "dog"])}, r"same name twice \(cat, cat, dog\)"),
        (
            {"classes": np.array(["a", "b", None], object)},
            "classes holds Python objects, which are not unpickled",
        ),
        ({"train_labels": np.zeros(20, int)}, "has 1 class; accepted: 2 or more"),
        (
            {"train_labels": np.arange(20) % 2 > 0},
            "train_labels is bool .*accepted: integers from 0",
        ),
        ({"train_labels": np.full(20, np.nan)}, "train_labels is float64 .*accepted: integers"),
        ({"train_images": np.zeros((20, 9, 9, 4), np.uint8)}, r"\(20, 9, 9, 4\); accepted: uint8"),
        ({"train_images": np.zeros((20, 9, 9), np.uint16)}, "train_images is uint16"),
    ],
)
def test_malformed_arrays_are_rejected_by_name(saved, changes, message):
    with pytest.raises(ValueError, match=rf"images.npz.*{message}"):
        checked(load(saved(**changes), 9, test=True), 9)


def test_files_that_are_not_npz_are_rejected_by_name(saved, tmp_path):
    config = saved()
    path = tmp_path / "images.npz"
    whole = path.read_bytes()
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    single = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 4] ^= 0xFF  # in the pixels, detected by the checksum only
    for content in (b"", b"PK", b"nonsense", whole[: len(whole) // 2], damaged, single):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"images.npz can't be read as .npz"):
            checked(load(config, 8), 8)


def test_files_with_any_byte_corrupted_raise_only_usage_errors(tmp_path):
    path = tmp_path / "arrays.npz"
    images = RNG.integers(0, 256, (4, 5, 5, 3), np.uint8)
    np.savez(path, train_images=images, train_labels=np.arange(4))
    whole = path.read_bytes()
    rejected = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            checked(load(DataConfig(str(path), validation=1), 5), 5)
        except UsageError as error:
            assert str(path) in str(error)
            rejected += 1
    assert rejected > 500


def with_header(path, descr, shape, fortran="False", size=100, **member) -> DataConfig:
    """Write a file whose training images have this header, before `size` zero bytes."""
    np.savez(path, train_labels=np.arange(4))
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}"
    header = text.ljust(117).encode() + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(size)
    with zipfile.ZipFile(path, "a", **member) as archive:
        archive.writestr("train_images.npy", content)
    return DataConfig(str(path), validation=1)


HOSTILE = [
    (
        "'|u1'",
        "(100000, 200, 100, 3)",
        r"claims to be uint8 \(100000, 200, 100, 3\) and holds 100 b",
    ),
    ("'|u1'", "(10000000000000, 10000000000, 3)", "claims to be"),
    ("'|u1'", "(-4, 5, -5, 1)", "claims to be"),
    ("'|u1'", "(4, 5, 4, 1)", "and holds 100 bytes"),
    ("'|O'", "(4, 5, 5)", "train_images holds Python objects"),
    ("'<U100000000'", "(4,)", "claims to be"),
    ("[('a', '|u1')] * 9", "(4,)", "has no header of NumPy's format"),
    ("[('" + "a" * 60 + "', '|u1')]", "(4, 5, 5)", r"\.\.\.; accepted: uint8"),
    ("()", "(4, 5, 5)", "has no header of NumPy's format"),
    ("{[]: 1}", "(4, 5, 5)", "has no header of NumPy's format"),
    ("__import__('os').abort()", "(4,)", "has no header of NumPy's format"),
    ("(" * 90, "(4, 5, 5)", "has no header of NumPy's format"),
]


@pytest.mark.parametrize(("descr", "shape", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_headers_that_claim_more_than_the_file_holds_are_rejected(tmp_path, descr, shape, message):
    with pytest.raises(UsageError, match=message):
        load(with_header(tmp_path / "x.npz", descr, shape), 5)


def test_objects_are_not_unpickled(saved):
    with pytest.raises(UsageError, match="train_images holds Python objects"):
        load(saved(train_images=np.array([print] * 20, object)), 9)
    # Other arrays are not even looked at.
    assert load(saved(notes=np.array([print], object)), 9).classes == ("0", "1", "2")


def test_fortran_order_is_read(tmp_path):
    images = RNG.integers(0, 256, (20, 9, 8, 3), np.uint8)
    for name, array in ("c", images), ("f", np.asfortranarray(images)):
        np.savez(tmp_path / f"{name}.npz", train_images=array, train_labels=np.arange(20) % 2)
    one, other = (load(DataConfig(str(tmp_path / f"{n}.npz")), 6) for n in "cf")
    assert (one.train.read() == other.train.read()).all()
    one, other = (open_source(str(tmp_path / f"{n}.npz")) for n in "cf")
    assert one.digest() == other.digest()


def test_an_array_larger_than_the_memory_is_rejected_before_it_is_read(tmp_path, monkeypatch):
    np.savez_compressed(
        tmp_path / "bomb.npz",
        train_images=np.zeros((4, 1000, 1000), np.uint8),
        train_labels=np.arange(4),
    )
    monkeypatch.setattr("mnas.data.source.available_bytes", lambda: 3_000_000)
    with pytest.raises(UsageError, match=r"bomb.npz: train_images need 4 MB of memory, and 3 MB"):
        checked(load(DataConfig(str(tmp_path / "bomb.npz"), validation=1), 8), 8)


def test_members_that_numpy_does_not_write_are_rejected(tmp_path):
    encrypted = with_header(tmp_path / "encrypted.npz", "'|u1'", "(4, 5, 5)")
    content = bytearray((tmp_path / "encrypted.npz").read_bytes())
    for signature, offset in (b"PK\x03\x04", 6), (b"PK\x01\x02", 8):
        position = content.rindex(signature)
        content[position + offset] |= 1
    (tmp_path / "encrypted.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"encrypted.npz can't be read as .npz: .*encrypted"):
        load(encrypted, 5)
    doubled = with_header(tmp_path / "doubled.npz", "'|u1'", "(4, 5, 5)")
    buffer = io.BytesIO()
    np.save(buffer, np.arange(4))
    with (
        zipfile.ZipFile(tmp_path / "doubled.npz", "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr("train_labels.npy", buffer.getvalue())
    with pytest.raises(UsageError, match=r"doubled.npz.*two arrays named train_labels"):
        load(doubled, 5)
