"""Paths as text."""

from pathlib import Path

import pytest

from mnas.reports.text import named_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("runs/digits-1/", "runs/digits-1"),
        (Path("a"), "a"),
        (".", "here"),
        ("..", "above"),
        ("../here/..", "above"),
        ("/", "/"),
    ],
)
def test_paths_are_as_given_or_named_by_their_directory(tmp_path, monkeypatch, path, expected):
    (tmp_path / "above" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "above" / "here")
    assert named_path(path) == expected
