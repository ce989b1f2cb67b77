"""The source that a name means."""

import os

import numpy as np
import pytest

from mnas.data.arrays import ArraySource
from mnas.data.cifar import CifarSource
from mnas.data.digits import DigitsSource
from mnas.data.folders import FolderSource
from mnas.data.idx import IdxSource
from mnas.data.pack import PackSource
from mnas.data.sources import REQUIRED, absolute_source, open_source
from mnas.errors import UsageError
from tests.data.packs import packed
from tests.data.sets import save_cifar, save_classes, save_idx


def test_sources_are_told_by_name_and_content(tmp_path):
    save_cifar(tmp_path / "cifar")
    save_idx(tmp_path / "idx")
    save_classes(tmp_path / "folder")
    np.savez(tmp_path / "a.npz", x_train=np.zeros((2, 4, 4), np.uint8), y_train=np.arange(2))
    (tmp_path / "a.npz").rename(tmp_path / "a.NPZ")
    packed(tmp_path / "folder", tmp_path / "pack")
    kinds = {
        "digits": DigitsSource,
        str(tmp_path / "pack"): PackSource,
        str(tmp_path / "cifar"): CifarSource,
        str(tmp_path / "idx"): IdxSource,
        str(tmp_path / "idx" / "train-images-idx3-ubyte"): IdxSource,
        str(tmp_path / "folder"): FolderSource,
        str(tmp_path / "a.NPZ"): ArraySource,
    }
    for name, kind in kinds.items():
        assert type(open_source(name)) is kind


@pytest.mark.parametrize("name", ["none.npz", "nowhere", "none.tar.gz"])
def test_missing_paths_are_rejected(tmp_path, name):
    with pytest.raises(UsageError, match=rf"{name}: no such file or folder; accepted: digits, a"):
        open_source(str(tmp_path / name))


def test_other_files_and_pipes_are_rejected(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"")
    with pytest.raises(UsageError, match=r"x.npy is no data set by its name; accepted: digits, a"):
        open_source(str(tmp_path / "x.npy"))
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(UsageError, match=r"pipe.npz: no regular file or folder; accepted: "):
        open_source(str(tmp_path / "pipe.npz"))


def test_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved").mkdir()
    assert absolute_source("digits") == "digits"
    assert absolute_source("a/b.npz") == str(tmp_path / "a" / "b.npz")
    assert absolute_source("hf:saved#x,y") == f"hf:{tmp_path}/saved#x,y"
    assert absolute_source("hf:uoft-cs/cifar10:plain_text") == "hf:uoft-cs/cifar10:plain_text"


@pytest.mark.parametrize("name", ["hf:", "hf:#a,b", "hf:name#image", "hf:name#,label"])
def test_incomplete_hugging_face_names_are_rejected(name):
    with pytest.raises(UsageError, match=r"accepted: hf:NAME\[:CONFIG\]\[#IMAGE,LABEL\]"):
        absolute_source(name)


def test_images_that_have_to_be_named_are_none():
    assert absolute_source(REQUIRED) == REQUIRED
    with pytest.raises(UsageError, match=r"^data: no images are named; accepted: --data with"):
        open_source(REQUIRED)
