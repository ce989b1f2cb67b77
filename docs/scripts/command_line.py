"""The reference of the command line, from the help of every verb, with all its flags."""

import contextlib
import io
import os
import re
from collections.abc import Iterator

from mnas import __main__ as command

WIDTH = 90

# Verbs with further words before their flags, and what these words stand for.
FORMS: dict[str, dict[str, list[str]]] = {
    "search": {
        "search": ["search"],
        "search EXPERIMENT": ["search", "digits"],
        "search STUDY": ["search", "ablate-controller"],
        "search --warm-up EXPERIMENT": ["search", "--warm-up", "digits"],
        "search --latency-table FILE EXPERIMENT": ["search", "--latency-table", "t.json", "digits"],
    },
    "data": {
        "data": ["data"],
        "data show": ["data", "show"],
        "data pack": ["data", "pack"],
    },
    "benchmark": {
        "benchmark": ["benchmark"],
        "benchmark --inference": ["benchmark", "--inference"],
    },
}
# Words whose help has no `--help-all`, or whose other flags are those of an experiment, see there.
BASIC_HELP: tuple[list[str], ...] = (
    *([], ["search"], ["data"], ["resume"]),
    FORMS["search"]["search --warm-up EXPERIMENT"],
    FORMS["search"]["search --latency-table FILE EXPERIMENT"],
)
NOTES = {
    "search EXPERIMENT": "The flags of `mnas search digits`. Those of the parts (`--space.`, "
    "`--controller.`, `--evaluator.`) follow from the parts that an experiment has.",
    "search STUDY": "The flags of `mnas search ablate-controller`; all studies have these.",
}


def page() -> str:
    """Return the page, in Markdown."""
    sections = [
        "# Command line\n\nGenerated from `mnas VERB --help-all` of this version.\n",
        f"## mnas\n\n{_fenced(help_of([]))}",
    ]
    for verb, line in command.VERBS.items():
        forms = FORMS.get(verb, {verb: [verb]})
        sections.append(f"## mnas {verb}\n\n{line}\n")
        for form, words in forms.items():
            if len(forms) > 1:
                sections.append(f"### `mnas {form}`\n")
            if form in NOTES:
                sections.append(f"{NOTES[form]}\n")
            sections.append(_fenced(help_of(words)))
    return "\n".join(sections)


def help_of(words: list[str]) -> str:
    """Return the help of `mnas WORDS`. Raises RuntimeError where there is none."""
    flag = "--help" if words in BASIC_HELP else "--help-all"
    out, err = io.StringIO(), io.StringIO()
    with _plain_terminal(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = command.main([*words, flag])
        except SystemExit as end:
            status = end.code or 0
    if status != 0:
        raise RuntimeError(f"mnas {' '.join(words)} {flag}: status {status}: {err.getvalue()}")
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


@contextlib.contextmanager
def _plain_terminal() -> Iterator[None]:
    """Give programs a terminal of fixed width without colours."""
    wanted = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```\n"
