"""Fields of experiment.json of another kind: one line with file and field."""

import json

import pytest

from mnas.errors import UsageError
from mnas.experiment import run
from mnas.experiment.results import load_run
from tests.studies import NOISY, RANDOM

DELETED = object()


def changed(content, path, value):
    """Return the content with another value at a dotted path."""
    name, _, rest = path.partition(".")
    if rest:
        return {**content, name: changed(content[name], rest, value)}
    if value is DELETED:
        return {key: item for key, item in content.items() if key != name}
    return {**content, name: value}


@pytest.fixture
def content(tmp_path):
    run.create(NOISY, tmp_path)
    return json.loads((tmp_path / "experiment.json").read_text())


def assert_rejected(directory, text, field, read=run.read_experiment):
    (directory / "experiment.json").write_text(text)
    with pytest.raises(UsageError) as caught:
        read(directory)
    message = str(caught.value)
    assert message.startswith(str(directory / "experiment.json"))
    assert any(name in message for name in field.split("."))
    assert "\n" not in message and len(message) < 1000


@pytest.mark.parametrize("value", [None, 3, [], {}, "x", True, [None], {"a": 1}])
@pytest.mark.parametrize(
    "path",
    ["name", "kinds", "kinds.space", "kinds.evaluator.evaluator", "space", "controller", "reward",
     "evaluator", "evaluator.evaluator", "search", "search.stopping", "engine"],
)  # fmt: skip
def test_field_of_another_kind_is_rejected_by_name(tmp_path, content, path, value):
    if path == "kinds.evaluator.evaluator":
        changes = {**content, "kinds": {**content["kinds"], "evaluator.evaluator": value}}
    else:
        changes = changed(content, path, value)
    # Defaults of the registered experiment apply to settings that are not there.
    if value == {} or (path == "controller" and value == {"a": 1}):
        text = json.dumps(changes)
        (tmp_path / "experiment.json").write_text(text)
        try:
            run.read_experiment(tmp_path)
        except UsageError as error:
            assert str(error).startswith(str(tmp_path))
        return
    assert_rejected(tmp_path, json.dumps(changes), path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("search.trials", 1.5), ("search.trials", "8"), ("search.trials", 10**400),
        ("search.seed", None), ("search.seed", -1), ("search.failed_reward", 1.5),
        ("search.failed_fraction", 10**400), ("search.selection", ["model"]),
        ("search.stopping.quantile", "0.5"), ("search.unknown", 1), ("unknown", 1),
        ("reward.form", 3), ("reward.target_madds", 1e300), ("reward.w", [-0.07]),
        ("engine.kind", "rai"), ("engine.workers", {}), ("reference", 7), ("reference", "b99"),
        ("finish", "print"), ("evaluator.std_points", None), ("space.resolution", None),
        ("kinds.space", "Spaec"), ("kinds.search", "SearchConfig"), ("kinds.x", 1),
    ],
)  # fmt: skip
def test_value_out_of_range_is_rejected_by_name(tmp_path, content, path, value):
    assert_rejected(tmp_path, json.dumps(changed(content, path, value)), path)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", '"x"', "{", "[" * 100_000, "\0"])
def test_file_that_is_no_object_is_rejected(tmp_path, text):
    assert_rejected(tmp_path, text, "")
    assert_rejected(tmp_path, text, "", read=load_run)


@pytest.mark.parametrize(
    ("path", "value"),
    [("search", None), ("search", []), ("search", DELETED), ("search.selection", {}),
     ("search.seed", "0"), ("search.seed", DELETED)],
)  # fmt: skip
def test_readers_reject_what_they_need_of_another_kind(tmp_path, content, path, value):
    assert_rejected(tmp_path, json.dumps(changed(content, path, value)), path, read=load_run)


def test_settings_as_written_are_read(tmp_path, content):
    assert run.read_experiment(tmp_path) == NOISY
    run.write_experiment(RANDOM, tmp_path)
    assert run.read_experiment(tmp_path) == RANDOM


def test_directory_without_a_run_is_named(tmp_path):
    (tmp_path / "experiment.json").mkdir()
    for directory, message in (
        (tmp_path / "missing", "missing holds no run; accepted"),
        (tmp_path / ("x" * 300), "can't be read: File name too long"),
        (tmp_path, "experiment.json can't be read: Is a directory"),
    ):
        for read in (run.read_experiment, load_run):
            with pytest.raises(UsageError, match=message):
                read(directory)
