"""Commands and examples of the README run as they are shown."""

import re
import shlex
from pathlib import Path

import pytest

from mnas import __main__ as mnas_command
from mnas.cli.arguments import parse
from mnas.cli.named_experiment import ExperimentArguments
from tests.documents import (
    TableEvaluator,
    arguments_of,
    commands_of,
    known_flags,
    named_flags,
    require_flags,
    small,
    stop_after_parsing,
)
from tests.registered import EXPERIMENTS, register

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
CONTRIBUTING = README.parent / "CONTRIBUTING.md"
RESULTS = README.parent / "docs" / "results"
COMMANDS = commands_of(TEXT)
SEARCHES = [c for c in COMMANDS if c.startswith(("mnas search", "python search.py"))]
# Commands that only read specs and finished runs; the others train, or need weights.
READERS = [
    c
    for c in COMMANDS
    if re.match("mnas (list|cost|compare|draw|scale|trials|front|rescore|report|completion)", c)
] + ["mnas export runs/digits-1 --format timm"]
OTHERS = [c for c in COMMANDS if c.startswith("mnas") and c not in {*SEARCHES, *READERS}]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Return a directory with the runs that the README's commands name."""
    directory = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        register(patch, "experiment", "digits", small("digits", evaluator=TableEvaluator()))
        register(patch, "experiment", "b0-imagenet", small("b0-imagenet"))
        for name in ("digits", "digits", "b0-imagenet"):
            assert mnas_command.main(["search", name]) == 0
    return directory


@pytest.mark.parametrize("command", [*SEARCHES, *OTHERS])
def test_flags_of_commands_exist(command, directory, monkeypatch):
    monkeypatch.chdir(directory)
    if "--config" in command:  # the settings of a run in the directory
        register(monkeypatch, "experiment", "digits", small("digits", evaluator=TableEvaluator()))
    stop_after_parsing(monkeypatch)
    require_flags(command)


@pytest.mark.parametrize("command", READERS)
def test_commands_on_specs_and_runs_succeed(command, directory, monkeypatch):
    monkeypatch.chdir(directory)
    assert mnas_command.main(arguments_of(command)) == 0


def test_figures_of_the_cost_command_are_right(capsys):
    assert mnas_command.main(["cost", "efficientnet-b4"]) == 0
    assert "19,341,616" in capsys.readouterr().out


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    found = capsys.readouterr().out
    assert found.startswith("Architecture(") and "repeats=3" in found  # the highest accuracy


def test_opens_with_the_two_set_up_commands():
    assert COMMANDS[:2] == [
        "pip install -e . && python search.py",
        "pip install -e '.[test]' && pytest",
    ]


@pytest.mark.parametrize("page", [README, CONTRIBUTING, *RESULTS.glob("*.md")], ids=str)
def test_flags_named_in_prose_and_commands_exist(page):
    named = named_flags(page)
    named.discard("--evaluator.path")  # of the plug-in that CONTRIBUTING.md writes
    assert sorted(named - known_flags()) == []
    assert named or page.parent == RESULTS


SEARCHES_PAGE = README.parent / "docs" / "how-to" / "searches.md"
SETTINGS = re.findall(r"`(--\w+\.[^`]+ [^`]+)`", SEARCHES_PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_in_prose_parse_as_they_are_shown(setting):
    default = ExperimentArguments(EXPERIMENTS["digits"])
    assert parse(ExperimentArguments, "mnas search", shlex.split(setting), default)


def test_a_boolean_and_a_number_are_shown_as_they_are_accepted():
    assert {"--engine.pin False", "--reward.target-madds 300M"} <= set(SETTINGS)


def test_links_lead_to_files():
    for page in (README, *RESULTS.glob("*.md")):
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            if not target.startswith("https://"):
                assert (page.parent / target.split("#")[0]).exists(), f"{page}: {target}"


def test_index_of_results_lists_every_page():
    index = (RESULTS / "README.md").read_text()
    assert not {page.name for page in RESULTS.glob("*.md") if f"]({page.name})" not in index} - {
        "README.md"
    }
