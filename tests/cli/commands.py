"""Commands and checks that several test modules of the command line share."""

from pathlib import Path

from mnas.__main__ import main


def run_search(*arguments: str) -> int:
    return main(["search", *arguments])


def quick(directory: Path, *flags: str) -> list[str]:
    """Return arguments of a search that trains nothing."""
    size = ["--search.trials", "12", "--search.batch", "4", "--controller", "random"]
    return ["b0-imagenet", *size, "--out", str(directory), *flags]


def assert_one_line(capsys, *expected: str) -> None:
    """Check that standard error is one line with all of `expected` and standard output is empty."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    for text in expected:
        assert text in err, err
