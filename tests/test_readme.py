"""Commands and examples of the README run as they are shown."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from mnas import __main__ as mnas_command
from mnas.cli import (
    benchmark,
    data,
    evaluate,
    export,
    prepare,
    proxy_quality,
    recipe_flags,
    rescore,
    search,
    study,
)
from mnas.cli import list as list_verb
from mnas.cli.arguments import parse
from mnas.cli.benchmark import BenchmarkArguments, InferenceArguments
from mnas.cli.compare import CompareArguments
from mnas.cli.cost import CostArguments
from mnas.cli.data import PackArguments, ShowArguments
from mnas.cli.evaluate import EvaluateArguments
from mnas.cli.export import ExportArguments
from mnas.cli.flags import flags
from mnas.cli.front import FrontArguments
from mnas.cli.named_experiment import ExperimentArguments
from mnas.cli.proxy_quality import ProxyQualityArguments
from mnas.cli.report import ReportArguments
from mnas.cli.rescore import RescoreArguments
from mnas.cli.retrain import RetrainArguments
from mnas.cli.scale import ScaleArguments
from mnas.cli.study import StudyArguments
from mnas.cli.train import TrainArguments
from mnas.cli.trials import TrialsArguments
from mnas.controllers.random_search import RandomSearch
from mnas.engines.config import EngineConfig
from mnas.evaluation import Evaluation
from mnas.experiment import registry
from mnas.experiment.settings import KINDS
from mnas.loop.config import SearchConfig
from tests.registered import EXPERIMENTS, register

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
CONTRIBUTING = README.parent / "CONTRIBUTING.md"
RESULTS = README.parent / "docs" / "results"
COMMANDS = re.findall(r"^\$ (.*?)(?:\s+#.*)?$", TEXT, re.MULTILINE)
SEARCHES = [c for c in COMMANDS if c.startswith(("mnas search", "python search.py"))]
# Commands that only read specs and finished runs; the others train, or need weights.
READERS = [
    c
    for c in COMMANDS
    if re.match("mnas (list|cost|compare|draw|scale|trials|front|rescore|report|completion)", c)
] + ["mnas export runs/digits-1 --format timm"]
OTHERS = [c for c in COMMANDS if c.startswith("mnas") and c not in {*SEARCHES, *READERS}]


@dataclasses.dataclass(frozen=True)
class TableEvaluator:
    """Evaluator without training, its own configuration."""

    def build(self):
        return self

    def __call__(self, architecture, seed, report=None):
        return Evaluation(accuracy=0.5 + seed % 100 / 200)


def small(name, **parts):
    """Return an experiment with a few random trials, in this process."""
    return dataclasses.replace(
        EXPERIMENTS[name],
        controller=RandomSearch(),
        search=SearchConfig(trials=8, batch=4),
        engine=EngineConfig(kind="inline"),
        **parts,
    )


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


class Parsed(Exception):
    """Raised once the flags of a command are parsed."""


@pytest.fixture
def parsing_only(monkeypatch):
    def parse_and_stop(*arguments, **settings):
        parse(*arguments, **settings)
        raise Parsed

    for module in (
        benchmark,
        data,
        evaluate,
        export,
        list_verb,
        prepare,
        proxy_quality,
        recipe_flags,
        rescore,
        search,
        study,
    ):
        monkeypatch.setattr(module, "parse", parse_and_stop)


def arguments_of(command):
    words = shlex.split(command)
    return ["search", *words[2:]] if words[0] == "python" else words[1:]


@pytest.mark.parametrize("command", [*SEARCHES, *OTHERS])
def test_flags_of_commands_exist(command, parsing_only, directory, monkeypatch):
    monkeypatch.chdir(directory)
    arguments = arguments_of(command)
    expected = SystemExit if "--help" in arguments else Parsed
    with pytest.raises(expected):
        mnas_command.main(arguments)


@pytest.mark.parametrize("command", READERS)
def test_commands_on_specs_and_runs_succeed(command, directory, monkeypatch):
    monkeypatch.chdir(directory)
    assert mnas_command.main(arguments_of(command)) == 0


def test_figures_of_the_cost_command_are_right(capsys):
    assert mnas_command.main(["cost", "efficientnet-b4"]) == 0
    assert "19,341,616" in capsys.readouterr().out


def test_python_examples_run(directory, monkeypatch, capsys):
    run, own_parts = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    monkeypatch.chdir(directory)
    register(monkeypatch, "experiment", "b0-imagenet", small("b0-imagenet"))
    exec(compile(run, "README.md", "exec"), {})
    assert "Architecture(" in capsys.readouterr().out
    exec(compile(own_parts, "README.md", "exec"), {})
    assert "Architecture(" in capsys.readouterr().out


def test_opens_with_the_two_set_up_commands():
    assert COMMANDS[:2] == [
        "pip install -e . && python search.py",
        "pip install -e '.[test]' && pytest",
    ]


ARGUMENTS = (
    *(StudyArguments, prepare.WarmUpArguments, prepare.LatencyArguments, CompareArguments),
    *(CostArguments, ExportArguments, ReportArguments, RescoreArguments, ScaleArguments),
    *(TrialsArguments, FrontArguments),
    *(ShowArguments, PackArguments, ProxyQualityArguments),
    *(TrainArguments, EvaluateArguments, RetrainArguments, BenchmarkArguments, InferenceArguments),
)
# What the command line takes before the flags of a dataclass.
FORMS = {"--help", "--list", "--resume", "--warm-up", "--latency-table", "--inference"} | {
    *mnas_command.GLOBAL_FLAGS,
    *("--space", "--controller", "--evaluator"),
}
OTHER_PROGRAMS = ("pip", "pytest", "ruff", "bash", "python -m", "pre-commit")


def known_flags():
    """Return the flags of all verbs, experiments and registered parts."""
    found = set(FORMS)
    for experiment in EXPERIMENTS.values():
        found |= dict(flags(ExperimentArguments, ExperimentArguments(experiment))).keys()
    for part in KINDS:
        for name in registry.entries(part):
            kind = registry.load(part, name)
            found |= dict(flags(kind, kind(), part)).keys()
    for kind in ARGUMENTS:
        found |= dict(flags(kind)).keys()
    return found | {re.sub(r"([^.-][^.]*)$", r"no-\1", flag) for flag in found}


@pytest.mark.parametrize("page", [README, CONTRIBUTING, *RESULTS.glob("*.md")], ids=str)
def test_flags_named_in_prose_and_commands_exist(page):
    text = page.read_text(encoding="utf-8")
    named = set()
    for code in re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL):
        for line in code.strip("`").replace("\\\n", " ").splitlines():
            if not line.removeprefix("$ ").startswith(OTHER_PROGRAMS):
                named |= set(re.findall(r"(?<!\S)--[a-z][\w.-]*", line.split(" #")[0]))
    named.discard("--evaluator.path")  # of the plug-in that CONTRIBUTING.md writes
    assert sorted(named - known_flags()) == []
    assert named or page.parent == RESULTS


SETTINGS = re.findall(r"`(--\w+\.[^`]+ [^`]+)`", TEXT)


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_in_prose_parse_as_they_are_shown(setting):
    default = ExperimentArguments(EXPERIMENTS["digits"])
    assert parse(ExperimentArguments, "mnas search", shlex.split(setting), default)


def test_a_boolean_and_a_number_are_shown_as_they_are_accepted():
    assert {"--engine.pin False", "--reward.target-madds 300M"} <= set(SETTINGS)


def test_links_lead_to_files():
    for page in (README, *RESULTS.glob("*.md")):
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_index_of_results_lists_every_page():
    index = (RESULTS / "README.md").read_text()
    assert not {page.name for page in RESULTS.glob("*.md") if f"]({page.name})" not in index} - {
        "README.md"
    }
