"""The line that says what was found in a data set."""

from collections import Counter

import pytest

from mnas.data.source import counted, description, shortened


def test_description_names_what_was_left_out():
    left_out = Counter({".txt": 3, "hidden folder": 1})
    line = "24 images, 2 classes (cat, dog), 16×16; left out: 3 files (.txt), 1 hidden folder"
    assert description(24, ("cat", "dog"), [(16, 16)], left_out) == line


def test_description_names_the_smallest_and_the_largest_image():
    line = description(3, ("a", "b"), [(4, 4), (100, 2), (3, 5)], Counter())
    assert line == "3 images, 2 classes (a, b), 3×5 to 100×2"


def test_many_suffixes_and_classes_are_shortened():
    left_out = Counter({f".{letter}": 9 - index for index, letter in enumerate("abcdef")})
    line = description(1, range(1000), [(8, 8)], left_out)
    assert line == (
        "1 image, 1,000 classes (0, 1, 2, 3, 4, ..., 999), 8×8; "
        "left out: 39 files (9 .a, 8 .b, 7 .c, 6 .d, 5 .e, ...)"
    )
    assert shortened(["x" * 50]) == "x" * 37 + "..."


@pytest.mark.parametrize(
    ("noun", "one", "many"),
    [
        ("image", "1 image", "2,000 images"),
        ("class", "1 class", "2,000 classes"),
        ("folder without images", "1 folder without images", "2,000 folders without images"),
        ("link to a folder", "1 link to a folder", "2,000 links to a folder"),
    ],
)
def test_nouns_are_inflected(noun, one, many):
    assert (counted(1, noun), counted(2000, noun)) == (one, many)
