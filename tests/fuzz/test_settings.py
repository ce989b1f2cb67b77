"""Readers of settings: experiment.json, study.json, flags of the command line."""

import contextlib
import io
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.cli import study
from mnas.cli.arguments import parse
from mnas.cli.named_experiment import ExperimentArguments, exchange
from mnas.controllers.reinforce import Reinforce
from mnas.errors import UsageError
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.experiment import run
from mnas.experiment.overrides import override
from mnas.experiment.settings import Experiment
from tests.fuzz.contract import limited, read
from tests.fuzz.strategies import REAL, TEXTS, WHOLE, at, edited_json, fewer, json_files, paths
from tests.registered import EXPERIMENTS, STUDIES
from tests.studies import NOISY

VALID = [
    {**experiment.settings(), "name": experiment.name, "kinds": experiment.kinds()}
    for experiment in (EXPERIMENTS["digits"], EXPERIMENTS["b0-imagenet"], NOISY)
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def assert_settings_are_as_given(experiment: Experiment, given: dict[str, Any]) -> None:
    """Assert that every setting in `given` has its value in `experiment`."""
    read_back = experiment.settings()
    for path in paths(given):
        if path and path[0] in read_back and not isinstance(at(given, path), dict | list):
            assert at(read_back, path) == at(given, path), ".".join(map(str, path))
            assert math.isfinite(at(given, path)) if isinstance(at(given, path), float) else True


@given(content=st.one_of(*map(json_files, VALID)))
def test_experiment_file(directory, content):
    file = directory / "experiment.json"
    file.write_bytes(content)
    experiment = read(lambda: run.read_experiment(directory), file)
    if experiment is not None:
        assert_settings_are_as_given(experiment, json.loads(content))


@given(changes=edited_json(VALID[2]))
def test_overrides(changes):
    if not isinstance(changes, dict):
        return
    changes = {name: value for name, value in changes.items() if name not in ("name", "kinds")}
    experiment = read(lambda: override(NOISY, changes), "")
    if experiment is not None:
        assert_settings_are_as_given(experiment, changes)


@given(content=json_files({"name": "flop-budgets", "seeds": 4, "trials": 10_000}))
def test_study_file(directory, content):
    file = directory / "study.json"
    file.write_bytes(content)
    started = []

    def run_study(resized, *_: Any) -> int:
        started.append(resized)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "run_study", run_study)
        read(lambda: study.resume(directory, ["--workers", "1"]), file)
    for resized in started:
        head = json.loads(content)
        assert resized.name == head["name"] in STUDIES
        assert (resized.seeds, resized.trials) == (head["seeds"], head["trials"])
        assert all(type(head[name]) is int and head[name] > 0 for name in ("seeds", "trials"))


def flag_names(experiment: Experiment) -> list[str]:
    given = experiment.settings()
    names = [path for path in paths(given) if not isinstance(at(given, path), dict)]
    return [".".join(path).replace("_", "-") for path in names]


FLAGS = flag_names(NOISY)
words = st.one_of(
    st.sampled_from(WHOLE).map(str),
    st.sampled_from(REAL).map(str),
    st.sampled_from(TEXTS),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=8),
    st.sampled_from(["True", "False", "None", "measured", "ridge", "inline", "--", "-1", "[]"]),
)
flags = st.sampled_from([f"--{name}" for name in FLAGS])
command_lines = st.lists(
    st.one_of(
        st.tuples(flags, words).map(list),
        st.tuples(flags, words).map(lambda pair: ["=".join(pair)]),
        words.map(lambda word: [word]),
        st.tuples(st.sampled_from(["--controller", "--evaluator", "--space"]), words).map(list),
        st.just(["--controller", "reinforce"]),
    ),
    min_size=1,
    max_size=3,
).map(lambda parts: [word for part in parts for word in part])


@fewer
@given(command_lines)
def test_command_line(words):
    def parsed():
        experiment, rest = exchange(NOISY, words)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            try:
                return parse(
                    ExperimentArguments, "mnas search", rest, ExperimentArguments(experiment)
                ).experiment
            except SystemExit as stop:  # --help
                assert not stop.code
                return experiment

    experiment = read(parsed, "")
    if experiment is not None:
        assert isinstance(experiment.controller, type(NOISY.controller) | Reinforce) or any(
            word.startswith("--controller") for word in words
        )
        json.dumps(experiment.settings(), allow_nan=False)


DIGITS = EXPERIMENTS["digits"]
numbers = st.one_of(st.sampled_from(WHOLE), st.sampled_from(REAL), st.integers(), st.floats())


@fewer
@given(
    st.dictionaries(
        st.sampled_from([f for f in flag_names(DIGITS) if f.startswith(("controller", "search"))]),
        numbers,
        min_size=1,
        max_size=2,
    )
)
def test_numbers_that_fit_no_machine_are_rejected_before_the_search(changes):
    """`run.check` builds space and controller, and starts nothing."""
    nested: dict[str, Any] = {}
    for name, value in changes.items():
        *parts, last = name.replace("-", "_").split(".")
        part = nested
        for inner in parts:
            part = part.setdefault(inner, {})
        part[last] = value

    def checked() -> None:
        run.check(override(DIGITS, nested))

    read(checked, "")


def test_the_harness_notices_a_wrong_value():
    with pytest.raises(AssertionError, match=r"search\.seed"):
        assert_settings_are_as_given(NOISY, {"search": {"seed": NOISY.search.seed + 1}})
    with pytest.raises(AssertionError), limited():
        read(lambda: override(NOISY, {"search": {"seed": -1}}), "experiment.json")


def test_the_valid_files_are_read(directory):
    for data, kind in zip(VALID, (None, SurrogateConfig, NoisyConfig), strict=True):
        (directory / "experiment.json").write_text(json.dumps(data))
        experiment = run.read_experiment(directory)
        assert kind is None or isinstance(experiment.evaluator, kind)
    with pytest.raises(UsageError):
        override(NOISY, {"nothing": 1})
