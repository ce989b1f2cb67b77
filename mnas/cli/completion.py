"""`mnas completion`: a script by which the shell completes verbs, names, flags and values."""

import dataclasses
import shlex
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import tyro

from mnas.cli.arguments import parse
from mnas.cli.completion_words import Completion, completion_of
from mnas.cli.verbs import GLOBAL_FLAGS, VERBS

# In each script: the words of a verb, unless the word before is a flag that takes a value.
BASH = """\
# Completion of mnas for bash: source <(mnas completion bash)
_mnas() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words
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
    local before="$words[CURRENT-1]"
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
# Prints the words; its status is 0 where no file may stand.
function __mnas_words
    set -l words (commandline -opc)
    set -l before $words[-1]
    if test (count $words) -eq 1
        printf '%s\\n' {verbs}
        return 0
    end
    switch $words[2]
{cases}
    end
    return 1
end
complete -c mnas -n '__mnas_words >/dev/null' -f
complete -c mnas -a '(__mnas_words)'"""


@dataclasses.dataclass(frozen=True)
class CompletionArguments:
    """Print a script by which the shell completes verbs, names of experiments, flags and values.

    What is no verb, name, flag or known value of one is completed as a file. The flags of mnas
    search are those of the experiment digits. For all shells to come: mnas completion bash >>
    ~/.bashrc, mnas completion zsh >> ~/.zshrc, or mnas completion fish >
    ~/.config/fish/completions/mnas.fish

    Example: source <(mnas completion bash)
    """

    shell: Annotated[Literal["bash", "zsh", "fish"], tyro.conf.Positional] = "bash"
    """Shell."""


def main(arguments: list[str]) -> None:
    """Run `mnas completion`."""
    shell = parse(CompletionArguments, "mnas completion", arguments).shell
    verbs = [*VERBS, "--help", *GLOBAL_FLAGS]
    completions = {verb: completion_of(verb) for verb in VERBS}
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](verbs, completions))


def _bash(verbs: list[str], completions: Mapping[str, Completion]) -> str:
    def assigned(words: list[str]) -> str:
        return f"words={shlex.quote(' '.join(words))}"

    cases = _posix_cases(completions, assigned)
    return BASH.format(verbs=shlex.quote(" ".join(verbs)), cases=cases)


def _zsh(verbs: list[str], completions: Mapping[str, Completion]) -> str:
    cases = _posix_cases(completions, lambda words: f"candidates=({shlex.join(words)})")
    return ZSH.format(verbs=shlex.join(verbs), cases=cases)


def _posix_cases(
    completions: Mapping[str, Completion], assigned: Callable[[list[str]], str]
) -> str:
    """Return the cases of all verbs; `assigned` gives the assignment of words."""
    lines = []
    for verb, completion in completions.items():
        lines.append(f"            {verb}) {assigned(completion.words)}")
        of_flags = _by_values(completion)
        if of_flags:
            lines.append('                case "$before" in')
            for values, names in of_flags.items():
                lines.append(f"                    {'|'.join(names)}) {assigned([*values])} ;;")
            lines.append("                esac")
        lines.append("                ;;")
    return "\n".join(lines)


def _fish(verbs: list[str], completions: Mapping[str, Completion]) -> str:
    def printed(words: list[str]) -> str:
        return f"                    printf '%s\\n' {shlex.join(words)}"

    lines = []
    for verb, completion in completions.items():
        lines += [f"        case {verb}", "            switch $before"]
        for values, names in _by_values(completion).items():
            lines.append(f"                case {' '.join(names)}")
            lines += [printed([*values])] if values else []
            lines.append(f"                    return {0 if values else 1}")
        lines += ["                case '*'", printed(completion.words), "            end"]
    return FISH.format(verbs=shlex.join(verbs), cases="\n".join(lines))


def _by_values(completion: Completion) -> dict[tuple[str, ...], list[str]]:
    """Return the flags that take the same values, by these."""
    found: dict[tuple[str, ...], list[str]] = {}
    for flag, values in completion.values.items():
        found.setdefault(tuple(values), []).append(flag)
    return found
