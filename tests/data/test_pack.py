"""Packs as sources: the images of what was packed; malformed files are rejected."""

import json
import pickle

import numpy as np
import pytest

from mnas.data.images import DataConfig, load
from mnas.data.pack import PackSource
from mnas.data.sources import open_source
from mnas.errors import UsageError
from tests.data.packs import files_of, packed
from tests.data.sets import save_classes
from tests.fuzz.archives import npy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder in torchvision's layout, not to be changed."""
    root = tmp_path_factory.mktemp("folder")
    save_classes(root / "train", count=5)
    save_classes(root / "val", count=2)
    return root


@pytest.fixture
def pack(folder, tmp_path):
    """Return a pack of the folder, for one test."""
    packed(folder, tmp_path / "pack")
    return tmp_path / "pack"


@pytest.mark.parametrize("resolution", [8, 4, 11])
def test_images_labels_and_classes_are_those_of_the_source(folder, pack, resolution):
    found, expected = open_source(str(pack)), open_source(str(folder))
    assert type(found) is PackSource
    assert found.classes == expected.classes
    for name in ("train", "test"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.labels.dtype == np.int32
        assert one.labels.tolist() == other.labels.tolist()
        indices = np.arange(len(one.labels))[::-1]
        images = one.images(indices, resolution)
        assert (images.dtype, images.shape[1:]) == (np.uint8, (resolution, resolution, 3))
        np.testing.assert_array_equal(images, other.images(indices, resolution))


def test_splits_of_a_search_are_those_of_the_source(folder, pack):
    for test in (False, True):
        one, other = (
            load(DataConfig(source=str(path), validation=3), 8, test=test)
            for path in (pack, folder)
        )
        for subset in ("train", "validation"):
            a, b = getattr(one, subset), getattr(other, subset)
            np.testing.assert_array_equal(a.read(), b.read())
        assert (one.test is None) == (not test)


def test_a_pack_without_test_images_has_none(tmp_path):
    packed(save_classes(tmp_path / "in"), tmp_path / "pack")
    assert PackSource(tmp_path / "pack").test is None


def test_the_line_names_what_was_packed(folder, pack):
    line = PackSource(pack).describe()
    expected = f"10 images, 2 classes (cat, dog), 8×8, packed from {folder}, 4 test images"
    assert line == expected


def test_images_are_mapped_in_every_process(pack):
    split = PackSource(pack).train
    copy = pickle.loads(pickle.dumps(split))
    assert len(pickle.dumps(split)) < 2000
    for one in (split, copy):
        assert isinstance(one.pixels.base, np.memmap)
        assert not one.pixels.flags.writeable


def test_the_digest_is_that_of_training_images_labels_and_names(folder, tmp_path):
    packed(folder, tmp_path / "a")
    packed(folder / "train", tmp_path / "b")
    packed(folder, tmp_path / "c", resolution=4)
    a, b, c = (PackSource(tmp_path / name).digest() for name in "abc")
    assert a == b  # the test set does not count
    assert a != c


def test_verification_names_the_files_that_were_changed(pack):
    assert PackSource(pack).damaged() == []
    for name in ("train_images.npy", "test_labels.npy"):
        data = bytearray((pack / name).read_bytes())
        data[-4] ^= 1
        (pack / name).write_bytes(data)
    assert PackSource(pack).damaged() == ["train_images.npy", "test_labels.npy"]


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("train_images.npy", lambda data: None, "train_images.npy is missing"),
        (
            "train_images.npy",
            lambda data: data[:-1],
            r"train_images.npy has 2,047 bytes; accepted: "
            r"2,048, uint8 \[10, 8, 8, 3\]",
        ),
        ("train_images.npy", lambda data: data + b"x", "has 2,049 bytes"),
        ("train_images.npy", lambda data: b"", "is no .npy file of version 1"),
        ("train_images.npy", lambda data: data[:40], "has a damaged header"),
        (
            "train_images.npy",
            lambda data: npy(np.zeros((10, 8, 8, 3), "i1")),
            "is int8 10, 8, 8, 3",
        ),
        ("train_images.npy", lambda data: npy(np.zeros((9, 8, 8, 3), "u1")), "is uint8 9, 8, 8, 3"),
        ("train_images.npy", lambda data: npy(np.zeros((10, 8, 8, 3), "u1", order="F")), "Fortran"),
        (
            "train_labels.npy",
            lambda data: npy(np.full(10, 2, "<i4")),
            "the label 2 at 0; accepted: 0 to 1",
        ),
        ("train_labels.npy", lambda data: npy(np.full(10, -1, "<i4")), "the label -1"),
        ("train_labels.npy", lambda data: npy(np.zeros(10, ">i4")), "train_labels.npy is >i4 10"),
        ("test_labels.npy", lambda data: npy(np.full(4, None)), "test_labels.npy is object 4"),
    ],
)
def test_malformed_arrays_are_rejected_by_name(pack, name, changed, message):
    data = changed((pack / name).read_bytes())
    if data is None:
        (pack / name).unlink()
    else:
        (pack / name).write_bytes(data)
    with pytest.raises(UsageError, match=rf"^data: {pack}/.*{message}"):
        source = PackSource(pack)
        _ = source.train, source.test


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "mnas-pack/2", "format = 'mnas-pack/2'; accepted: mnas-pack/1"),
        ("resolution", 0, "resolution = 0; accepted: a whole number of 1 to 4,096"),
        ("resolution", True, "resolution = True"),
        ("resolution", 9, r"train_images.npy = .*shape \[10, 9, 9, 3\]"),
        ("classes", ["cat", "cat"], "classes = .*; accepted: 2 or more names, all different"),
        ("classes", "cat", "classes = 'cat'"),
        ("rows_per_part", 1.5, "rows_per_part = 1.5"),
        ("files", {}, "files = .*; accepted: train_images.npy, train_labels.npy, optionally"),
        ("files", {"../x.npy": {}}, "files = "),
        ("files", None, "files = None"),
        ("origin", {}, "origin = {}; accepted: source, digest and versions"),
        ("left_out", [{"split": "x", "index": 0, "cause": ""}], "left_out = "),
        ("more", 1, "keys = "),
    ],
)
def test_malformed_descriptions_are_rejected_by_key(pack, key, value, message):
    description = json.loads((pack / "pack.json").read_text())
    (pack / "pack.json").write_text(json.dumps({**description, key: value}))
    with pytest.raises(UsageError, match=rf"^data: {pack}/pack.json: {message}"):
        open_source(str(pack))


@pytest.mark.parametrize("shape", [[], [2**41, 8, 8, 3], [10.0, 8, 8, 3], None, [True, 8, 8, 3]])
def test_hostile_shapes_are_rejected(pack, shape):
    description = json.loads((pack / "pack.json").read_text())
    description["files"]["train_images.npy"]["shape"] = shape
    (pack / "pack.json").write_text(json.dumps(description))
    with pytest.raises(UsageError, match=r"pack.json: train_images.npy"):
        open_source(str(pack))


@pytest.mark.parametrize("text", ["", "[]", "null", '{"format": NaN}', "\x00"])
def test_descriptions_that_are_no_object_are_rejected(pack, text):
    (pack / "pack.json").write_text(text)
    with pytest.raises(UsageError, match=r"pack.json"):
        open_source(str(pack))


def test_an_unfinished_pack_is_no_source(pack):
    (pack / "pack.json").rename(pack / "packing.jsonl")
    with pytest.raises(
        UsageError, match=r"pack is an unfinished pack; accepted: one that mnas dat"
    ):
        open_source(str(pack))
    assert "train_images.npy" in files_of(pack)
