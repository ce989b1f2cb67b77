"""Folders of images: classes, splits, litter, layouts that can be read in two ways, links."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from mnas.data.images import DataConfig, load
from mnas.data.sources import open_source
from mnas.errors import UsageError
from tests.data.sets import RNG, checked, contents, save_classes, save_image


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
    assert (len(images.train.labels), len(images.validation.labels)) == (15, 5)
    assert images.test is None
    everything = np.concatenate([images.train.read(), images.validation.read()])
    labels = np.concatenate([images.train.labels, images.validation.labels])
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
    images = checked(load(DataConfig(str(folder / "all"), validation=0.5), 8, test=True), 8)
    assert images.test.read().max() == 102 and images.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    # Validation images come from the training folder: none has a shade of the test folder.
    assert images.validation.read().max(axis=(1, 2, 3)).min() >= 200
    assert (len(images.train.labels), len(images.validation.labels)) == (10, 10)


def test_images_are_scaled_along_the_shorter_edge_and_cropped(tmp_path):
    wide = Image.new("RGB", (40, 10), (255, 0, 0))
    wide.paste((0, 255, 0), (15, 0, 25, 10))  # the square in the middle
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        wide.save(tmp_path / name / "wide.png")
    images = load(DataConfig(str(tmp_path), validation=1), 10)
    assert (images.train.read() == [0, 255, 0]).all()


def describe(root) -> str:
    return open_source(str(root)).describe()


def test_a_class_without_images_is_rejected_by_name(folder):
    (folder / "green").mkdir()
    (folder / "green" / "notes.txt").write_text("not an image")
    with pytest.raises(UsageError, match=r"no images in .*green; accepted: .png, .apng, .jpg"):
        load(DataConfig(str(folder)), 8)


def test_the_line_names_images_classes_sizes_and_what_was_left_out(folder):
    (folder / "red" / "wide.png").unlink(missing_ok=True)
    save_image(folder / "red" / "wide.jpg", (9, 9, 9), (40, 20))
    (folder / "red" / "more.csv").write_text("")
    (folder / "red" / "LICENSE").write_text("")
    line = (
        "21 images, 2 classes (blue, red), 12×12 to 20×40, 1 nested folder part of a class; "
        "left out: 4 files (2 .txt, 1 .csv, 1 without suffix)"
    )
    assert describe(folder) == line


def test_litter_of_systems_is_left_out_and_counted(tmp_path):
    root = save_classes(tmp_path / "set")
    clean = load(DataConfig(str(root), validation=1), 8)
    save_image(root / ".ipynb_checkpoints" / "0-checkpoint.png", 0)
    (root / "cat" / ".ipynb_checkpoints").mkdir()
    (root / "cat" / "._0.png").write_bytes(b"\0\5\x16\7 not an image")
    for name in ("__MACOSX", "cat/@eaDir", "$RECYCLE.BIN"):
        (root / name).mkdir()
        save_image(root / name / "0.png", 0)
    for name in ("dog/Thumbs.db", "desktop.ini", "dog/.DS_Store"):
        (root / name).write_bytes(b"")
    (root / "dog" / "thumbs.DB").write_bytes(b"")
    images = load(DataConfig(str(root), validation=1), 8)
    assert images.classes == ("cat", "dog") and images.digest() == clean.digest()
    line = (
        "6 images, 2 classes (cat, dog), 8×8; left out: 2 hidden files, 2 hidden folders, "
        "3 system files, 3 system folders"
    )
    assert describe(root) == line


@pytest.mark.parametrize("suffix", [".jfif", ".gif", ".tif", ".JPEG", ".bmp", ".webp", ".tga"])
def test_formats_are_mixed(tmp_path, suffix):
    save_classes(save_classes(tmp_path), suffix=suffix)
    images = load(DataConfig(str(tmp_path), validation=1), 8)
    assert len(images.train.labels) == 11  # of 2 · (3 + 3), one held out
    assert describe(tmp_path) == "12 images, 2 classes (cat, dog), 8×8"


SPLITS = [("Train", "Test"), ("training", "testing"), ("TRAIN", "validation"), ("train", "Valid")]


@pytest.mark.parametrize("names", SPLITS, ids=["-".join(names) for names in SPLITS])
def test_splits_are_told_by_their_usual_names(tmp_path, names):
    training, test = names
    save_classes(tmp_path / training, count=4)
    save_classes(tmp_path / test, ("dog",), count=2)
    images = checked(load(DataConfig(str(tmp_path), validation=1), 8, test=True), 8)
    assert images.classes == ("cat", "dog") and len(images.train.labels) == 7
    assert images.test.labels.tolist() == [1, 1]
    line = "8 images, 2 classes (cat, dog), 8×8, 2 test images"
    assert describe(tmp_path) == line
    (tmp_path / "more").mkdir()
    assert describe(tmp_path) == f"{line}; left out: 1 folder without images"


def test_a_test_set_without_labels_is_none(tmp_path):
    save_classes(tmp_path / "train")
    save_image(tmp_path / "test" / "0.png", 0)
    save_image(tmp_path / "val" / "images" / "0.png", 0)
    (tmp_path / "docs").mkdir()
    images = load(DataConfig(str(tmp_path), validation=1), 8, test=True)
    assert images.classes == ("cat", "dog") and images.test is None
    left_out = "1 folder without images, 1 folder without labelled images (test), 1 folder without"
    assert describe(tmp_path).endswith(f"8×8; left out: {left_out} labelled images (val)")
    save_image(tmp_path / "val" / "dog" / "1.png", 1)
    shutil.rmtree(tmp_path / "val" / "images")
    images = load(DataConfig(str(tmp_path), validation=1), 8, test=True)
    assert images.test.labels.tolist() == [1]
    assert ", 1 test image; left out: 1 folder without images, 1 folder" in describe(tmp_path)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("test/0.png", r"test has images \(0.png\) outside of class folders"),
        ("test/bird/0.png", "test has the class folder bird; accepted: .*cat, dog"),
    ],
)
def test_a_test_set_is_read_only_when_asked_for(tmp_path, image, message):
    save_classes(tmp_path / "train")
    save_classes(tmp_path / "test")
    save_image(tmp_path / image, 0)
    assert load(DataConfig(str(tmp_path), validation=1), 8).test is None
    assert "unusable test set (" in describe(tmp_path)
    with pytest.raises(UsageError, match=message):
        load(DataConfig(str(tmp_path), validation=1), 8, test=True)


AMBIGUOUS = {
    "train/cat train/dog bird": r"has bird beside splits \(train\)",
    "train/cat train/dog Training/cat": "has both .* and ",
    "test/cat test/dog": r"folders named as splits \(test\) and no train",
    "valid invalid": r"folders named as splits \(valid\) and no train",
    "cat dog .": r"has images \(0.png\) outside of class folders",
    "train/cat train/dog train": r"train has images \(0.png\) outside of class folders",
    "train/cat train/dog .": r"has images \(0.png\) outside of class folders",
    "cat/train cat/test dog/train dog/test": r"cat has folders named as splits \(test, train\)",
    ".": r"has images \(0.png\) outside of class folders",
    "cat": r"has 1 class folder \(cat\); accepted: 2 or more",
    "train/cat test/cat": r"train has 1 class folder \(cat\); accepted: 2 or more",
}


@pytest.mark.parametrize(("folders", "message"), AMBIGUOUS.items(), ids=AMBIGUOUS)
def test_layouts_that_can_be_read_in_two_ways_are_rejected(tmp_path, folders, message):
    for name in folders.split():
        save_image(tmp_path / "set" / name / "0.png", 0)
    with pytest.raises(UsageError, match=rf"data: .*{message}"):
        load(DataConfig(str(tmp_path / "set"), validation=1), 8)


def test_an_empty_folder_is_rejected(tmp_path):
    with pytest.raises(UsageError, match="has 0 class folders; accepted: 2 or more"):
        load(DataConfig(str(tmp_path)), 8)


def test_pipes_are_never_opened(tmp_path):
    save_classes(tmp_path)
    os.mkfifo(tmp_path / "cat" / "x.png")
    os.symlink("nowhere.png", tmp_path / "cat" / "y.png")
    os.symlink("z.png", tmp_path / "cat" / "z.png")
    line = describe(tmp_path)
    assert line.endswith("left out: 2 broken links, 1 special file")
    assert len(load(DataConfig(str(tmp_path), validation=1), 8).train.labels) == 5


def test_links_are_followed_once(tmp_path):
    root = save_classes(tmp_path / "set", ("cat",))
    elsewhere = save_classes(tmp_path / "elsewhere", ("dog", "more"))
    os.symlink(elsewhere / "dog", root / "dog")
    os.symlink(elsewhere / "more" / "0.png", root / "cat" / "linked.png")
    os.symlink(root, root / "cat" / "loop")
    os.symlink(root / "cat", root / "dog" / "loop")
    line = "7 images, 2 classes (cat, dog), 8×8; left out: 2 links to a folder that is read already"
    assert describe(root) == line


def test_an_unreadable_file_is_named(tmp_path, monkeypatch):
    root = save_classes(tmp_path)

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("mnas.data.folders.os.scandir", denied)
        with pytest.raises(UsageError, match=rf"data: {root} can't be read: Permission denied"):
            load(DataConfig(str(root)), 8)


def test_names_that_are_no_text_are_shown_escaped(tmp_path):
    save_classes(tmp_path, ("a\nb", "[bold]c", "d" * 60))
    line = describe(tmp_path)
    assert line.startswith(f"9 images, 3 classes ([bold]c, a\\nb, {'d' * 37}...)")


def test_digest_is_of_contents_labels_and_classes(tmp_path):
    root = save_classes(tmp_path / "set")

    def digest(path):
        return open_source(str(path)).digest()

    first = digest(root)
    assert digest(shutil.copytree(root, tmp_path / "copy")) == first
    (root / "notes.txt").write_text("no image")
    assert digest(root) == first
    save_image(root / "cat" / "0.png", 7)
    assert digest(root) != first
    (tmp_path / "copy" / "cat" / "2.png").rename(tmp_path / "copy" / "dog" / "-.png")
    assert digest(tmp_path / "copy") != first


def test_unreadable_images_are_rejected_by_name(folder):
    path = folder / "red" / "odd.png"
    noise = RNG.integers(0, 256, (12, 12, 3), np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    for content in (b"", b"GIF89a", b"no image", whole[:40], whole[: len(whole) // 2], damaged):
        path.write_bytes(content)
        images = load(DataConfig(str(folder)), 8)
        with pytest.raises(UsageError, match=r"odd.png can't be read as an image"):
            images.train.read(), images.validation.read()
