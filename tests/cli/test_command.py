"""Exit status and streams of the command as a whole."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnas.__main__ import main
from mnas.cli.arguments import fold
from mnas.cli.command import run_command
from mnas.cli.verbs import VERBS
from mnas.errors import UsageError
from tests.cli.commands import assert_one_line

ROOT = Path(__file__).parents[2]


def test_help_lists_every_verb_with_its_line(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for verb, line in VERBS.items():
        assert any(shown.split()[:1] == [verb] and shown.endswith(line) for shown in lines)


def test_help_loads_no_heavy_library_and_is_fast():
    program = "import sys; from mnas.__main__ import main; main(['--help']); print(*sys.modules)"
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - start
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert not loaded & {"jax", "ray", "numpy", "tyro", "rich", "matplotlib"}
    assert seconds < 5  # a tenth of a second on an idle machine


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_says_what_it_does_with_an_example(verb, capsys):
    try:
        status = main([verb, "--help"])
    except SystemExit as stop:
        status = stop.code or 0
    out, err = capsys.readouterr()
    usage, first, *rest = out.split("\n\n")
    assert status == 0 and err == ""
    assert usage.startswith(f"usage: mnas {verb}")
    assert first[0].isupper() and first.split()[0].lower() == VERBS[verb].split()[0].lower()
    assert any(f"mnas {verb}" in part for part in rest)
    assert max(map(len, out.splitlines())) <= 80


def test_help_before_a_verb_is_the_help_of_the_verb(capsys):
    with pytest.raises(SystemExit):
        main(["draw", "--help"])
    expected = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["help", "draw"])
    assert capsys.readouterr().out == expected
    assert main(["help", "darw"]) == 2
    assert_one_line(capsys, "mnas: unknown verb 'darw'; did you mean draw?")


def test_a_missing_or_unknown_verb_is_a_usage_error(capsys):
    assert main([]) == 2
    assert_one_line(capsys, "mnas: no verb given", "search, list, resume", "(mnas --help)")
    assert main(["coast", "efficientnet-b0"]) == 2
    assert_one_line(capsys, "mnas: unknown verb 'coast'; did you mean cost?")


def test_only_usage_errors_are_folded_into_one_line(capsys):
    def raises(error):
        raise error

    assert run_command("mnas cost", lambda: raises(UsageError("two\n  lines"))) == 2
    assert capsys.readouterr() == ("", "mnas cost: two lines\n")
    with pytest.raises(ValueError, match="shapes"):
        run_command("mnas cost", lambda: raises(ValueError("shapes do not match")))


def test_a_process_reports_a_usage_error_on_standard_error():
    command = [sys.executable, "search.py", "--reward.target-mads", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "--reward.target-madds" in done.stderr


def test_a_closed_standard_output_ends_the_process_quietly():
    command = [sys.executable, "-m", "mnas", "export", "efficientnet-b0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()  # before anything is printed
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_another_broken_pipe_is_an_error():
    def breaks():
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_command("mnas", breaks)


def test_an_error_box_is_folded_into_one_line():
    box = "╭─ Bad ──╮\n│ No: --a, 1 │\n│ ───── │\n│ Did you mean: │\n│ --b │\n"
    box += "│ ──── │\n│ For full helptext, run x │\n╰────╯\n"
    assert fold(box) == "No: --a, 1; Did you mean: --b"


def test_long_words_leave_what_is_accepted(capsys):
    box = f"│ No: {'9 ' * 5000}; accepted: a number │"
    assert len(fold(box)) < 440
    assert fold(box).endswith("; accepted: a number")


def test_control_characters_in_a_message_are_escaped(capsys):
    def fails():
        raise UsageError("name = \x1b[31mred\x00; accepted: é")

    assert run_command("mnas", fails) == 2
    assert capsys.readouterr().err == "mnas: name = \\x1b[31mred\\x00; accepted: \\xe9\n"
