"""The log of a command: lines, JSON objects, or warnings only, on standard error."""

import json
import logging
import math
import warnings

import pytest

from mnas.__main__ import log_config, main
from mnas.cli.command import run_command
from mnas.errors import UsageError
from mnas.reports.log import LogConfig, current
from mnas.reports.terminal import plain_console
from tests.cli.commands import quick

logger = logging.getLogger("mnas.some.module")


def say():
    logger.debug("detail")
    logger.info("in %s", "runs/[b]1", extra={"fields": {"trials": 3, "bad": [math.nan]}})
    plain_console(stderr=True).print("from a\nconsole", soft_wrap=True)
    logger.warning("odd")


def shown(capsys, *flags):
    assert run_command("mnas x", say, config=log_config(flags)) == 0
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_lines_are_those_of_level_info(capsys):
    assert shown(capsys) == ["in runs/[b]1", "from a", "console", "mnas x: odd"]


def test_quiet_shows_warnings_and_errors_only(capsys):
    assert shown(capsys, "-q") == shown(capsys, "--quiet") == ["mnas x: odd"]

    def fails():
        raise UsageError("x = 1; accepted: 2")

    assert run_command("mnas x", fails, config=log_config(["-q"])) == 2
    assert capsys.readouterr().err == "mnas x: x = 1; accepted: 2\n"


def test_verbose_shows_details(capsys):
    assert shown(capsys, "-v") == shown(capsys, "--verbose")
    assert shown(capsys, "-v")[0] == "detail"


def test_json_has_one_object_a_line(capsys):
    records = [json.loads(line) for line in shown(capsys, "--log-json")]
    assert [each["message"] for each in records] == ["in runs/[b]1", "from a", "console", "odd"]
    assert [each["level"] for each in records] == ["info", "info", "info", "warning"]
    assert records[0]["trials"] == 3 and records[0]["bad"] == ["nan"]
    assert records[0]["program"] == "mnas x" and records[0]["logger"] == "mnas.some.module"
    assert records[0]["time"].endswith("+00:00")


def test_json_has_errors_with_their_status_and_warnings_of_python(capsys):
    def fails():
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        raise UsageError("x = 1; accepted: 2")

    assert run_command("mnas x", fails, config=LogConfig(json=True)) == 2
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["message"]) == ("warning", "DeprecationWarning: old")
    assert (second["level"], second["message"], second["status"]) == (
        *("error", "x = 1; accepted: 2"),
        2,
    )


def test_nothing_of_it_remains_after_the_command(capsys):
    root = logging.getLogger("mnas")
    before = (root.level, root.propagate, list(root.handlers))
    for flags in ([], ["-q"], ["-v", "--log-json"]):
        shown(capsys, *flags)
    assert (root.level, root.propagate, root.handlers) == before
    assert current() == LogConfig()


def test_a_library_logs_nothing_on_its_own(capsys):
    logger.info("progress")
    assert capsys.readouterr() == ("", "")


def test_flags_stand_anywhere_and_exclude_each_other(capsys):
    assert main(["cost", "-q", "efficientnet-b9"]) == main(["-q", "cost", "efficientnet-b9"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0] == lines[1]
    assert main(["cost", "-v", "-q", "efficientnet-b0"]) == 2
    assert capsys.readouterr().err == "mnas cost: both -q and -v; accepted: one of them\n"


@pytest.mark.parametrize("words", [["--version"], ["search", "--version"]])
def test_version_is_printed_wherever_it_is_asked_for(words, capsys):
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("mnas 0.") and "\njax 0." in out and err == ""


def test_a_search_logs_its_batches_and_trials_as_json(tmp_path, capsys):
    flags = quick(tmp_path / "run", "--log-json", "-v")
    assert main(["search", *flags]) == 0
    out, err = capsys.readouterr()
    records = [json.loads(line) for line in err.splitlines()]
    events = [each.get("event") for each in records]
    assert out == "" and events.count("batch") == 3 and events.count("trial") == 12
    batches = [each for each in records if each.get("event") == "batch"]
    assert [each["trials"] for each in batches] == [4, 8, 12]
    assert batches[-1]["best"]["mult_adds"] > 1e6
    assert all(each["program"] == "mnas search" for each in records)


def test_a_quiet_search_prints_nothing(tmp_path, capsys):
    assert main(["search", *quick(tmp_path / "run", "-q")]) == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "run" / "best.json").exists()
