"""Readers of data sets: CIFAR's archives, MNIST's idx files, Hugging Face tables, packs."""

import gzip
import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mnas.data.sources import open_source
from tests.data.packs import files_of, packed
from tests.data.sets import cifar_files, idx, idx_files, save_files
from tests.fuzz.contract import read
from tests.fuzz.strategies import edited_bytes, edited_json, edited_text, fewer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "set"


def opened(path):
    """Return the source at a path, if it is not rejected; all of it can be read or is rejected."""

    def whole():
        source = open_source(str(path))
        source.describe()
        source.digest()
        return source, [part.images(np.arange(len(part.labels)), 6) for part in splits(source)]

    found = read(whole, path)
    if found is None:
        return None
    source, images = found
    assert len(source.classes) == len({*source.classes}) >= 2
    for part, pixels in zip(splits(source), images, strict=True):
        assert pixels.shape == (len(part.labels), 6, 6, 3) and pixels.dtype == np.uint8
        assert part.labels.dtype == np.int32
        assert part.labels.min() >= 0 and part.labels.max() < len(source.classes)
    return source


def splits(source):
    return [source.train] if source.test is None else [source.train, source.test]


# --- CIFAR --------------------------------------------------------------------------------------

CIFAR = {number: cifar_files(number, count=2) for number in (10, 100)}


def tar(files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = tar(CIFAR[100])


def test_valid_archives_are_read(folder):
    for content in (ARCHIVE, gzip.compress(ARCHIVE)):
        folder.mkdir(exist_ok=True)
        (folder / "a.tar").write_bytes(content)
        assert opened(folder / "a.tar").train.labels.tolist() == [99, 98]


@given(content=edited_bytes(ARCHIVE), zipped=st.booleans())
def test_damaged_archive(folder, content, zipped):
    folder.mkdir(exist_ok=True)
    (folder / "a.tar").write_bytes(gzip.compress(content, 1) if zipped else content)
    opened(folder / "a.tar")


@given(content=edited_bytes(gzip.compress(ARCHIVE)))
def test_damaged_gzip(folder, content):
    folder.mkdir(exist_ok=True)
    (folder / "a.tar.gz").write_bytes(content)
    opened(folder / "a.tar.gz")


FIELDS = {"name": (0, 100), "size": (124, 12), "type": (156, 1), "link": (157, 100)}
values = st.one_of(
    st.sampled_from(
        [
            *(b"0", b"1", b"2", b"3", b"5", b"6", b"7", b"g", b"x", b"L", b"K", b"S", b"D"),
            *(b"\0", b"\xff", b"1000000000", b"00000000000 "),
            *(b"77777777777\0", b"\x80" + b"\xff" * 11, b"\xff" * 12, b"-1", b"9e9", b"../../x"),
        ]
    ),
    st.binary(max_size=12),
)
extended = st.sampled_from(
    [
        b"",
        *(b"30 size=99999999999999999999\n", b"12 size=-1 \n", b"9 path=x\n", b"99999999999 a=b\n"),
        *(b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n", b"28 GNU.sparse.map=0,99999999\n"),
        *(b"0 a=b\n" * 50, b"1" * 500, b"19 GNU.sparse.size=\n", b"16 mtime=1e9999\n"),
    ]
)


def header(changes, content=b"") -> bytes:
    """Return the header of a member with fields replaced, its checksum right, and its content."""
    member = tarfile.TarInfo("cifar/train.bin")
    member.size = len(content)
    block = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    for field, value in changes.items():
        start, length = FIELDS[field]
        block[start : start + length] = value[:length].ljust(length, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block) + content.ljust(-len(content) % 512 + len(content), b"\0")


@given(changes=st.dictionaries(st.sampled_from([*FIELDS]), values, max_size=3), records=extended)
@example(changes={"size": b"\x80" + b"\xff" * 11}, records=b"")
def test_archive_with_another_header(folder, changes, records):
    folder.mkdir(exist_ok=True)
    before = header({"type": b"x"}, records) if records else b""
    (folder / "a.tar").write_bytes(before + header(changes) + ARCHIVE)
    opened(folder / "a.tar")


@given(number=st.sampled_from([10, 100]), data=st.data())
def test_folder_with_a_damaged_file(folder, number, data):
    shutil.rmtree(folder, ignore_errors=True)
    name = data.draw(st.sampled_from([*CIFAR[number]]))
    save_files(folder, CIFAR[number] | {name: data.draw(edited_bytes(CIFAR[number][name]))})
    opened(folder)


# --- idx ----------------------------------------------------------------------------------------

MNIST = idx_files("emnist-letters-", "test", first=1)
MAPPING = "1 65 97\n2 66 98\n3 67 99\n4 68\n"
dimensions = st.lists(
    st.one_of(st.integers(0, 12), st.sampled_from([2**16, 2**31, 2**32 - 1])), max_size=5
)


@given(data=st.data(), zipped=st.booleans(), mapped=st.booleans())
def test_damaged_idx_file(folder, data, zipped, mapped):
    shutil.rmtree(folder, ignore_errors=True)
    name = data.draw(st.sampled_from([*MNIST]))
    content = data.draw(edited_bytes(MNIST[name]))
    files = MNIST | {name: gzip.compress(content, 1) if zipped else content}
    save_files(folder, files | ({"emnist-letters-mapping.txt": MAPPING.encode()} if mapped else {}))
    opened(folder)


@given(shape=dimensions, kind=st.integers(0, 255), size=st.integers(0, 400), data=st.data())
def test_idx_file_with_another_header(folder, shape, kind, size, data):
    shutil.rmtree(folder, ignore_errors=True)
    magic = data.draw(st.sampled_from([bytes([0, 0, 8, len(shape)]), bytes([0, 0, kind, 3])]))
    content = magic + np.array(shape, ">u4").tobytes() + bytes(size)
    name = data.draw(st.sampled_from([*MNIST]))
    save_files(folder, MNIST | {name: content})
    opened(folder)


@given(data=st.data())
def test_gzipped_idx_file_that_is_damaged(folder, data):
    shutil.rmtree(folder, ignore_errors=True)
    name = data.draw(st.sampled_from([*MNIST]))
    content = data.draw(edited_bytes(gzip.compress(MNIST[name], 1)))
    del (files := dict(MNIST))[name]
    save_files(folder, files | {f"{name}.gz": content})
    opened(folder)


@given(mapping=edited_text(MAPPING), labels=st.lists(st.integers(0, 255), min_size=9, max_size=9))
def test_idx_files_with_another_mapping(folder, mapping, labels):
    shutil.rmtree(folder, ignore_errors=True)
    files = {
        "emnist-letters-mapping.txt": mapping.encode(errors="replace"),
        "emnist-letters-train-labels-idx1-ubyte": idx(labels),
    }
    save_files(folder, MNIST | files)
    source = opened(folder)
    if source is not None:
        assert {*np.unique(labels)} == {*np.array(labels)[np.unique(source.train.labels, True)[1]]}


# --- Hugging Face -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(folder):
    """Files of a small set that `save_to_disk` wrote, by their paths below `folder`."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    images = [np.full((6, 6, 3), 20 * index, np.uint8) for index in range(4)]
    table = datasets.Dataset.from_dict({"image": images, "label": [0, 1, 0, 1]}, features=features)
    shutil.rmtree(folder, ignore_errors=True)
    datasets.DatasetDict({"train": table, "test": table}).save_to_disk(str(folder))
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write(folder, files) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@fewer
@given(data=st.data())
def test_damaged_table(saved, folder, data):
    name = "train/data-00000-of-00001.arrow"
    write(folder, saved | {name: data.draw(edited_bytes(saved[name]))})
    opened(folder)


@fewer
@given(
    data=st.data(),
    name=st.sampled_from(
        ["dataset_dict.json", "train/state.json", "train/dataset_info.json", "test/state.json"]
    ),
)
def test_edited_description_of_a_table(saved, folder, data, name):
    edited = data.draw(edited_json(json.loads(saved[name])))
    write(folder, saved | {name: json.dumps(edited).encode()})
    opened(folder)


# --- packs --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pack(folder):
    """Files of a small pack, by name."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        packed(save_files(path / "in", idx_files()), path / "out", resolution=6)
        return files_of(path / "out")


@given(data=st.data())
def test_pack_with_a_damaged_file(folder, pack, data):
    shutil.rmtree(folder, ignore_errors=True)
    name = data.draw(st.sampled_from([*pack]))
    save_files(folder, pack | {name: data.draw(edited_bytes(pack[name]))})
    opened(folder)


@given(data=st.data())
def test_pack_with_another_description(folder, pack, data):
    shutil.rmtree(folder, ignore_errors=True)
    description = data.draw(edited_json(json.loads(pack["pack.json"])))
    text = json.dumps(description).encode(errors="replace")
    save_files(folder, pack | {"pack.json": text})
    opened(folder)


headers = st.tuples(
    st.sampled_from(["|u1", "<i4", ">i4", "|O", "|V8", "<U9", [("a", "<i4")], "('u1', 2)", "zz"]),
    st.one_of(st.booleans(), st.none(), st.integers()),
    st.one_of(
        st.lists(st.integers(-1, 2**64), max_size=5).map(tuple),
        st.sampled_from([(9, 6, 6, 3), (9,), 9, None, "x", (9.0, 6, 6, 3), (True,)]),
    ),
)


@given(name=st.sampled_from(["train_images.npy", "test_labels.npy"]), header=headers)
def test_pack_with_another_header(folder, pack, name, header):
    shutil.rmtree(folder, ignore_errors=True)
    text = (
        repr(dict(zip(("descr", "fortran_order", "shape"), header, strict=True))).encode() + b"\n"
    )
    magic = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
    save_files(folder, pack | {name: magic + text + pack[name][128:]})
    opened(folder)
