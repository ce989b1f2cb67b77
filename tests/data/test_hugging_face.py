"""Hugging Face data sets on disk: columns, splits, labels, malformed and hostile folders."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from mnas.data.sources import open_source
from mnas.errors import UsageError
from tests.data.sets import RNG, save_image

datasets = pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")
datasets.disable_progress_bars()

PIXELS = RNG.integers(0, 256, (6, 8, 8, 3), np.uint8)
LABELS = [0, 1, 2, 0, 1, 2]
NAMES = ["cat", "dog", "emu"]


def table(images=PIXELS, labels=LABELS, names=NAMES, **columns):
    """Return a table of images and labels; `columns` are further ones, as (feature, values)."""
    label = datasets.ClassLabel(names=names)
    features = {"image": datasets.Image(), "label": label}
    features |= {name: feature for name, (feature, _) in columns.items()}
    values = {"image": list(images), "label": labels}
    values |= {name: held for name, (_, held) in columns.items()}
    return datasets.Dataset.from_dict(values, features=datasets.Features(features))


@pytest.fixture
def saved(tmp_path):
    """Save tables by split, or one table; return the path."""

    def save(tables, name="set") -> str:
        if isinstance(tables, dict):
            tables = datasets.DatasetDict(tables)
        tables.save_to_disk(str(tmp_path / name))
        return str(tmp_path / name)

    return save


def test_images_and_labels_are_found_by_their_types(saved):
    path = saved({"train": table(), "test": table(PIXELS[:2], [2, 0])})
    source = open_source(path)
    assert source.classes == ("cat", "dog", "emu")
    assert source.train.labels.tolist() == LABELS and source.train.labels.dtype == np.int32
    assert (source.train.images(np.array([4, 1]), 8) == PIXELS[[4, 1]]).all()
    assert source.train.images(np.arange(6), 5).shape == (6, 5, 5, 3)
    assert (source.test.images(np.arange(2), 8) == PIXELS[:2]).all()
    assert source.test.labels.tolist() == [2, 0]
    line = "6 images, 3 classes (cat, dog, emu), 8×8, columns image and label, 2 test images"
    assert source.describe() == line
    assert open_source(f"hf:{path}").digest() == source.digest()


def test_a_table_without_splits_is_the_training_set(saved):
    source = open_source(saved(table()))
    assert source.test is None and len(source.train.labels) == 6


def test_digest_is_of_contents_labels_and_classes(saved, tmp_path):
    def digest(name, tables):
        return open_source(saved(tables, name)).digest()

    first = digest("a", {"train": table(), "test": table()})
    assert digest("b", table()) == first
    shutil.move(tmp_path / "a", tmp_path / "moved")
    assert open_source(str(tmp_path / "moved")).digest() == first
    others = {
        digest("c", table(PIXELS[::-1])),
        digest("d", table(labels=[0, 1, 2, 0, 2, 1])),
        digest("e", table(names=["cat", "dog", "owl"])),
    }
    assert len(others | {first}) == 4


def test_columns_that_are_not_unique_are_named_in_the_source(saved):
    coarse = datasets.ClassLabel(names=["pet", "bird"])
    path = saved(table(coarse=(coarse, [0, 0, 1, 0, 0, 1])))
    message = r"has 2 columns of type ClassLabel \(label, coarse\); accepted: one of each type, or"
    with pytest.raises(UsageError, match=message):
        open_source(path)
    source = open_source(f"hf:{path}#image,coarse")
    assert source.classes == ("pet", "bird") and source.train.labels.tolist() == [0, 0, 1, 0, 0, 1]
    assert "columns image and coarse; left out: 1 column of other data (label)" in source.describe()
    with pytest.raises(UsageError, match="has the columns image, label, coarse; accepted: fine"):
        open_source(f"hf:{path}#image,fine")
    with pytest.raises(UsageError, match="has images of type int64; accepted: columns of type Im"):
        open_source(f"hf:{path}#label,coarse")


@pytest.mark.parametrize(
    ("feature", "values", "classes", "expected", "note"),
    [
        ("string", ["b", "a", "c", "b", "a", "c"], ("a", "b", "c"), [1, 0, 2, 1, 0, 2], ""),
        ("uint8", [0, 1, 1, 0, 1, 1], ("0", "1"), [0, 1, 1, 0, 1, 1], ""),
        ("int64", [3, 1, 2, 3, 1, 2], ("1", "2", "3"), [2, 0, 1, 2, 0, 1], ", labels from 1"),
    ],
)
def test_named_labels_may_be_text_or_integers(saved, feature, values, classes, expected, note):
    kind = datasets.Value(feature)
    tables = {
        "train": table(kind=(kind, values)),
        "test": table(PIXELS[:2], [0, 0], kind=(kind, values[:2])),
    }
    source = open_source(f"hf:{saved(tables)}#image,kind")
    assert source.classes == classes and source.train.labels.tolist() == expected
    assert source.test.labels.tolist() == expected[:2]
    assert f"columns image and kind{note}, 2 test images" in source.describe()


def test_labels_of_the_test_set_are_matched_by_name(saved):
    test = table(PIXELS[:2], [0, 1], names=["emu", "cat"])
    assert open_source(saved({"train": table(), "test": test})).test.labels.tolist() == [2, 0]
    other = table(PIXELS[:2], [0, 1], names=["cat", "owl"])
    source = open_source(saved({"train": table(), "test": other}, "other"))
    with pytest.raises(UsageError, match=r"has the class owl; accepted: .*\(cat, dog, emu\)"):
        _ = source.test
    assert "unusable test set" in source.describe()


def test_a_test_split_without_the_columns_spoils_nothing_else(saved):
    test = table(PIXELS[:2], [0, 1]).remove_columns("label")
    source = open_source(saved({"train": table(), "test": test}))
    line = source.describe()
    assert "unusable test set (" in line and "has the columns image; accepted: label)" in line
    assert line.endswith("left out: 1 split of other images (test)")
    with pytest.raises(UsageError, match=r"has the columns image; accepted: label"):
        _ = source.test


@pytest.mark.parametrize(
    ("feature", "value"), [("float32", 1.0), ("bool", True), ({"a": "int64"}, {"a": 1})]
)
def test_labels_of_other_types_are_rejected(saved, feature, value):
    kind = datasets.Value(feature) if isinstance(feature, str) else {"a": datasets.Value("int64")}
    path = saved(table(kind=(kind, [value] * 6)))
    with pytest.raises(UsageError, match=r"has labels of type .*; accepted: ClassLabel, int"):
        open_source(f"hf:{path}#image,kind")


def test_a_test_split_without_labels_gives_way_to_validation(saved):
    unlabelled = table(PIXELS[:3], [-1, -1, -1])
    tables = {"train": table(), "validation": table(PIXELS[:2], [1, 2]), "test": unlabelled}
    source = open_source(saved(tables))
    assert source.test.labels.tolist() == [1, 2]
    assert source.describe().endswith("left out: 1 split of other images (test)")
    assert open_source(saved({"train": table(), "test": unlabelled}, "other")).test is None


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"test": table()}, "has the splits test; accepted: one named train"),
        ({"train": table(), "training": table()}, "has both train and training; accepted: one of"),
        ({"train": table(labels=[0, 1, -1, 0, 1, 2])}, "has labels from -1 to 2; accepted: 0 to 2"),
        (
            {"train": table(labels=[0, 1, None, 0, 1, 2])},
            "label has 1 missing values; accepted: on",
        ),
        ({"train": table(labels=[0] * 6, names=["cat"])}, "has 1 class; accepted: 2 or more"),
        (
            {"train": table().remove_columns("image")},
            r"has 0 columns of type Image \(label\); accepted: one of each type, or",
        ),
    ],
    ids=range(6),
)
def test_other_sets_are_rejected(saved, tables, message):
    with pytest.raises(UsageError, match=f"data: .*{message}"):
        open_source(saved(tables))


def rewritten(path, images, labels=LABELS) -> str:
    """Replace the Arrow file of a saved table, image structures included; return the path."""
    file = Path(path) / "data-00000-of-00001.arrow"
    with pa.memory_map(str(file)) as source:
        schema = pa.ipc.open_stream(source).read_all().schema
    arrays = [pa.array(images, schema.field("image").type), pa.array(labels, pa.int64())]
    with pa.ipc.new_stream(str(file), schema) as writer:
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return path


def test_tables_without_rows_are_rejected(saved):
    with pytest.raises(UsageError, match="label has no rows; accepted: one a row"):
        open_source(rewritten(saved(table()), [], []))


def test_images_may_be_files(saved, tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(6)]
    for index, path in enumerate(paths):
        save_image(path, (index * 40, 0, 0), (8, 8))
    images = [{"bytes": None, "path": str(path)} for path in paths]
    source = open_source(rewritten(saved(table()), images))
    assert source.train.images(np.array([3]), 8).max() == 120
    digest = source.digest()
    paths[0].write_bytes(paths[1].read_bytes())
    assert source.digest() != digest
    paths[0].unlink()
    with pytest.raises(UsageError, match=r"image 0 is .*; accepted: image files within the data"):
        source.train.images(np.array([0]), 8)


@pytest.mark.parametrize(
    "image",
    [
        {"bytes": None, "path": None},
        {"bytes": None, "path": "/dev/zero"},
        {"bytes": None, "path": "zip://0.png::https://example.org/images.zip"},
        {"bytes": b"", "path": "0.png"},
        {"bytes": b"\x89PNG", "path": "0.png"},
    ],
    ids=["neither", "device", "url", "empty", "damaged"],
)
def test_unreadable_images_are_rejected_by_number(saved, image):
    whole = table().data.column("image").to_pylist()
    source = open_source(rewritten(saved(table()), [*whole[:5], image]))
    assert source.train.images(np.arange(5), 8).shape == (5, 8, 8, 3)
    with pytest.raises(UsageError, match="set: train: image 5 "):
        source.train.images(np.array([5]), 8)
    with pytest.raises(UsageError, match="set: train: image 5 "):
        source.describe()


def edited(path, edit) -> str:
    """Edit the JSON content of a file; return its folder."""
    content = json.loads(path.read_text())
    path.write_text(json.dumps(edit(content)))
    return str(path.parent)


HOSTILE = {
    "absolute": {"filename": "/dev/zero"},
    "above": {"filename": "../data.arrow"},
    "number": {"filename": 7},
    "no name": {},
    "text": "data.arrow",
    "missing": {"filename": "data.arrow"},
    "pipe": {"filename": "pipe"},
    "folder": {"filename": ".."},
    "null": {"filename": "a\0"},
    "surrogate": {"filename": "\ud800"},
    "long": {"filename": "9" * 5000},
}


@pytest.mark.parametrize("entry", HOSTILE.values(), ids=HOSTILE)
def test_files_outside_of_the_folder_are_not_opened(saved, entry):
    state = Path(saved(table())) / "state.json"
    os.mkfifo(state.with_name("pipe"))
    path = edited(state, lambda content: {**content, "_data_files": [entry]})
    with pytest.raises(UsageError, match=r"set(/data)? has no |set: pipe is no regular file"):
        open_source(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda _: [],
        lambda content: {**content, "_data_files": {}},
        lambda content: {**content, "_data_files": []},
        lambda content: {k: v for k, v in content.items() if k != "_fingerprint"},
        lambda content: {**content, "_format_type": "unheard-of"},
    ],
    ids=["list", "files", "no files", "fingerprint", "format"],
)
def test_malformed_states_are_rejected(saved, edit):
    with pytest.raises(UsageError, match=r"set"):
        open_source(edited(Path(saved(table())) / "state.json", edit))


@pytest.mark.parametrize("names", ["train", [7], ["../train"], [], None, ["train", "test"]])
def test_malformed_splits_are_rejected(saved, names):
    path = Path(saved({"train": table()})) / "dataset_dict.json"
    with pytest.raises(UsageError, match=r"set"):
        open_source(edited(path, lambda content: {**content, "splits": names}))


def test_damaged_tables_are_rejected(saved):
    path = saved(table())
    file = Path(path) / "data-00000-of-00001.arrow"
    whole = file.read_bytes()
    for content in (b"", whole[:50], whole[: len(whole) // 2], b"x" * 1000):
        file.write_bytes(content)
        with pytest.raises(UsageError, match=r"set can't be loaded|is malformed|missing values"):
            open_source(path).digest()


def test_names_that_are_no_folder_are_the_hubs(monkeypatch):
    asked = []

    def load(name, config):
        asked.append((name, config))
        return datasets.DatasetDict({"train": table()})

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert open_source("hf:uoft-cs/cifar10").classes == ("cat", "dog", "emu")
    assert open_source("hf:uoft-cs/cifar10:plain_text#image,label").test is None
    assert asked == [("uoft-cs/cifar10", None), ("uoft-cs/cifar10", "plain_text")]

    def fail(name, config):
        raise ConnectionError(f"couldn't reach {name}\nand more")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(UsageError, match=r"hf:a/b can't be loaded: couldn't reach a/b$"):
        open_source("hf:a/b")


@pytest.mark.parametrize("name", ["/gone", "./gone", "a/b/c", "a b", "é"])
def test_other_names_are_looked_for_on_disk_only(monkeypatch, name):
    monkeypatch.setattr(datasets, "load_dataset", None)
    with pytest.raises(UsageError, match=r"no such folder; accepted: a folder that save_to_disk"):
        open_source(f"hf:{name}#image,label")


def test_the_package_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match=r"needs the package datasets; accepted: after pip insta"):
        open_source("hf:a/b")
