"""`mnas data show` and `mnas data pack`: what they print, and mistakes."""

import json

import numpy as np
import pytest

from mnas.__main__ import main
from tests.cli.commands import assert_one_line
from tests.data.sets import save_classes, save_image


@pytest.fixture(autouse=True)
def _photos(tmp_path, monkeypatch):
    """Work in a directory with the folder `photos`."""
    monkeypatch.chdir(tmp_path)
    save_classes(tmp_path / "photos" / "train", count=3)
    save_classes(tmp_path / "photos" / "val", count=1)
    save_image(tmp_path / "photos" / "train" / "dog" / "large.png", "red", (40, 30))


def printed(capsys, *words):
    """Return standard output and standard error of a command that succeeds."""
    assert main(["data", *words]) == 0
    return capsys.readouterr()


def test_show_describes_a_folder(capsys):
    out, err = printed(capsys, "show", "photos")
    assert err == ""
    lines = out.splitlines()
    assert lines[0].startswith("7 images, 2 classes (cat, dog), 8×8 to 30×40, 2 test images")
    assert [line.split() for line in lines if line.strip().startswith(("cat", "dog", "all"))] == [
        ["cat", "3", "1", "42.86", "%"],
        ["dog", "4", "1", "57.14", "%"],
        ["all", "7", "2"],
    ]
    assert lines[-3:] == [
        "images of a class in train: 3 to 4",
        "size: smallest 8×8, median 8×8, largest 30×40",
        "unreadable: 0 (by headers; --verify decodes all)",
    ]


def test_show_as_json(capsys):
    facts = json.loads(printed(capsys, "show", "photos", "--json").out)
    assert facts["images"] == {"train": 7, "test": 2}
    assert facts["classes"][1] == {"name": "dog", "train": 4, "test": 1}
    assert facts["sizes"] == {"smallest": [8, 8], "median": [8, 8], "largest": [30, 40]}
    assert (facts["unreadable"], facts["verified"]) == ([], False)


def test_unreadable_images_are_listed(tmp_path, capsys):
    (tmp_path / "photos" / "train" / "cat" / "1.png").write_bytes(b"no image")
    image = tmp_path / "photos" / "val" / "dog" / "0.png"
    image.write_bytes(image.read_bytes()[:-60])  # whole header, torn pixels
    for flags, count in ((), 1), (("--verify",), 2):
        facts = json.loads(printed(capsys, "show", "photos", "--json", *flags).out)
        places = [(item["split"], item["index"]) for item in facts["unreadable"]]
        assert places == [("train", 1), ("test", 1)][:count]
    out = printed(capsys, "show", "photos", "--verify", "--processes", "1").out
    assert "unreadable: 2 (all images decoded)" in out
    assert "1.png can't be read as an image" in out


@pytest.mark.parametrize("source", ["digits", "x.npz"])
def test_show_describes_arrays(tmp_path, capsys, source):
    np.savez("x.npz", x_train=np.zeros((4, 5, 6), np.uint8), y_train=[0, 1, 1, 1])
    facts = json.loads(printed(capsys, "show", source, "--json", "--verify").out)
    assert facts["sizes"] is None
    assert facts["unreadable"] == []
    if source == "x.npz":
        assert facts["images"] == {"train": 4}
        assert [row["train"] for row in facts["classes"]] == [1, 3]


def test_pack_tells_what_it_writes_and_show_describes_it(tmp_path, capsys):
    pack = ("pack", "photos", "pack", "--resolution", "8", "--processes", "1")
    out, err = printed(capsys, *pack)
    assert out == ""
    lines = err.splitlines()
    assert lines[0].startswith("packed: 9 images in ")
    assert lines[1].startswith("data: 7 images, 2 classes (cat, dog), 8×8, packed from ")
    assert lines[2] == "written: pack"
    again = printed(capsys, *pack, "--json")
    assert again.err.startswith("pack is finished already; nothing to do")
    assert json.loads(again.out)["packed"] == 0
    out = printed(capsys, "show", "pack", "--verify").out
    assert "pack: 0.0 MB at 8 × 8 pixels, from " in out
    assert "checksums: agree" in out
    facts = json.loads(printed(capsys, "show", "pack", "--json").out)
    assert facts["pack"]["bytes"] == 9 * 192 + 2 * 128
    assert facts["pack"]["origin"]["source"] == str(tmp_path / "photos")


def test_a_changed_pack_is_told(capsys):
    assert main(["data", "pack", "photos", "pack", "--resolution", "8"]) == 0
    with open("pack/train_images.npy", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    capsys.readouterr()
    assert main(["data", "show", "pack", "--verify"]) == 2
    out, err = capsys.readouterr()
    assert "checksums: differ: train_images.npy" in out
    assert err.startswith("mnas data: data: pack: train_images.npy differ from their checksums; ")


def test_a_search_and_a_training_read_a_pack(capsys):
    assert main(["data", "pack", "photos", "pack", "--resolution", "8"]) == 0
    spec = "r1_k3_s11_e1_i8_o8"
    words = ["--resolution", "8", "--epochs", "1", "--batch-size", "2", "--validation", "2"]
    weights = []
    for source in ("photos", "pack"):
        assert main(["train", spec, "--data", source, *words, "--out", f"of-{source}"]) == 0
        with open(f"of-{source}/weights.safetensors", "rb") as file:
            weights.append(file.read())
    assert weights[0] == weights[1]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["no verb of mnas data given; accepted: show, pack"]),
        (["shwo", "photos"], ["'shwo'", "show"]),
        (["show", "nowhere"], ["nowhere: no such file or folder; accepted: digits, a"]),
        (["show", "photos", "--processes", "0"], ["processes = 0"]),
        (["pack", "photos", "out"], ["--resolution"]),
        (["pack", "photos", "photos", "--resolution", "8"], ["holds other files"]),
        (["pack", "photos", "out", "--resolution", "0"], ["resolution = 0"]),
    ],
)
def test_mistakes_are_one_line(capsys, words, expected):
    assert main(["data", *words]) == 2
    assert_one_line(capsys, *expected)


def test_help_has_examples(capsys):
    assert "mnas data pack photos photos-64 --resolution 64" in printed(capsys, "--help").out
    for verb in ("show", "pack"):
        with pytest.raises(SystemExit) as stopped:
            main(["data", verb, "--help"])
        assert stopped.value.code == 0
        assert f"Example: mnas data {verb} photos" in capsys.readouterr().out
