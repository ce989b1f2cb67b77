"""Nothing is lost, done again or different after random kills.

A short version; `pytest -m chaos` takes an hour, `python -m tests.chaos` prints the table.
"""

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.damage import outcomes
from tests.chaos.kinds import KINDS


def check(kind: str, kills: int, directory, seed: int = 0) -> None:
    found = Campaign(KINDS[kind], directory / kind, seed).run(kills)
    assert found.total == kills
    assert (found.lost, found.repeated, found.unequal, found.wrong) == (0, 0, 0, [])


def test_search_survives_kills_and_a_second_process(tmp_path):
    check("inline", 3, tmp_path, seed=4)


@pytest.mark.chaos
@pytest.mark.parametrize("kind", KINDS)
def test_run_survives_20_kills(kind, tmp_path):
    check(kind, 20, tmp_path)


def test_damaged_journals_are_rejected_or_continued_to_the_same_end(tmp_path):
    found = outcomes(60, tmp_path)
    assert sum(counts.total() for counts in found.values()) == 60
    assert not any(counts["wrong"] for counts in found.values())
    assert found["cut"]["same"] == found["cut"].total() > 0
    others = [counts for name, counts in found.items() if name not in ("cut", "change")]
    assert all(counts["rejected"] == counts.total() > 0 for counts in others)
