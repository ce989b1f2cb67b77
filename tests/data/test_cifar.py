"""CIFAR's binary archives: records, classes, malformed and hostile archives."""

import gzip
import io
import os
import tarfile

import numpy as np
import pytest

from mnas.data.sources import open_source
from mnas.errors import UsageError
from tests.data.sets import cifar_files, save_cifar, save_files


def tar(files, folder="cifar-10-batches-bin", **changes) -> bytes:
    """Return a gzipped archive of files in a folder, as downloaded; `changes` are of headers."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        directory = tarfile.TarInfo(folder)
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            for field, value in changes.items():
                setattr(member, field, value)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path):
    """Return the source of an archive of these bytes."""

    def build(content):
        path = tmp_path / "cifar-10-binary.tar.gz"
        path.write_bytes(content)
        return open_source(str(path))

    return build


def test_records_are_label_and_planes_of_red_green_and_blue(tmp_path):
    files = cifar_files(count=4)
    source = open_source(str(save_files(tmp_path, files)))
    assert source.train.labels.tolist() == [0, 1, 2, 3] * 5
    record = np.frombuffer(files["data_batch_2.bin"], np.uint8)[3073 : 2 * 3073]
    image = source.train.images(np.array([5]), 32)[0]
    # The first 1,024 bytes are red, row by row.
    assert image[0, 1].tolist() == [record[2], record[1 + 1024 + 1], record[1 + 2048 + 1]]
    assert image[31, 0, 2] == record[1 + 2048 + 31 * 32]
    assert source.test.images(np.arange(4), 8).shape == (4, 8, 8, 3)
    line = (
        "20 images, 10 classes (class0, class1, class2, class3, class4, class5, class6, class7, "
        "class8, class9), 32×32, 4 test images; left out: 1 file (.html)"
    )
    assert source.describe() == line


def test_labels_of_cifar_100_are_the_fine_ones(tmp_path):
    source = open_source(str(save_cifar(tmp_path, 100)))
    assert source.train.labels.tolist() == [99, 98, 97, 96]
    assert source.classes[99] == "class99"
    assert ", fine labels, 4 test images; left out: 1 file (.txt)" in source.describe()
    files = cifar_files(100)
    image = np.frombuffer(files["train.bin"], np.uint8)[2:3074].reshape(3, 32, 32)
    source = open_source(str(save_files(tmp_path / "other", files)))
    assert (source.train.images(np.array([0]), 32)[0].transpose(2, 0, 1) == image).all()


@pytest.mark.parametrize("classes", [10, 100])
def test_archive_and_folder_are_the_same_set(tmp_path, archive, classes):
    files = cifar_files(classes)
    folder = open_source(str(save_files(tmp_path / "extracted", files)))
    packed = archive(tar(files))
    assert packed.digest() == folder.digest()
    assert packed.describe() == folder.describe()
    assert (packed.test.pixels == folder.test.pixels).all()
    (tmp_path / "plain.tar").write_bytes(gzip.decompress(tar(files)))
    assert open_source(str(tmp_path / "plain.tar")).digest() == folder.digest()


def test_digest_depends_on_pixels_labels_and_names(tmp_path):
    files = cifar_files()
    digests = {open_source(str(save_files(tmp_path / "0", files))).digest()}
    changed = bytearray(files["data_batch_5.bin"])
    changed[-1] ^= 1
    relabelled = bytes([9]) + files["data_batch_1.bin"][1:]
    renamed = files["batches.meta.txt"].replace(b"class3", b"cat")
    test = bytes([7]) + files["test_batch.bin"][1:]
    for name, content in [
        ("data_batch_5.bin", bytes(changed)),
        ("data_batch_1.bin", relabelled),
        ("batches.meta.txt", renamed),
    ]:
        folder = save_files(tmp_path / name, {**files, name: content})
        digests.add(open_source(str(folder)).digest())
    assert len(digests) == 4
    same = open_source(str(save_files(tmp_path / "test", {**files, "test_batch.bin": test})))
    assert same.digest() in digests


def changed(name, content):
    files = cifar_files()
    return {**files, name: content(files[name])}


MALFORMED = {
    "no record": (
        changed("data_batch_3.bin", lambda _: b""),
        r"data_batch_3.bin has 0 bytes; accepted: records of 3,073 bytes",
    ),
    "truncated": (
        changed("data_batch_3.bin", lambda content: content[:-1]),
        r"data_batch_3.bin has 12,291 bytes; accepted: records of 3,073 bytes",
    ),
    "label": (
        changed("data_batch_3.bin", lambda content: content[:3073] + b"\x0a" + content[3074:]),
        r"data_batch_3.bin has the label 10 in record 1; accepted: 0 to 9",
    ),
    "one name": (
        changed("batches.meta.txt", lambda _: b"cat\n\n"),
        r"batches.meta.txt has 1 lines \(cat\); accepted: 2 to 256 class names",
    ),
    "two equal names": (
        changed("batches.meta.txt", lambda _: b"cat\ncat\n"),
        r"batches.meta.txt has 2 lines \(cat, cat\); accepted: 2 to 256 class names",
    ),
    "few names": (
        changed("batches.meta.txt", lambda _: b"cat\ndog\n"),
        r"data_batch_1.bin has the label 2 in record 2; accepted: 0 to 1",
    ),
}


@pytest.mark.parametrize(("files", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_files_are_rejected_by_name(tmp_path, archive, files, message):
    with pytest.raises(UsageError, match=f"data: .*{message}"):
        open_source(str(save_files(tmp_path / "x", files))).describe()
    with pytest.raises(UsageError, match=f"data: .*{message}"):
        archive(tar(files)).describe()


def test_coarse_labels_out_of_range_are_rejected(tmp_path):
    files = cifar_files(100)
    files["train.bin"] = bytes([20]) + files["train.bin"][1:]
    source = open_source(str(save_files(tmp_path, files)))
    with pytest.raises(UsageError, match=r"has the coarse label 20 in record 0; accepted: 0 to 19"):
        source.digest()


@pytest.mark.parametrize("missing", ["data_batch_4.bin", "test_batch.bin", "batches.meta.txt"])
def test_incomplete_sets_are_rejected(tmp_path, archive, missing):
    files = cifar_files()
    del files[missing]
    message = rf"has no {missing}; accepted: all files of cifar-10-binary.tar.gz"
    with pytest.raises(UsageError, match=message):
        open_source(str(save_files(tmp_path / "x", files)))
    with pytest.raises(UsageError, match=message):
        archive(tar(files))


OTHER_VERSIONS = {
    "cifar-10-batches-py": (["data_batch_1", "test_batch", "batches.meta"], "Python", "10"),
    "cifar-100-python": (["train", "test", "meta", "file.txt~"], "Python", "100"),
    "cifar-10-batches-mat": (["data_batch_1.mat", "batches.meta.mat"], "MATLAB", "10"),
}


@pytest.mark.parametrize("name", OTHER_VERSIONS)
def test_other_versions_are_rejected_with_the_name_of_the_binary_one(tmp_path, archive, name):
    names, kind, number = OTHER_VERSIONS[name]
    files = dict.fromkeys(names, b"\x80\x02cposix\nsystem\n.")
    message = rf"is the {kind} version of CIFAR; accepted: cifar-{number}-binary.tar.gz, the binary"
    with pytest.raises(UsageError, match=message):
        open_source(str(save_files(tmp_path / name, files)))
    with pytest.raises(UsageError, match=message):
        archive(tar(files, name))


def test_a_malformed_test_set_spoils_nothing_else(tmp_path):
    files = changed("test_batch.bin", lambda content: content[:-1])
    source = open_source(str(save_files(tmp_path, files)))
    assert len(source.train.labels) == 20
    assert "unusable test set (" in source.describe()
    with pytest.raises(UsageError, match=r"test_batch.bin has 12,291 bytes"):
        _ = source.test


# --- archives -----------------------------------------------------------------------------------


def test_damaged_archives_are_rejected(archive):
    whole = tar(cifar_files())
    plain = gzip.decompress(whole)
    wrong_sum = bytearray(whole)
    wrong_sum[-8] ^= 1
    for content in (
        *(b"", b"no archive" * 100, whole[:100], whole[: len(whole) // 2], whole[:-1]),
        *(bytes(wrong_sum), plain[: len(plain) // 2], gzip.compress(b"x" * 2000)),
    ):
        with pytest.raises(UsageError, match=r"cifar-10-binary.tar.gz"):
            archive(content)


def test_a_wrong_checksum_is_noticed(archive):
    whole = bytearray(tar(cifar_files()))
    whole[-8] ^= 1
    with pytest.raises(UsageError, match="can't be read as a tar archive: CRC check failed"):
        archive(bytes(whole))


def test_links_and_paths_of_archives_reach_no_disk(tmp_path, archive):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    content = tar(cifar_files(), "../../etc")  # only the last part of names counts
    assert len(archive(content).train.labels) == 20
    for kind in tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE:
        content = tar(cifar_files(), type=kind, linkname=str(secret), size=0)
        with pytest.raises(UsageError, match=r"has no file; accepted: cifar-10-binary.tar.gz or"):
            archive(content)
    assert sorted(os.listdir(tmp_path)) == ["cifar-10-binary.tar.gz", "secret"]


def test_archives_beyond_the_limits_are_rejected(archive, monkeypatch):
    bomb = tar({"data_batch_1.bin": bytes(3 << 20)})
    assert len(bomb) < 10_000
    monkeypatch.setattr("mnas.data.archive.MAX_BYTES", 1 << 20)
    with pytest.raises(UsageError, match="more than 1,048,576 bytes"):
        archive(bomb)
    monkeypatch.setattr("mnas.data.archive.MAX_MEMBERS", 5)
    with pytest.raises(UsageError, match="more than 5 members"):
        archive(tar(dict.fromkeys("abcdefg", b"")))
    with pytest.raises(UsageError, match=r"two members named test_batch.bin"):
        archive(tar({"a/test_batch.bin": b"", "b/test_batch.bin": b""}))


def test_a_header_that_claims_more_than_the_archive_has_is_rejected(archive):
    buffer = io.BytesIO()
    member = tarfile.TarInfo("data_batch_1.bin")
    member.size = 1 << 40
    buffer.write(member.tobuf(tarfile.GNU_FORMAT) + bytes(5000))
    with pytest.raises(UsageError, match="can't be read as a tar archive"):
        archive(buffer.getvalue())


def test_pipes_in_a_folder_are_not_opened(tmp_path):
    files = cifar_files()
    del files["data_batch_4.bin"]
    save_files(tmp_path, files)
    os.mkfifo(tmp_path / "data_batch_4.bin")
    with pytest.raises(UsageError, match=r"has no data_batch_4.bin"):
        open_source(str(tmp_path))
