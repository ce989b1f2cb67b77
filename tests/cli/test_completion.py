"""Completion of the command in shells; what is not installed is skipped."""

import contextlib
import io
import re
import shutil
import subprocess

import pytest

from mnas.__main__ import main
from mnas.cli.verbs import VERBS

BASH, ZSH, FISH = (shutil.which(name) for name in ("bash", "zsh", "fish"))
COMPLETED = [
    (["res"], {"rescore", "resume"}),
    (["search", "b0-imagenet-"], {"b0-imagenet-seeds"}),
    (["search", "--reward.target-m"], {"--reward.target-madds"}),
    (["search", "--dat"], {"--data"}),
    (["search", "--work"], {"--workers"}),
    (["search", "--controller", "re"], {"reinforce"}),
    (["search", "--space", "effic"], {"efficientnet"}),
    (["search", "--evaluator", "sur"], {"surrogate"}),
    (["search", "--recipe", "ba"], {"bank", "bank-naswot"}),
    (["search", "--recipe", "cif"], {"cifar"}),
    (["search", "--reference", "resnet-15"], {"resnet-152"}),
    (["search", "--engine.kind", ""], {"ray", "inline", "tune"}),
    (["search", "--engine.gpus-per-worker", "a"], {"auto"}),
    (["search", "--track", "ml"], {"mlflow"}),
    (["search", "--track", "wandb", "ml"], {"mlflow"}),
    (["resume", "run", "--work"], {"--workers"}),
    (["train", "efficientnet-b0", "--recipe", ""], {"proxy", "cifar", "efficientnet"}),
    (["train", "--optimizer", "m"], {"muon"}),
    (["export", "efficientnet-b0", "--format", "st"], {"stablehlo"}),
    (["export", "efficientnet-b0", "--fo"], {"--format"}),
    (["cost", "mnasnet-"], {"mnasnet-a1", "mnasnet-b1"}),
    (["trials", "run", "--sort", "mult"], {"mult_adds"}),
    (["retrain", "run", "--reference", "no"], {"none"}),
    (["proxy-quality", "--recipe", "def"], {"default"}),
    (["proxy-quality", "--evaluator", "zero"], {"zero-cost"}),
    (["completion", "z"], {"zsh"}),
    (["trials", "--so"], {"--sort"}),
    (["data", "pa"], {"pack"}),
    (["proxy-quality", "--netw"], {"--networks"}),
    (["cost", "--log"], {"--log-json"}),
]
NOTHING = [["cost", "nothing-like-it"], ["search", "--out", ""], ["train", "--data", "d"]]
completes = pytest.mark.parametrize(("words", "expected"), COMPLETED)
completes_files = pytest.mark.parametrize("words", NOTHING)
# The functions of zsh's completion, which exist within its line editor only.
ZSH_STAND_INS = """
compdef() {}
_files() { print FILES }
compadd() {
    local -a found
    found=(${(M)candidates:#${words[CURRENT]}*})
    print -l -- $found
    (( $#found ))
}
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """Return the function that gives the file of a shell's script."""
    directory = tmp_path_factory.mktemp("completion")

    def made(shell):
        path = directory / f"mnas.{shell}"
        if not path.exists():
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                assert main(["completion", shell]) == 0
            path.write_text(printed.getvalue())
        return path

    return made


def printed(*command, directory=None):
    """Return the words that a command prints; it must have no complaint."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)
    assert done.stderr == ""
    return set(done.stdout.split())


def in_bash(script, words):
    line = " ".join(f"'{word}'" for word in ["mnas", *words])
    commands = f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _mnas; "
    return printed(BASH, "-c", f'{commands} printf "%s\\n" "${{COMPREPLY[@]}}"')


def in_zsh(script, words):
    commands = f'{ZSH_STAND_INS}source {script}; words=(mnas "$@"); CURRENT=$#words; _mnas'
    return printed(ZSH, "-f", "-c", commands, "zsh", *words)


def in_fish(script, words, directory=None):
    commands = f"source {script}; complete -C 'mnas {' '.join(words)}'"
    return printed(FISH, "--no-config", "-c", commands, directory=directory)


@completes
def test_bash_completes_verbs_names_and_flags(words, expected, script):
    assert in_bash(script("bash"), words) == expected


@completes_files
def test_bash_completes_files_where_no_name_is_known(words, script):
    assert in_bash(script("bash"), words) == set()


@pytest.mark.skipif(ZSH is None, reason="no zsh")
@completes
def test_zsh_completes_verbs_names_and_flags(words, expected, script):
    assert in_zsh(script("zsh"), words) == expected


@pytest.mark.skipif(ZSH is None, reason="no zsh")
@completes_files
def test_zsh_completes_files_where_no_name_is_known(words, script):
    assert in_zsh(script("zsh"), words) == {"FILES"}


@pytest.mark.skipif(FISH is None, reason="no fish")
@completes
def test_fish_completes_verbs_names_and_flags(words, expected, script):
    assert in_fish(script("fish"), words) == expected


@pytest.mark.skipif(FISH is None, reason="no fish")
@completes_files
def test_fish_completes_files_where_no_name_is_known(words, script, tmp_path):
    (tmp_path / "data-file").touch()
    files = {"data-file"} if words[-1] in ("", "d") else set()
    assert in_fish(script("fish"), words, tmp_path) == files


@pytest.mark.parametrize(
    ("shell", "of_verb"),
    [
        ("bash", "            {}) words="),
        ("zsh", "            {}) candidates=("),
        ("fish", "        case {}\n"),
    ],
)
def test_every_verb_has_its_words(shell, of_verb, script):
    text = script(shell).read_text()
    assert all(of_verb.format(verb) in text for verb in VERBS)
    _, _, after = text.partition(of_verb.format("cost"))
    of_cost, _, _ = after.partition(of_verb.format("compare"))
    assert {"--json", "--help", "--log-json"} <= set(re.split(r"[\s'()]", of_cost))


def test_another_shell_is_a_usage_error(capsys):
    assert main(["completion", "tcsh"]) == 2
    assert "bash" in capsys.readouterr().err
