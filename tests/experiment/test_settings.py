import dataclasses
import json
from typing import Any, Literal

import pytest

from mnas.data.images import DataConfig
from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
from mnas.experiment.overrides import override
from mnas.experiment.settings import Experiment
from mnas.loop.config import SearchConfig
from mnas.reward import RewardConfig
from mnas.search_spaces.mnasnet import MnasNetSpace


@dataclasses.dataclass(frozen=True)
class Training:
    epochs: int = 3
    rate: float = 0.1
    schedule: Literal["cosine", "constant"] = "cosine"


@dataclasses.dataclass(frozen=True)
class Evaluator:
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    training: Any = Training()
    latency: bool = False


EXPERIMENT = Experiment(
    name="test",
    space=MnasNetSpace(),
    controller=Training(),
    evaluator=Evaluator(),
    reward=RewardConfig(),
    search=SearchConfig(),
)


def test_settings_of_a_part_are_its_fields():
    class Table:
        """Evaluator configuration that is no dataclass."""

    plain = Table()
    assert dataclasses.replace(EXPERIMENT, evaluator=plain).settings()["evaluator"] == {}
    plain.noise = 0.5
    with pytest.raises(UsageError, match=r"evaluator = .*; accepted: a frozen dataclass"):
        dataclasses.replace(EXPERIMENT, evaluator=plain).settings()


@dataclasses.dataclass(frozen=True)
class Counting:
    classes: int | None

    def data_classes(self):
        return self.classes


def test_the_space_has_the_classes_of_the_data():
    def fitted(**parts) -> Experiment:
        return dataclasses.replace(EXPERIMENT, **parts).with_classes_of_data()

    assert fitted(evaluator=Counting(5)).space == MnasNetSpace(classes=5)
    # No data, no hook, or a space without such a setting: nothing is changed.
    assert fitted(evaluator=Counting(None)).space == MnasNetSpace()
    assert fitted().space == MnasNetSpace()
    assert fitted(evaluator=Counting(5), space=Training()).space == Training()


def test_empty_overrides_change_nothing():
    assert override(EXPERIMENT, {}) == EXPERIMENT
    assert override(EXPERIMENT, {"search": {}}) == EXPERIMENT


def test_overrides_reach_nested_settings():
    changed = override(
        EXPERIMENT,
        {
            "reward": {"target_madds": 300e6, "form": "hard"},
            "evaluator": {"data": {"source": "images.npz"}, "training": {"epochs": 9}},
            "space": {"published_filters": True},
            "name": "other",
        },
    )
    assert changed.reward == RewardConfig(target_madds=300e6, form="hard")
    assert changed.evaluator.data == DataConfig(source="images.npz")
    assert changed.evaluator.training == Training(epochs=9)
    assert changed.space == MnasNetSpace(published_filters=True)
    assert changed.name == "other"
    assert (changed.search, changed.engine) == (EXPERIMENT.search, EXPERIMENT.engine)
    assert EXPERIMENT.reward.target_madds == 400e6  # Unchanged.


@pytest.mark.parametrize(
    "part, changes",
    [
        ("reward", {"beta": -0.5}),
        ("reward", {"beta": None}),
        ("engine", {"workers": 4}),
        ("engine", {"workers": None}),
        ("engine", {"address": "auto", "time_limit_seconds": 2.5}),
        ("evaluator", {"latency": True}),
    ],
)
def test_values_of_the_fields_types_are_accepted(part, changes):
    changed = getattr(override(EXPERIMENT, {part: changes}), part)
    assert {name: getattr(changed, name) for name in changes} == changes


def test_ints_become_floats():
    for part, field in (("reward", "target_madds"), ("engine", "time_limit_seconds")):
        value = getattr(getattr(override(EXPERIMENT, {part: {field: 3}}), part), field)
        assert value == 3 and type(value) is float


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sarch": {}}, r"^unknown setting 'sarch'; did you mean search\?$"),
        (
            {"reward": {"target_mads": 3e8}},
            r"^unknown setting of reward 'target_mads'; did you mean target_madds\?$",
        ),
        (
            {"evaluator": {"training": {"epoch": 3}}},
            r"unknown setting of evaluator.training 'epoch'; did you mean epochs\?",
        ),
        (
            {"evaluator": {"zzz": 3}},
            "unknown setting of evaluator 'zzz'; accepted: data, training, latency",
        ),
        ({"search": {"trials": 2.5}}, r"^search.trials = 2.5; accepted: int or None$"),
        ({"search": {"trials": "64"}}, r"^search.trials = '64'; accepted: int or None$"),
        ({"search": {"trials": True}}, r"^search.trials = True; accepted: int or None$"),
        ({"search": {"batch": None}}, r"^search.batch = None; accepted: int$"),
        ({"reward": {"w": "low"}}, r"^reward.w = 'low'; accepted: float$"),
        ({"reward": {"w": False}}, r"^reward.w = False; accepted: float$"),
        ({"reward": {"beta": "x"}}, r"^reward.beta = 'x'; accepted: float or None$"),
        ({"engine": {"workers": 1.0}}, r"^engine.workers = 1.0; accepted: int or None$"),
        ({"evaluator": {"latency": 1}}, r"^evaluator.latency = 1; accepted: bool$"),
        ({"reward": {"form": "mild"}}, r"^reward.form = 'mild'; accepted: soft, hard, absolute$"),
        (
            {"evaluator": {"training": {"schedule": []}}},
            r"training.schedule = \[\]; accepted: cosine, constant$",
        ),
        ({"search": 3}, r"^search = 3; accepted: settings by name \(trials, batch, seed"),
        ({"evaluator": {"training": None}}, r"^evaluator.training = None; accepted: settings by"),
        ({"name": 3}, r"^name = 3; accepted: str$"),
        # Right type, invalid value: the message of the part.
        ({"reward": {"w": 1.0}}, "^reward: w = 1.0; accepted: -100 to 0"),
        ({"search": {"batch": 0}}, "^search: batch = 0; accepted: a whole number of at least 1"),
    ],
)
def test_invalid_override_is_rejected_with_its_path(changes, message):
    with pytest.raises(ValueError, match=message):
        override(EXPERIMENT, changes)


def test_settings_are_the_same_after_json():
    changed = override(
        EXPERIMENT,
        {
            "reward": {"form": "absolute", "cost": "params", "beta": -0.3},
            "evaluator": {"data": {"train_images": 5}, "training": {"rate": 1 / 3}},
            "search": {"seed": 7},
            "engine": {"kind": "inline", "workers": 2},
            "space": {"resolution": 32},
        },
    )
    settings = json.loads(json.dumps(changed.settings()))
    assert override(EXPERIMENT, settings) == changed
    assert override(EXPERIMENT, EXPERIMENT.settings()) == EXPERIMENT
    assert list(settings) == ["space", "controller", "evaluator", "reward", "search", "engine"]
    assert settings["evaluator"]["training"] == {"epochs": 3, "rate": 1 / 3, "schedule": "cosine"}


@pytest.mark.parametrize(
    "field, value",
    [("workers", 0), ("threads", 0), ("retries", -1), ("gpus_per_worker", -0.5),
     ("time_limit_seconds", 0), ("time_limit_seconds", float("nan"))],
)  # fmt: skip
def test_invalid_engine_setting_is_rejected_with_its_name(field, value):
    with pytest.raises(ValueError, match=rf"engine: {field} = {value}; accepted:"):
        EngineConfig(**{field: value})


def test_reference_is_a_published_network_and_no_setting_of_the_search():
    known = dataclasses.replace(EXPERIMENT, reference="efficientnet-b0")
    assert override(known, {"reference": "mnasnet-a1"}).reference == "mnasnet-a1"
    assert override(known, {"reference": None}) == EXPERIMENT
    assert known.settings() == EXPERIMENT.settings()
    with pytest.raises(ValueError, match="experiment: reference = 'b0'; accepted: efficient"):
        override(EXPERIMENT, {"reference": "b0"})
