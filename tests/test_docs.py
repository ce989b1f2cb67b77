"""The documentation's commands and Python run as they are shown, page by page.

A block whose title begins with `Not run by the tests` is only parsed; the title says why. Blocks
that are a file of the repository are tested with that file.
"""

import re
import shlex
from pathlib import Path

import pytest
import yaml

import mnas
import mnas.controllers
from mnas import __main__ as mnas_command
from tests.documents import (
    OTHER_PROGRAMS,
    Parsed,
    TableEvaluator,
    arguments_of,
    blocks,
    known_flags,
    named_flags,
    require_flags,
    small,
    stop_after_parsing,
)
from tests.registered import register

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent.name != "results")
FIRST_SEARCH = DOCS / "start" / "first-search.md"
NOT_RUN = "Not run by the tests: "
# Flags of Slurm and Docker.
FOREIGN = {"--signal", "--requeue", "--cpus", "--shm-size", "--build-arg"}
LANGUAGES = {"console", "python", "text", "yaml", "bash", "dockerfile"}


def name_of(page):
    return page.relative_to(DOCS).as_posix()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return an empty directory, in which the named experiments are small ones."""
    monkeypatch.chdir(tmp_path)
    register(monkeypatch, "experiment", "digits", small("digits", evaluator=TableEvaluator()))
    register(monkeypatch, "experiment", "b0-imagenet", small("b0-imagenet"))
    return tmp_path


def run(command):
    """Require that a command of mnas succeeds."""
    try:
        status = mnas_command.main(arguments_of(command))
    except SystemExit as end:  # after --help
        status = end.code or 0
    assert status == 0, command


def runs(code):
    """Return whether a block is run: it is neither a file nor marked."""
    file = code.text.startswith("--8<--")
    return code.language in ("console", "python") and not file and not code.title


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_run_in_their_order(page, place):
    variables = {}
    for code in filter(runs, blocks(page.read_text())):
        if code.language == "python":
            exec(compile(code.text, name_of(page), "exec"), variables)
        else:
            assert code.commands, "a console block without commands"
            for command in code.commands:
                run(command)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_that_are_not_run_are_parsed_and_say_why(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stop_after_parsing(monkeypatch)
    for code in blocks(page.read_text()):
        assert code.language in LANGUAGES
        if code.language == "console" and code.title:
            assert code.title.startswith(NOT_RUN) and len(code.title) > len(NOT_RUN)
            for command in code.commands:
                words = shlex.split(command)
                if words[0] == "mnas" or words[:2] == ["python", "search.py"]:
                    require_flags(command)
                else:
                    other = (*OTHER_PROGRAMS, "python examples/", "python onnx_digits.py")
                    assert command.startswith(other), command
        elif code.title and code.language != "text":
            # The second form is no Python, so that ruff leaves it as it is.
            one_line, lines = f'--8<-- "{code.title}"\n', f"--8<--\n{code.title}\n--8<--\n"
            assert code.text == (lines if code.language == "python" else one_line)
            assert (ROOT / code.title).is_file()


def test_a_wrong_flag_in_a_block_is_noticed(monkeypatch):
    with pytest.raises(AssertionError):
        run("mnas cost efficientnet-b0 --no-such-flag")
    stop_after_parsing(monkeypatch)
    with pytest.raises(pytest.fail.Exception):
        require_flags("mnas train efficientnet-b0 --no-such-flag")
    with pytest.raises(Parsed):
        mnas_command.main(["train", "efficientnet-b0", "--data", "digits"])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_flags_named_in_prose_and_commands_exist(page):
    assert sorted(named_flags(page) - known_flags() - FOREIGN) == []


def shape(line):
    """Return a line of output without its numbers."""
    return re.sub(r"\d[\d.,]*(e\+\d+)?", "#", re.sub(r"  \d+:\d+ left$", "", line)).split()


def test_output_of_the_first_search_is_that_of_the_program(place, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    run("mnas search b0-imagenet")
    printed = [shape(line) for line in capsys.readouterr().err.splitlines()]
    (shown,) = (code for code in blocks(FIRST_SEARCH.read_text()) if code.language == "text")
    for line in shown.text.splitlines():
        if not line.startswith("  r"):  # the network is another one
            assert shape(line) in printed, line


def test_every_explained_word_is_in_the_output_of_the_first_search():
    text = FIRST_SEARCH.read_text()
    (shown,) = (code for code in blocks(text) if code.language == "text")
    explained = re.findall(r"^(`.*`)\n:   ", text[: text.index("## With training")], re.MULTILINE)
    assert len(explained) > 10
    for word in re.findall(r"`([^`]+)`", "\n".join(explained)):
        assert word in shown.text


def test_navigation_lists_every_page_once():
    def files(node):
        if isinstance(node, str):
            return [node]
        values = node.values() if isinstance(node, dict) else node
        return [name for value in values for name in files(value)]

    listed = files(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    generated = {"reference/command-line.md", "contributing.md", "security.md", "changelog.md"}
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(listed) == sorted(written | generated)


def test_every_example_is_on_a_page():
    pages = "".join(page.read_text() for page in PAGES)
    for example in (ROOT / "examples").glob("*.py"):
        assert f"--8<--\nexamples/{example.name}\n--8<--" in pages


def test_every_public_name_is_in_the_api_reference():
    listed = re.findall(r"^::: (\S+)$", (DOCS / "reference" / "api.md").read_text(), re.MULTILINE)
    assert {f"mnas.{name}" for name in mnas.__all__} <= set(listed)
    controllers = {f"mnas.controllers.{name}" for name in mnas.controllers.__all__}
    assert controllers <= set(listed)
