"""Readers of images: `.npz` files and folders."""

import io
import os
import re
import shutil
import zipfile
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from mnas.data.images import DataConfig, Images, load
from tests.fuzz.archives import npy, zipped
from tests.fuzz.contract import read
from tests.fuzz.strategies import edited_bytes

SIDE = 6  # also the resolution, so that nothing is resized
rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (8, SIDE, SIDE), np.uint8)
LABELS = np.arange(8) % 2
ARRAYS = {"train_images": IMAGES, "train_labels": LABELS, "classes": np.array(["cat", "dog"])}


def npz(arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def with_header(header: str, data: bytes = b"\0" * 64) -> bytes:
    """Return a `.npy` file with any text as its header."""
    text = header.encode("latin-1", "replace")
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def held(images: Images) -> Counter:
    """Return how often each label and each pair of red channel and label occurs."""
    pairs = [
        *zip(images.train.read(), images.train.labels, strict=True),
        *zip(images.validation.read(), images.validation.labels, strict=True),
    ]
    return Counter((image[..., 0].tobytes(), int(label)) for image, label in pairs)


def everything(config: DataConfig) -> Images:
    """Return the images of a configuration, all of which can be read."""
    images = load(config, SIDE)
    for subset in (images.train, images.validation):
        subset.read()
    return images


def loaded(source) -> Images | None:
    """Return the images of a source, if it is not rejected; whatever is read is usable."""
    config = DataConfig(source=str(source), validation=1)
    images = read(lambda: everything(config), source, "validation = 1 of 1 ")
    if images is not None:
        labels = np.concatenate([images.train.labels, images.validation.labels])
        assert images.train.read().shape[1:] == (SIDE, SIDE, 3)
        assert images.train.read().dtype == np.uint8
        assert labels.min() >= 0
        assert labels.max() < len(images.classes)
    return images


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "images.npz"


def test_the_valid_file_is_read(file):
    file.write_bytes(npz(ARRAYS))
    pairs = zip(IMAGES, LABELS, strict=True)
    assert held(loaded(file)) == Counter((image.tobytes(), label) for image, label in pairs)


@given(content=edited_bytes(npz(ARRAYS)))
def test_damaged_npz(file, content):
    file.write_bytes(npz(ARRAYS))
    expected = held(loaded(file))
    file.write_bytes(content)
    images = loaded(file)
    # The names of arrays are no part of the checksums.
    assert images is None or held(images) == expected


shapes = st.lists(st.integers(0, 5), max_size=5).map(tuple)
dtypes = st.sampled_from(
    [
        "uint8",
        "int8",
        "int32",
        "int64",
        "uint64",
        "float32",
        "float16",
        "bool",
        "complex64",
        "U3",
        "S2",
        "M8[D]",
        "O",
        "V4",
        "i4,f4",
    ]
)
label_values = st.sampled_from([0, 1, 2, 3, 5, 255, 256, -1, 10**6, 2**31, 2**32, 2**63])
array_names = st.one_of(
    st.sampled_from(
        [
            "train_images",
            "train_labels",
            "test_images",
            "test_labels",
            "classes",
            "x_train",
            "y_train",
            "x_test",
            "y_test",
            "val_images",
            "val_labels",
            ".npy",
        ]
    ),
    st.text(max_size=4),
)


@st.composite
def arrays(draw):
    """Arrays of the right names and shapes, and of others."""
    found = dict(ARRAYS)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(array_names)
        kind = draw(st.sampled_from(["any", "labels", "images", "remove"]))
        if kind == "remove":
            found.pop(name, None)
        elif kind == "labels":
            values = draw(st.lists(label_values, min_size=8, max_size=8))
            whole = np.array([value % 2**64 for value in values], np.uint64)
            array = whole.astype(draw(st.sampled_from(["u8", "i8", "i4", "O", "f8"])))
            found[name] = array.reshape(draw(st.sampled_from([(8,), (8, 1), (1, 8), (2, 4)])))
        elif kind == "images":
            size = draw(
                st.sampled_from([(8, 6, 6, 1), (8, 6, 6, 3), (8, 6, 6, 4), (8, 36), (8, 0, 6)])
            )
            found[name] = np.full(size, 7, draw(st.sampled_from(["u1", "f4", "u2", "i8"])))
        else:
            found[name] = np.zeros(draw(shapes), draw(dtypes))
    return {re.sub(r"[/\0]", "_", name): array for name, array in found.items()}


@given(found=arrays(), compressed=st.booleans())
def test_npz_of_other_arrays(file, found, compressed):
    compression = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    members = {f"{name}.npy": npy(array) for name, array in found.items()}
    file.write_bytes(zipped(members, compression))
    images = loaded(file)
    if images is not None:
        labels = found.get("train_labels", found.get("y_train")).ravel()
        from_one = labels.min() >= 1 and labels.max() == len(images.classes)
        read_labels = sorted(label + from_one for _, label in held(images).elements())
        assert read_labels == sorted(labels.tolist())


COLOUR = rng.integers(0, 256, (8, SIDE, SIDE, 3), np.uint8)
COLOUR[0, 0, 0] = 255


@given(
    channels=st.sampled_from([1, 3]),
    first=st.booleans(),
    scale=st.sampled_from([None, 1, 1, 255, 2, 0.4, 1 / 255, -1, np.nan]),
    dtype=st.sampled_from(["float16", "float32", ">f8"]),
    columns=st.sampled_from([0, 1, 2, 3]),
    offset=st.sampled_from([0, 0, 1, 2, -1]),
    edit=st.one_of(st.none(), st.tuples(st.integers(0, 7), st.sampled_from([0, 1, 2, -1]))),
)
def test_npz_of_other_forms(file, channels, first, scale, dtype, columns, offset, edit):
    """Forms that are converted give the images and labels they were made of; others are rejected.

    scale    white in floats; None: bytes
    columns  of the labels; 2 or more are one-hot
    edit     index and value of a label, in its first column
    """
    pixels = COLOUR[..., :channels]
    images = pixels if scale is None else (pixels / 255 * scale).astype(dtype)
    labels = np.eye(columns, dtype=int)[LABELS] if columns > 1 else LABELS[:, None] + offset
    if edit is not None:
        labels[edit[0], 0] = edit[1]
    labels = labels if columns else labels[:, 0]
    images = images.transpose(0, 3, 1, 2) if first else images
    file.write_bytes(npz({"train_images": images, "train_labels": labels}))
    found = loaded(file)
    if found is not None:
        assert scale in (None, 1)
        expected = labels.argmax(1) if columns > 1 else labels.ravel() - labels.min()
        assert (labels.sum(1) == 1).all() if columns > 1 else labels.min() in (0, 1)
        pairs = zip(pixels[..., 0], expected.tolist(), strict=True)
        assert held(found) == Counter((image.tobytes(), label) for image, label in pairs)
    else:
        assert scale not in (None, 1) or offset not in (0, 1) or edit is not None


HUGE = (2**20, 2**31, 2**40, 2**63, 2**64, 10**30)
headers = st.builds(
    "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}\n".format,
    st.sampled_from(["'|u1'", "'<i8'", "'|O'", "'<U4'", "'|S99999999'", "[('a','u1')]", "1", "''"]),
    st.sampled_from(["False", "True", "1", "None"]),
    st.one_of(
        st.lists(st.one_of(st.integers(-2, 9), st.sampled_from(HUGE)), max_size=4).map(tuple),
        st.sampled_from(
            ["()", "(8,)", "(8, 6, 6)", "8", "(1.5,)", "('a',)", "(" * 300, "(8,) * 9"]
        ),
    ),
)


@given(
    header=st.one_of(headers, st.text(max_size=40)),
    name=st.sampled_from([*ARRAYS]),
    data=st.sampled_from([b"", b"\0" * 64, b"\1" * 288]),
)
@example(
    header="{'descr': '|u1', 'fortran_order': False, 'shape': (6000000000, 1, 1)}\n",
    name="train_images",
    data=b"",
)
def test_npz_with_other_headers(file, header, name, data):
    members = {f"{name}.npy": npy(array) for name, array in ARRAYS.items()}
    file.write_bytes(zipped({**members, f"{name}.npy": with_header(header, data)}))
    loaded(file)


# --- folders ------------------------------------------------------------------------------------


def encoded(kind: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    pixels = IMAGES[0] if mode != "I;16" else IMAGES[0].astype(np.uint16) * 257
    image = Image.fromarray(pixels)
    (image if mode == "I;16" else image.convert(mode)).save(file, kind)
    return file.getvalue()


PICTURES = {
    ".png": encoded("png"),
    ".jpg": encoded("jpeg"),
    ".gif": encoded("gif", "P"),
    ".bmp": encoded("bmp"),
    ".webp": encoded("webp"),
    ".ppm": encoded("ppm"),
    ".tiff": encoded("tiff"),
    ".JPEG": encoded("jpeg", "L"),
    ".tif": encoded("tiff", "I;16"),
    ".PNG": encoded("png", "RGBA"),
}
NAMES = (
    *("cat", "dog", "train", "Test", "val", "validation", "1", "é", "a b", "[x]", "x" * 60, ".x"),
    *("__MACOSX", ".ipynb_checkpoints", "@eaDir", "lost+found", "a\nb", "\udcff", "$RECYCLE.BIN"),
)
names = st.sampled_from(NAMES)
file_names = st.tuples(names, st.sampled_from([*PICTURES, ".txt", "", ".npz", ".png~"])).map(
    "".join
)
contents = st.one_of(
    st.sampled_from([*PICTURES.values()]),
    st.sampled_from([b"", b"text", b"\0" * 100, b"\x89PNG\r\n\x1a\n", b"II*\0"]),
    st.sampled_from([*PICTURES.values()]).flatmap(edited_bytes),
)
others = st.sampled_from(["directory", "fifo", "dangling", "loop", "device", "unreadable"])


def put(path, content) -> None:
    """Write a file, or another kind of directory entry."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "directory":
        path.mkdir()
    elif content == "fifo":
        os.mkfifo(path)
    elif content == "dangling":
        path.symlink_to("missing")
    elif content == "loop":
        path.symlink_to(path.parent, target_is_directory=True)
    elif content == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"")
        path.chmod(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "images"


def emptied(folder) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


@given(
    found=st.dictionaries(
        st.lists(names, max_size=2).flatmap(
            lambda parents: file_names.map(lambda name: (*parents, name))
        ),
        st.one_of(contents, contents, others),
        max_size=8,
    ),
    classes=st.sampled_from([(), ("cat", "dog"), ("train/cat", "train/dog", "val/cat", "val/dog")]),
)
def test_folder(folder, found, classes):
    emptied(folder)
    for name in classes:
        for number in range(3):
            put(folder / name / f"{number}.png", PICTURES[".png"])
    for path, content in found.items():
        try:
            put(folder.joinpath(*path), content)
        except OSError:  # a file in the place of a directory, or a name twice
            continue
    images = loaded(folder)
    if images is not None:
        assert len(images.classes) >= 2
        assert not any(name.startswith(".") for name in images.classes)
        assert len(held(images)) <= 3 * len(classes) + len(found)


@given(suffix=st.sampled_from([*PICTURES]), data=st.data())
def test_folder_with_a_damaged_image(folder, suffix, data):
    emptied(folder)
    for name in ("cat", "dog"):
        for number in range(2):
            put(folder / name / f"{number}{suffix}", PICTURES[suffix])
    put(folder / "cat" / f"damaged{suffix}", data.draw(edited_bytes(PICTURES[suffix])))
    images = loaded(folder)
    assert images is None or sum(held(images).values()) == 5
