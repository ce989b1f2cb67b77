"""What tests of the README and of the documentation share: code blocks, commands and flags."""

import dataclasses
import functools
import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mnas import __main__ as mnas_command
from mnas import cli
from mnas.cli.arguments import parse
from mnas.cli.flags import flags
from mnas.cli.named_experiment import ExperimentArguments
from mnas.controllers.random_search import RandomSearch
from mnas.engines.config import EngineConfig
from mnas.evaluation import Evaluation
from mnas.experiment import registry
from mnas.experiment.settings import KINDS, Experiment
from mnas.loop.config import SearchConfig
from tests.registered import EXPERIMENTS

# What the command line takes before the flags of a dataclass.
FORMS = {
    "--help",
    "--help-all",
    "--config",
    "--list",
    "--resume",
    "--warm-up",
    "--latency-table",
    "--inference",
} | {
    *mnas_command.GLOBAL_FLAGS,
    *("--space", "--controller", "--evaluator", "--config", "--help-all"),
}
OTHER_PROGRAMS = (
    *("pip", "pytest", "ruff", "bash", "python -m", "pre-commit", "mkdocs", "tensorboard"),
    *("docker", "kubectl", "ray ", "sbatch"),
)


@dataclasses.dataclass(frozen=True)
class Code:
    """A fenced block of a Markdown page.

    title  of the fence; empty where it has none
    """

    language: str
    title: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Return the commands of a console block."""
        return commands_of(self.text)


def blocks(text: str) -> Iterator[Code]:
    """Yield the fenced blocks of a page, in order."""
    fence = r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$'
    for language, title, body in re.findall(fence, text, re.MULTILINE | re.DOTALL):
        yield Code(language, title, body)


def commands_of(text: str) -> list[str]:
    """Return the lines after `$`, without their comments."""
    return re.findall(r"^\$ (.*?)(?:\s+#.*)?$", text, re.MULTILINE)


def arguments_of(command: str) -> list[str]:
    """Return the arguments of `mnas` for a command, or for `python search.py`."""
    words = shlex.split(command)
    return ["search", *words[2:]] if words[0] == "python" else words[1:]


# --- small experiments in place of the real ones ---


@dataclasses.dataclass(frozen=True)
class TableEvaluator:
    """Evaluator without training, its own configuration."""

    def build(self):
        return self

    def __call__(self, architecture, seed, report=None):
        return Evaluation(accuracy=0.5 + seed % 100 / 200)


def small(name: str, **parts) -> Experiment:
    """Return an experiment with a few random trials, in this process."""
    return dataclasses.replace(
        EXPERIMENTS[name],
        controller=RandomSearch(),
        search=SearchConfig(trials=8, batch=4),
        engine=EngineConfig(kind="inline"),
        **parts,
    )


# --- flags ---


class Parsed(Exception):
    """Raised once the flags of a command are parsed."""


def stop_after_parsing(patch: pytest.MonkeyPatch) -> None:
    """Let every verb raise `Parsed` in place of doing what its flags say."""

    def parse_and_stop(*arguments, **settings):
        parse(*arguments, **settings)
        raise Parsed

    for module in verb_modules():
        if getattr(module, "parse", None) is parse and module.__name__ != parse.__module__:
            patch.setattr(module, "parse", parse_and_stop)


def require_flags(command: str) -> None:
    """Require that a command is parsed; under `stop_after_parsing`."""
    arguments = arguments_of(command)
    expected = SystemExit if "--help" in arguments else Parsed
    with pytest.raises(expected):
        mnas_command.main(arguments)


def verb_modules() -> list[ModuleType]:
    """Return the modules of `mnas.cli`."""
    names = [module.name for module in pkgutil.iter_modules(cli.__path__)]
    return [importlib.import_module(f"mnas.cli.{name}") for name in names]


@functools.cache
def known_flags() -> frozenset[str]:
    """Return the flags of all verbs, experiments and registered parts."""
    found = set(FORMS)
    for experiment in EXPERIMENTS.values():
        found |= dict(flags(ExperimentArguments, ExperimentArguments(experiment))).keys()
    for part in KINDS:
        for name in registry.entries(part):
            kind = registry.load(part, name)
            found |= dict(flags(kind, kind(), part)).keys()
    for module in verb_modules():
        for name, kind in vars(module).items():
            own = getattr(kind, "__module__", "") == module.__name__
            if name.endswith("Arguments") and own and dataclasses.is_dataclass(kind):
                found |= dict(flags(kind)).keys()
    return frozenset(found | {re.sub(r"([^.-][^.]*)$", r"no-\1", flag) for flag in found})


def named_flags(page: Path) -> set[str]:
    """Return the flags of mnas that the code of a page names, in blocks and in lines."""
    named: set[str] = set()
    for code in re.findall(r"```.*?```|`[^`]+`", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in code.strip("`").replace("\\\n", " ").splitlines():
            if not line.removeprefix("$ ").startswith(OTHER_PROGRAMS):
                named |= set(re.findall(r"(?<!\S)--[a-z][\w.-]*", line.split(" #")[0]))
    return named
