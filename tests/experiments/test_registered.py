"""Every registered experiment and study builds, and is described by its module."""

import functools
import importlib
import re
from pathlib import Path

import pytest

import mnas.experiments
from mnas.data.sources import REQUIRED
from mnas.errors import UsageError
from mnas.evaluation import ArchitectureCheck
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.table import TableConfig
from tests.registered import EXPERIMENTS, STUDIES

FOLDER = Path(mnas.experiments.__file__).parent
# Modules to run with python -m.
COMMANDS = ("fit_surrogate", "proxy_recipes", "scaling_seeds", "stopping", "transfer")
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
MEASUREMENTS = (
    *("budget", "engine_scaling", "feeding", "roofline", "soak", "whole_network"),
    "worker_scaling",
)
REGISTERED = EXPERIMENTS | STUDIES
VARIANTS = {
    **EXPERIMENTS,
    **{f"{s}/{v}": e for s, study in STUDIES.items() for v, e in study.variants.items()},
}


@functools.cache
def space_of(config):
    return config.build()


@functools.cache
def controller_of(config, space):
    return config.build(space_of(space))


@pytest.mark.parametrize("experiment", VARIANTS.values(), ids=VARIANTS)
def test_builds_space_controller_and_evaluator(experiment):
    space = space_of(experiment.space)
    controller_of(experiment.controller, experiment.space)
    if isinstance(experiment.evaluator, TableConfig):  # of a table that users have
        with pytest.raises(UsageError, match=r"\(--evaluator\.path\)"):
            experiment.evaluator.build()
        return
    assert callable(experiment.evaluator.build())
    if getattr(getattr(experiment.evaluator, "data", None), "source", None) == REQUIRED:
        with pytest.raises(UsageError, match=r"accepted: --data with"):  # images that users have
            experiment.evaluator.check(space.decode(space.sizes * 0))
        return
    if isinstance(experiment.evaluator, ArchitectureCheck):
        for vector in (space.sizes * 0, space.sizes - 1):
            experiment.evaluator.check(space.decode(vector))
    else:  # trains on the embedded images, which have ten classes
        assert space.decode(space.sizes * 0).classes == 10


@pytest.mark.parametrize("name", REGISTERED)
def test_entry_point_has_the_name_of_its_experiment(name):
    assert REGISTERED[name].name == name


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_variants_differ_and_their_names_can_be_directories(study):
    lowered = [name.lower() for name in study.variants]
    assert len(set(lowered)) == len(lowered)
    for name in study.variants:
        assert re.fullmatch(r"\w[\w ,.=-]*\w", name), name
    experiments = list(study.variants.values())
    assert all(a != b for n, a in enumerate(experiments) for b in experiments[:n])


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_marks_ascend_to_the_length_of_the_searches(study):
    assert list(study.marks) == sorted(set(study.marks))
    assert study.marks[-1] == study.trials
    assert {experiment.search.trials for experiment in study.variants.values()} == {study.trials}
    assert study.seeds >= 2


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_noisy_searches_are_compared_without_noise(study):
    evaluators = [experiment.evaluator for experiment in study.variants.values()]
    noise_free = {e.evaluator if isinstance(e, NoisyConfig) else e for e in evaluators}
    if noise_free == set(evaluators):
        assert study.judge is None or {study.judge} == noise_free
    else:
        assert {study.judge} == noise_free


@pytest.mark.parametrize("name", REGISTERED)
def test_states_cost_and_expected_result(name):
    assert REGISTERED[name].takes and REGISTERED[name].expect


@pytest.mark.parametrize("name", [*MODULES, *(f"performance.{name}" for name in MEASUREMENTS)])
def test_docstring_states_command_cost_expectation_and_results(name):
    module = importlib.import_module(f"mnas.experiments.{name}")
    for heading in ("Command", "Cost", "Expect"):
        assert re.search(rf"^{heading} +\S", module.__doc__, re.MULTILINE), heading
    for page in re.findall(r"docs/results/\w+\.md", module.__doc__):
        assert (FOLDER.parent / page).is_file(), page
    if name in MODULES and name not in COMMANDS:
        commands = set(re.findall(r"mnas search ([\w-]+)", module.__doc__))
        names = {getattr(value, "name", None) for value in vars(module).values()}
        defined = {name for name in names if name in REGISTERED}
        assert commands and commands <= defined
    else:
        assert f"python -m mnas.experiments.{name}" in module.__doc__
        assert callable(module.main)
