"""`mnas rescore`: the networks of a run under another reward."""

import json

from mnas.__main__ import main


def test_the_own_reward_of_a_run_changes_no_rank_and_no_spec(finished, tmp_path, capsys):
    out = tmp_path / "best.json"
    assert main(["rescore", str(finished), "--json", "--out", str(out)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["reward"] == result["own_reward"]
    rows = result["rows"]
    ranks = list(range(1, len(rows) + 1))
    assert [row["rank"] for row in rows] == [row["old_rank"] for row in rows] == ranks
    assert len(rows) > 2
    assert [row["reward"] for row in rows] == [row["old_reward"] for row in rows]
    best = json.loads((finished / "best.json").read_text())
    again = json.loads(out.read_text())
    again["search"].pop("rescored")
    assert again == best
