"""Files of two scores of random networks: read back, standardised, malformed ones rejected."""

import json

import numpy as np
import pytest

from mnas.errors import UsageError
from mnas.evaluators.score_scale import FORMAT, ScoreScale

IDENTITY = {"bank": "ab", "score": "likelihood"}
PAIRS = [(-1.0, 10.0), (-2.0, 30.0), None, (-3.0, 20.0)]


def test_files_are_read_back(tmp_path):
    scale = ScoreScale(dict(IDENTITY), list(PAIRS), 2.5)
    scale.write(tmp_path / "s.json")
    assert ScoreScale.read(tmp_path / "s.json", IDENTITY) == scale


def test_standardised_means_by_hand():
    # Both scores are -1, 0, 1 times the square root of 3/2: sums 1 - 1, 0 + 1, -1 + 0.
    scale = ScoreScale({}, list(PAIRS))
    sums = np.array([0.0, 1.0, -1.0])
    expected = sums / sums.std()
    found = [scale.standardised(pair, 4) for pair in PAIRS if pair is not None]
    assert found == pytest.approx(expected.tolist())
    # Of the first two alone, which contradict each other, the mean is always 0.
    assert scale.standardised((-1.0, 10.0), 2) == pytest.approx(0)


@pytest.mark.parametrize("scores", [[None, None], [(1.0, 2.0), None], [(1.0, 2.0), (1.0, 3.0)]])
def test_scores_that_do_not_differ_are_rejected(scores):
    with pytest.raises(UsageError, match="of 2 random networks have scores that are finite"):
        ScoreScale({}, scores).standardised((1.0, 2.0), 2)


def test_too_few_networks_are_rejected():
    with pytest.raises(UsageError, match="4 random networks have scores, not 5"):
        ScoreScale({}, list(PAIRS)).standardised((0.0, 0.0), 5)


WHOLE = {"format": FORMAT, "identity": IDENTITY, "scores": [[-1.0, 1.0], None], "cpu_seconds": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "mnas-score-scale/2"}, "no scale of scores; accepted: a file of mnas-score"),
        ({"identity": None}, "a field is missing or malformed"),
        ({"scores": None}, "a field is missing or malformed"),
        ({"scores": [[1.0]]}, "a field is missing or malformed"),
        ({"scores": [[1.0, "2"]]}, "a field is missing or malformed"),
        ({"scores": [{"0": 1}]}, "a field is missing or malformed"),
        ({"scores": ["ab"]}, "a field is missing or malformed"),
        ({"cpu_seconds": None}, "a field is missing or malformed"),
        ({"identity": {"bank": "cd", "score": "likelihood"}}, "bank was 'cd' and is 'ab' now"),
        ({"identity": {"bank": "ab"}}, "score was None and is 'likelihood' now"),
    ],
)
def test_malformed_files_are_rejected(tmp_path, change, message):
    (tmp_path / "s.json").write_text(json.dumps({**WHOLE, **change}), encoding="utf-8")
    with pytest.raises(UsageError, match=rf"s\.json .*{message}|s\.json: .*{message}"):
        ScoreScale.read(tmp_path / "s.json", IDENTITY)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": NaN}'])
def test_files_that_are_no_object_are_rejected(tmp_path, text):
    (tmp_path / "s.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"s\.json"):
        ScoreScale.read(tmp_path / "s.json", IDENTITY)


def test_a_missing_file_is_rejected(tmp_path):
    with pytest.raises(UsageError, match=r"none\.json"):
        ScoreScale.read(tmp_path / "none.json", IDENTITY)
