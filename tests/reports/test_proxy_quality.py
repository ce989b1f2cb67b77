"""Quality of proxies as text, and the picture of cost and fidelity."""

import dataclasses

import pytest

from mnas.analysis.proxy_quality import PROXY, SMOOTHED, Quality
from mnas.analysis.rank_agreement import MEASURES, Estimate
from mnas.errors import UsageError
from mnas.reports.proxy_quality import lines, notes, records, signed, summary, text, write_picture


def agreement(value, **changes):
    found = {name: Estimate(value, value - 0.1, value + 0.1) for name in MEASURES}
    return {**found, **changes}


def quality(tau, cpu_seconds=12.5):
    return Quality(
        networks=30,
        seeds=2,
        cpu_seconds=cpu_seconds,
        seed_std=0.0125,
        tau_seeds=0.75,
        target_madds=56e6,
        w=-0.07,
        agreement={
            PROXY: agreement(tau),
            "depth": agreement(0.5, tau_equal_depth=Estimate(None)),
            "mult-adds": agreement(0.25),
        },
        gain=agreement(0.0625),
        partial_tau={"depth": 0.4, "mult-adds": None},
    )


def test_estimates_as_text():
    assert text(Estimate(0.456, 0.123, 0.789)) == "0.46 [0.12, 0.79]"
    assert text(Estimate(0.456)) == "0.46" and text(Estimate(None)) == "-"
    assert signed(Estimate(0.456, -0.123, 0.789)) == "+0.46 [-0.12, +0.79]"
    assert signed(Estimate(None)) == "-"


def test_table_has_a_line_for_each_predictor_and_the_gain():
    found = lines(quality(0.7))
    assert [row[0] for row in found] == ["proxy", "depth", "mult-adds", "gain by the proxy"]
    assert found[0][1] == "0.70 [0.60, 0.80]" and found[1][3] == "-"
    assert len({len(row) for row in found}) == 1


def test_notes_tell_cost_spread_and_partial_tau():
    told = "\n".join(notes(quality(0.7)))
    for part in ("30 networks", "56,000,000", "12.5 CPU-seconds", "0.0125", "0.75", "mult-adds -"):
        assert part in told
    assert "unknown" in "\n".join(notes(quality(0.7, None)))


def test_csv_has_a_row_for_each_predictor_and_measure():
    found = records(quality(0.7))
    assert len(found) == 4 * len(MEASURES)
    assert found[0] == {
        **{"predictor": "proxy", "measure": "tau", "value": 0.7, "low": pytest.approx(0.6)},
        **{"high": pytest.approx(0.8), "cpu_seconds": 12.5, "networks": 30},
    }
    assert found[-1]["cpu_seconds"] is None


def test_picture_shows_every_proxy_and_the_best_free_predictor(tmp_path):
    write_picture(tmp_path / "q.svg", {"fast": quality(0.4, 10), "slow": quality(0.7, 60)})
    picture = (tmp_path / "q.svg").read_text()
    for part in ("τ: fast", "τ: slow", "τ: depth", "τ, equal depth: mult-adds", "CPU-seconds"):
        assert part in picture
    heads, rows = summary({"fast": quality(0.4, 10)})
    assert rows[0][:3] == ["fast", "10.0", "0.40 [0.30, 0.50]"] and len(heads) == len(rows[0])
    assert len(rows) == 1
    with pytest.raises(UsageError, match="can't be written"):
        write_picture(tmp_path / "none" / "q.svg", {"fast": quality(0.4)})


def test_smoothed_scores_are_a_row_of_the_comparison_and_no_free_predictor(tmp_path):
    fast = quality(0.4, 10)
    fast = dataclasses.replace(fast, agreement={**fast.agreement, SMOOTHED: agreement(0.625)})
    _, rows = summary({"fast": fast, "slow": quality(0.7)})
    assert [row[:3] for row in rows] == [
        ["fast", "10.0", "0.40 [0.30, 0.50]"],
        ["fast, smoothed", "10.0", "0.62 [0.53, 0.72]"],
        ["slow", "12.5", "0.70 [0.60, 0.80]"],
    ]
    write_picture(tmp_path / "q.svg", {"fast": fast})
    assert "τ: depth" in (tmp_path / "q.svg").read_text()
