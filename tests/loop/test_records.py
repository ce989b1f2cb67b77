"""The JSON form of records: exact, complete and strict."""

import json
import math

import pytest

from mnas.errors import UsageError
from mnas.evaluation import Evaluation
from mnas.loop.records import (
    ExperimentRecord,
    ProposalsRecord,
    RemeasuredRecord,
    RemeasureRecord,
    ResultRecord,
    UpdateRecord,
    from_json,
    to_json,
)

RESULT = ResultRecord(
    trial=1,
    hash="0a",
    seed=7,
    duplicate_of=0,
    architecture={"blocks": ["r1_k3"], "stem": 4},
    reward=1e-300,
    accuracy=0.1 + 0.2,
    params=5,
    mult_adds=10**18,
    latency_ms=1 / 3,
    epochs=2,
    seconds=0.5,
    timings={"train": 0.25},
    history=((1, 0.1), (2, 0.3)),
    stopped=True,
    time=1e9,
)
RECORDS = [
    ExperimentRecord(name="été", settings={"search": {"seed": 0}}, reference="mnasnet-a1"),
    ProposalsRecord(batch=0, first_trial=0, decisions=((0, 1), (2, 0)), log_probs=(-0.1, None)),
    RESULT,
    UpdateRecord(batch=0, mean_reward=0.5, controller={"baseline": 0.1, "entropy": None}),
    RemeasureRecord(selection="model", top=3, seeds=2, results=9, trials=(4, 2)),
    RemeasuredRecord(
        trial=4, number=1, seed=7, reward=-0.5, accuracy=None, error="lost", timings={"train": 0.25}
    ),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.kind)
def test_json_gives_the_same_record(record):
    data = json.loads(json.dumps(to_json(record), allow_nan=False))
    assert next(iter(data)) == "kind" and data["kind"] == record.kind
    assert from_json(data) == record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.kind)
def test_every_field_is_written_and_required(record):
    data = json.loads(json.dumps(to_json(record)))
    for key in data.keys() - {"kind"}:
        incomplete = {name: value for name, value in data.items() if name != key}
        with pytest.raises(UsageError, match=f"^{record.kind}: no key '{key}'$"):
            from_json(incomplete)


def test_unknown_key_is_rejected():
    with pytest.raises(UsageError, match=r"^result: unknown key 'repeat_of'; accepted: trial, "):
        from_json({**to_json(RESULT), "repeat_of": None})


@pytest.mark.parametrize("data", [None, [1], {}, {"kind": "resul"}, {"kind": ["result"]}])
def test_object_of_no_known_kind_is_rejected(data):
    with pytest.raises(UsageError, match="accepted: an object of kind experiment, proposals, res"):
        from_json(data)


@pytest.mark.parametrize(
    ("key", "value", "accepted"),
    [
        ("trial", 1.0, "int"),
        ("trial", True, "int"),
        ("hash", 7, "str"),
        ("duplicate_of", "0", r"int \| None"),
        ("architecture", [], r"dict\[str, typing.Any\]"),
        ("reward", None, "float"),
        ("reward", math.nan, "float"),
        ("accuracy", "0.5", r"float \| None"),
        ("timings", {"train": None}, r"dict\[str, float\]"),
        ("history", [[1, 0.5, 2]], r"tuple\[tuple\[int, float\], ...\]"),
        ("history", [1], r"tuple\[tuple\[int, float\], ...\]"),
        ("stopped", 1, "bool"),
    ],
)
def test_ill_typed_value_is_rejected_with_its_type(key, value, accepted):
    data = {**json.loads(json.dumps(to_json(RESULT))), key: value}
    with pytest.raises(UsageError, match=rf"^result: {key} = .*; accepted: {accepted}$"):
        from_json(data)


def test_result_record_gives_its_evaluation():
    assert RESULT.evaluation == Evaluation(
        accuracy=0.1 + 0.2,
        latency_ms=1 / 3,
        epochs=2,
        seconds=0.5,
        timings={"train": 0.25},
        history=((1, 0.1), (2, 0.3)),
        stopped=True,
    )
