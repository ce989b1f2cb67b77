"""Help of verbs: basic flags apart, in 80 columns; completion of the shell."""

import dataclasses
import shutil
import subprocess
import sys
from typing import ClassVar

import pytest

from mnas.__main__ import main
from mnas.cli.arguments import Spec, parse
from mnas.cli.verbs import VERBS

BASH = shutil.which("bash") or "/bin/bash"


@dataclasses.dataclass(frozen=True)
class Inner:
    """Inner settings of a kind."""

    size: int = 3
    """Size."""
    rate: float = 0.5
    """A rate that is described by more words than fit into a single line of eighty columns."""


@dataclasses.dataclass(frozen=True)
class Outer:
    """Do something with a description that is far longer than the eighty columns of a terminal.

    Example: mnas something
    """

    BASIC: ClassVar[tuple[str, ...]] = ("--name", "--inner.rate")

    spec: Spec
    inner: Inner = Inner()
    name: str = ""
    """Name."""
    quick: bool = False
    """Quick."""


def shown(capsys, *words, kind=Outer):
    with pytest.raises(SystemExit) as stop:
        parse(kind, "mnas x", words)
    assert not stop.value.code
    return capsys.readouterr().out


def test_help_shows_basic_flags_and_how_to_see_the_others(capsys):
    text = shown(capsys, "--help")
    assert shown(capsys, "-h") == text
    assert "SPEC" in text and "--name STR" in text and "single line of" in text
    assert "-h, --help" in text and "--quick" not in text and "--inner.size" not in text
    assert text.splitlines()[-1] == "2 further settings: mnas x --help-all"
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("╭") == text.count("╰") == 3


def test_help_all_shows_all_flags(capsys):
    text = shown(capsys, "--help-all")
    assert all(flag in text for flag in ("--name", "--quick", "--inner.size", "--inner.rate"))
    assert "further settings" not in text and max(map(len, text.splitlines())) <= 80


def test_help_of_a_verb_without_basic_flags_shows_all(capsys):
    text = shown(capsys, "--help", kind=Inner)
    assert "--size" in text and "--rate" in text and "further settings" not in text


def test_boxes_are_plain_where_the_stream_is_not_utf_8():
    program = "import sys; from mnas.cli.front import main; main(['--help'])"
    command = [sys.executable, "-X", "utf8=0", "-c", program]
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        env={"PYTHONIOENCODING": "ascii:replace", "PATH": "/usr/bin:/bin"},
    )
    assert b"+- options ---" in done.stdout and b"| --json" in done.stdout


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "mnas.bash"
    command = [sys.executable, "-m", "mnas", "completion", "bash"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    path.write_text(done.stdout)
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["res"], {"rescore", "resume"}),
        (["search", "b0-imagenet-"], {"b0-imagenet-seeds"}),
        (["search", "--reward.target-m"], {"--reward.target-madds"}),
        (["search", "reinf"], {"reinforce"}),
        (["trials", "--so"], {"--sort"}),
        (["data", "pa"], {"pack"}),
        (["proxy-quality", "--netw"], {"--networks"}),
        (["cost", "--log"], {"--log-json"}),
        (["cost", "nothing-like-it"], set()),
    ],
)
def test_bash_completes_verbs_names_and_flags(words, expected, script):
    line = " ".join(f"'{word}'" for word in ["mnas", *words])
    commands = f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _mnas; "
    commands += 'printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run([BASH, "-c", commands], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected and done.stderr == ""


def test_completion_names_every_verb(capsys):
    assert main(["completion"]) == 0
    text = capsys.readouterr().out
    assert all(f"            {verb}) words=" in text for verb in VERBS)


def test_another_shell_is_a_usage_error(capsys):
    assert main(["completion", "tcsh"]) == 2
    assert "bash" in capsys.readouterr().err
