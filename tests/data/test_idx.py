"""MNIST's idx files: names, splits, labels, EMNIST's mapping, malformed files."""

import gzip

import numpy as np
import pytest

from mnas.data.sources import open_source
from mnas.errors import UsageError
from tests.data.sets import idx, idx_files, save_files, save_idx

LINE = "9 images, 3 classes (0, 1, 2), 7×6, 4 test images"


def test_images_and_labels_are_those_of_the_files(tmp_path):
    files = idx_files()
    source = open_source(str(save_files(tmp_path, files)))
    pixels = np.frombuffer(files["train-images-idx3-ubyte"][16:], np.uint8).reshape(9, 7, 6)
    assert (source.train.pixels == pixels).all()
    assert source.train.labels.tolist() == [0, 1, 2] * 3 and source.train.labels.dtype == np.int32
    assert source.test.labels.tolist() == [0, 1, 2, 0]
    grey = source.train.images(np.array([8, 2]), 7)
    assert grey.shape == (2, 7, 7, 3) and (grey[..., 0] == grey[..., 2]).all()
    assert source.describe() == LINE


@pytest.mark.parametrize("name", ["{}.gz", "{}"])
def test_gzipped_files_are_read_whatever_their_names(tmp_path, name):
    files = idx_files()
    plain = open_source(str(save_files(tmp_path / "plain", files)))
    zipped = {name.format(key): gzip.compress(content) for key, content in files.items()}
    source = open_source(str(save_files(tmp_path / "zipped", zipped)))
    assert source.digest() == plain.digest() and source.describe() == LINE
    # The path of the training images names their set, too.
    images = tmp_path / "zipped" / name.format("train-images-idx3-ubyte")
    assert open_source(str(images)).digest() == plain.digest()


def test_names_with_a_dot_are_read(tmp_path):
    files = {name.replace("-idx", ".idx"): content for name, content in idx_files().items()}
    assert open_source(str(save_files(tmp_path, files))).describe() == LINE


def test_of_a_file_that_is_there_twice_the_unzipped_one_is_read(tmp_path):
    save_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    assert open_source(str(tmp_path)).describe() == f"{LINE}; left out: 1 file (.gz)"


def test_a_test_set_is_optional(tmp_path):
    save_idx(tmp_path)
    for name in "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte":
        source = open_source(str(tmp_path))
        (tmp_path / name).unlink()
    with pytest.raises(UsageError, match="has no t10k-images-idx3-ubyte; accepted: images and la"):
        _ = source.test
    source = open_source(str(tmp_path))
    assert source.test is None
    assert source.describe() == LINE.removesuffix(", 4 test images")


EMNIST = "emnist-letters-"


def emnist(mapping: bytes) -> dict[str, bytes]:
    return {**idx_files(EMNIST, "test", first=1), f"{EMNIST}mapping.txt": mapping}


def test_classes_of_emnist_are_those_of_its_mapping(tmp_path):
    mapping = b"1 65 97 \n2 66 98\n3 67 99\n4 68 100\n"
    source = open_source(str(save_files(tmp_path, emnist(mapping))))
    assert source.classes == ("Aa", "Bb", "Cc", "Dd")
    assert source.train.labels.tolist() == [0, 1, 2] * 3
    assert source.test.labels.tolist() == [0, 1, 2, 0]
    line = (
        "9 images, 4 classes (Aa, Bb, Cc, Dd), 7×6, transposed, as EMNIST stores them, "
        "labels from 1, 4 test images"
    )
    assert source.describe() == line


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (b"", r"names 0 classes \(\); accepted: 2 or more"),
        (b"1 65\n", r"names 1 classes \(A\); accepted: 2 or more"),
        (b"1 65\n2 65\n", r"names 2 classes \(A, A\); accepted: 2 or more, all different"),
        (b"1 65\n1 66\n", "has the line '1 66'; accepted: a label and codes"),
        (b"1 65\n2\n", "has the line '2'; accepted: a label and codes"),
        (b"1 65\n256 66\n", "has the line '256 66'"),
        (b"1 65\n2 \xff\n", r"has the line '2 ÿ'"),
        (b"1 65\n-2 66\n", "has the line '-2 66'"),
        (b"1 65\n3 66\n", r"train-labels-idx1-ubyte has the label 2; accepted: .*\(1, 3\)"),
        (b"1 65\n" * 30_000, "names 0 classes"),
    ],
    ids=range(10),
)
def test_malformed_mappings_are_rejected(tmp_path, mapping, message):
    with pytest.raises(UsageError, match=message):
        open_source(str(save_files(tmp_path, emnist(mapping))))


def test_several_sets_in_a_folder_are_told_by_the_path_of_one(tmp_path):
    save_idx(tmp_path)
    save_idx(tmp_path, prefix="emnist-digits-", test="test")
    message = (
        r"has emnist-digits-train-images-idx3-ubyte, train-images-idx3-ubyte; accepted: one set, or"
    )
    with pytest.raises(UsageError, match=message):
        open_source(str(tmp_path))
    source = open_source(str(tmp_path / "train-images-idx3-ubyte"))
    assert source.describe() == f"{LINE}; left out: 4 files (without suffix)"


def test_labels_with_gaps_are_rejected(tmp_path):
    files = idx_files()
    save_files(tmp_path, {**files, "train-labels-idx1-ubyte": idx(np.arange(9) * 2)})
    with pytest.raises(UsageError, match="idx1-ubyte has the 9 labels 0, 2, 4, 6, 8, 10, 12, 14, "):
        open_source(str(tmp_path))


def test_test_labels_are_those_of_the_training_set(tmp_path):
    files = idx_files()
    save_files(tmp_path, {**files, "t10k-labels-idx1-ubyte": idx([0, 1, 3, 2])})
    source = open_source(str(tmp_path))
    with pytest.raises(UsageError, match=r"t10k-labels.* has the label 3; accepted: .*\(0, 1, 2\)"):
        _ = source.test
    assert "unusable test set" in source.describe()


LABELS, IMAGES = "train-labels-idx1-ubyte", "train-images-idx3-ubyte"
MALFORMED = {
    "empty": (IMAGES, b"", "starts with nothing; accepted: 00 00 08 03, unsigned bytes in 3 dim"),
    "kind": (IMAGES, b"\0\0\x0d\3" + bytes(100), "starts with 00 00 0d 03; accepted: 00 00 08 03"),
    "labels": (IMAGES, idx(np.arange(9)), "starts with 00 00 08 01; accepted: 00 00 08 03"),
    "header": (IMAGES, b"\0\0\x08\3\0\0\0\1\0\0", r"claims to be \(1,\) and has 10 bytes"),
    "no image": (IMAGES, idx(np.zeros((0, 7, 6))), r"claims to be \(0, 7, 6\) and has 16 bytes"),
    "huge": (IMAGES, b"\0\0\x08\3" + b"\xff" * 12, "claims to be .* and has 16 bytes"),
    "more labels": (LABELS, idx(np.arange(10) % 3), "has 10 labels; accepted: 9, one for each"),
    "few values": (LABELS, idx(np.arange(9))[:-1], r"8 of the 9 values of \(9,\)"),
    "more values": (LABELS, idx(np.arange(9) % 3) + b"\0", r"more than the 9 values of \(9,\)"),
    "truncated": (LABELS, gzip.compress(idx(np.arange(9) % 3))[:-9], "can't be read as an idx"),
    "checksum": (LABELS, gzip.compress(idx(np.arange(9) % 3))[:-8] + bytes(8), "CRC check failed"),
    "bomb": (LABELS, gzip.compress(idx(np.arange(9) % 3) + bytes(1 << 20)), "more than the 9 val"),
}


@pytest.mark.parametrize(("name", "content", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_files_are_rejected_by_name(tmp_path, name, content, message):
    save_files(tmp_path, {**idx_files(), name: content})
    with pytest.raises(UsageError, match=f"{name}.*{message}"):
        open_source(str(tmp_path)).digest()


def test_a_claim_beyond_the_memory_is_rejected_before_it_is_read(tmp_path, monkeypatch):
    images = gzip.compress(idx(np.zeros((9, 1000, 1000))))
    save_files(tmp_path, {**idx_files(), IMAGES: images})
    source = open_source(str(tmp_path))
    monkeypatch.setattr("mnas.data.source.available_bytes", lambda: 3_000_000)
    with pytest.raises(UsageError, match="idx3-ubyte need 9 MB of memory, and 3 MB are available"):
        source.digest()


def test_missing_labels_are_named(tmp_path):
    (save_idx(tmp_path) / LABELS).unlink()
    with pytest.raises(UsageError, match=f"has no {LABELS}; accepted: images and labels of each"):
        open_source(str(tmp_path))
