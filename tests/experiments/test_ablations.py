"""Every experiment and study that ships: that it can be built, and is what its text says."""

import dataclasses
import functools
import importlib
import re
from pathlib import Path

import pytest

import mnas.experiments
from mnas.evaluation import unwrapped
from mnas.evaluators.noisy import NoisyConfig
from mnas.experiment.study import Study
from mnas.experiments import ablations
from tests.registered import EXPERIMENTS, STUDIES

MODULES = sorted(
    path.stem
    for path in Path(mnas.experiments.__file__).parent.glob("*.py")
    if path.stem != "__init__"
)
ALL = [
    *EXPERIMENTS.items(),
    *((f"{s}/{v}", e) for s, study in STUDIES.items() for v, e in study.variants.items()),
]


@functools.cache
def space_of(config):
    return config.build()


@functools.cache
def controller_of(config, space):
    return config.build(space_of(space))


@pytest.mark.parametrize("experiment", [e for _, e in ALL], ids=[name for name, _ in ALL])
def test_every_experiment_builds(experiment):
    space = space_of(experiment.space)
    controller_of(experiment.controller, experiment.space)
    assert callable(experiment.evaluator.build())
    if hasattr(experiment.evaluator, "check"):
        for vector in (space.sizes * 0, space.sizes - 1):
            experiment.evaluator.check(space.decode(vector))
    else:  # what is trained must fit the images
        assert space.decode(space.sizes * 0).classes == 10


def test_names_are_unique():
    assert not set(EXPERIMENTS) & set(STUDIES)
    for registry in (EXPERIMENTS, STUDIES):
        assert all(described.name == name for name, described in registry.items())
    shipped = [study.name for study in ablations.STUDIES]
    assert len(set(shipped)) == len(shipped)
    assert all(STUDIES[study.name] is study for study in ablations.STUDIES)


def test_every_ablation_is_in_the_registry():
    defined = [value for value in vars(ablations).values() if isinstance(value, Study)]
    assert {study.name for study in defined} == {study.name for study in ablations.STUDIES}


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_variants_differ_and_their_names_are_directories(study):
    lowered = [name.lower() for name in study.variants]
    assert len(set(lowered)) == len(lowered)
    for name in study.variants:
        assert re.fullmatch(r"\w[\w ,.=-]*\w", name), name
    settings = list(study.variants.values())
    assert all(a != b for n, a in enumerate(settings) for b in settings[:n])


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_marks_rise_to_the_length_of_the_searches(study):
    assert list(study.marks) == sorted(set(study.marks))
    assert study.marks[-1] == study.trials
    assert {experiment.search.trials for experiment in study.variants.values()} == {study.trials}
    assert study.takes and study.expect and study.seeds >= 2


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_noisy_searches_are_judged_without_noise(study):
    evaluators = [experiment.evaluator for experiment in study.variants.values()]
    if any(isinstance(evaluator, NoisyConfig) for evaluator in evaluators):
        assert {unwrapped(evaluator) for evaluator in evaluators} == {study.judge}
        assert study.judge == unwrapped(study.judge)
    else:
        assert study.judge is None or {study.judge} == set(evaluators)


def test_noise_is_that_of_the_real_training():
    assert NoisyConfig(ablations.EXACT, std_points=0.31) == ablations.NOISY
    for study in (ablations.CONTROLLER, ablations.BATCH):
        for name, variant in study.variants.items():
            noisy = name.endswith(", noisy")
            assert variant.evaluator == (ablations.NOISY if noisy else ablations.EXACT)
            assert noisy or f"{name}, noisy" in study.variants


@pytest.mark.parametrize(
    "study, varied",
    [
        (ablations.CONTROLLER, {"controller", "evaluator", "search"}),
        (ablations.POLICY, {"controller"}),
        (ablations.REWARD, {"reward"}),
        (ablations.SPACE, {"space"}),
        (ablations.BATCH, {"search", "evaluator"}),
        (ablations.NOISE, {"controller", "evaluator"}),
        (ablations.SPACE_TRAINED, {"space"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_only_what_is_asked_about_differs(study, varied):
    first, *others = study.variants.values()
    fields = [field.name for field in dataclasses.fields(first)]
    differing = {f for f in fields for e in others if getattr(e, f) != getattr(first, f)}
    assert differing == varied


@pytest.mark.parametrize("name", MODULES)
def test_the_docstring_of_a_module_gives_its_command(name):
    module = importlib.import_module(f"mnas.experiments.{name}")
    commands = re.findall(r"python (?:search\.py|-m mnas\.experiments\.\w+).*", module.__doc__)
    assert commands
    known = EXPERIMENTS | STUDIES
    named = set()
    for command in commands:
        words = command.split()
        if words[1] == "-m":
            assert words[2] == f"mnas.experiments.{name}" and callable(module.main)
        else:
            named.add(words[2] if len(words) > 2 else "digits")
    assert named <= set(known)
    defined = {v.name for v in vars(module).values() if known.get(getattr(v, "name", "")) is v}
    if name == "ablations":  # a command stands for all of them
        assert named and named <= defined
    else:
        assert named == defined
