"""`mnas completion`: a script by which the shell completes verbs, names and flags."""

import dataclasses
import importlib
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import tyro

from mnas.cli.arguments import parse
from mnas.cli.flags import flags
from mnas.cli.verbs import GLOBAL_FLAGS, VERBS
from mnas.experiment import registry
from mnas.experiment.settings import KINDS

# Words that verbs take before the flags of a dataclass.
WORDS = {
    "search": ("--list", "--resume", "--warm-up", "--latency-table", "--config"),
    "data": ("show", "pack"),
    "benchmark": ("--inference",),
}
BASH = """\
# Completion of mnas for bash: source <(mnas completion bash)
_mnas() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words
    if [ "$COMP_CWORD" -eq 1 ]; then
        words={verbs}
    else
        case "${{COMP_WORDS[1]}}" in
{cases}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _mnas mnas"""
ZSH = """\
#compdef mnas
# Completion of mnas for zsh, after compinit: source <(mnas completion zsh)
_mnas() {{
    local -a candidates
    if (( CURRENT == 2 )); then
        candidates=({verbs})
    else
        case "$words[2]" in
{cases}
        esac
    fi
    compadd -a candidates || _files
}}
compdef _mnas mnas"""
FISH = """\
# Completion of mnas for fish: mnas completion fish | source
function __mnas_verb
    set -l words (commandline -opc)
    test (count $words) -gt 1; and test $words[2] = $argv[1]
end
complete -c mnas -n 'test (count (commandline -opc)) -eq 1' -f -a {verbs}
{cases}"""


@dataclasses.dataclass(frozen=True)
class CompletionArguments:
    """Print a script by which the shell completes verbs, names of experiments, and flags.

    What is no verb, name or flag is completed as a file. The flags of mnas search are those of the
    experiment digits. For all shells to come: mnas completion bash >> ~/.bashrc, mnas completion
    zsh >> ~/.zshrc, or mnas completion fish > ~/.config/fish/completions/mnas.fish

    Example: source <(mnas completion bash)
    """

    shell: Annotated[Literal["bash", "zsh", "fish"], tyro.conf.Positional] = "bash"
    """Shell."""


def main(arguments: list[str]) -> None:
    """Run `mnas completion`."""
    shell = parse(CompletionArguments, "mnas completion", arguments).shell
    verbs = [*VERBS, "--help", *GLOBAL_FLAGS]
    words = {verb: [*_words(verb), *GLOBAL_FLAGS] for verb in VERBS}
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](verbs, words))


def _bash(verbs: list[str], words: Mapping[str, list[str]]) -> str:
    cases = [
        f"            {verb}) words={shlex.quote(' '.join(of_verb))} ;;"
        for verb, of_verb in words.items()
    ]
    return BASH.format(verbs=shlex.quote(" ".join(verbs)), cases="\n".join(cases))


def _zsh(verbs: list[str], words: Mapping[str, list[str]]) -> str:
    cases = [
        f"            {verb}) candidates=({shlex.join(of_verb)}) ;;"
        for verb, of_verb in words.items()
    ]
    return ZSH.format(verbs=shlex.join(verbs), cases="\n".join(cases))


def _fish(verbs: list[str], words: Mapping[str, list[str]]) -> str:
    cases = [
        f"complete -c mnas -n '__mnas_verb {verb}' -a {shlex.quote(' '.join(of_verb))}"
        for verb, of_verb in words.items()
    ]
    return FISH.format(verbs=shlex.quote(" ".join(verbs)), cases="\n".join(cases))


def _words(verb: str) -> list[str]:
    """Return what a verb takes: names of experiments and parts, words and flags."""
    from mnas.cli.named_experiment import DEFAULT, ExperimentArguments  # imports JAX

    found = [*WORDS.get(verb, ()), "--help", "--help-all"]
    if verb in ("search", "resume"):
        default = ExperimentArguments(registry.load_experiment(DEFAULT))
        found += dict(flags(ExperimentArguments, default))
    if verb == "search":
        found += registry.entries("experiment")
        for part in KINDS:
            found += [f"--{part}", *registry.entries(part)]
    if verb in ("search", "resume"):
        found += registry.entries("tracker")
    module = importlib.import_module(f"mnas.cli.{verb.replace('-', '_')}")
    for kind in vars(module).values():
        if _is_arguments(kind) and kind.__module__ == module.__name__:
            found += dict(flags(kind))
    return list(dict.fromkeys(found))


def _is_arguments(kind: Any) -> bool:
    """Return whether an object is a dataclass of a verb's arguments."""
    return (
        isinstance(kind, type)
        and dataclasses.is_dataclass(kind)
        and kind.__name__.endswith("Arguments")
    )
