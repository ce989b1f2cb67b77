"""The study of selections: true rewards after further measurements, ranks before and after."""

import csv
import dataclasses

import pytest

from mnas.analysis.study_table import rows
from mnas.experiment.study import drive
from mnas.experiments.selection import STUDY, TRUE, finish


def small_study():
    """Return the study's random searches of 30 networks, of which 3 are measured twice more."""
    variants = {
        name: dataclasses.replace(
            variant,
            search=dataclasses.replace(
                variant.search,
                trials=30,
                batch=15,
                remeasure=min(variant.search.remeasure, 3),
                remeasure_seeds=2,
            ),
        )
        for name, variant in STUDY.variants.items()
        if name.startswith("random")
    }
    return dataclasses.replace(STUDY, variants=variants, seeds=2, marks=(30,))


def test_study_compares_true_rewards_and_ranks(tmp_path, capsys):
    study = small_study()
    outcomes = drive(study, tmp_path, workers=1)
    assert [len(outcome.run.remeasured) for outcome in outcomes[:4]] == [0, 6, 0, 6]
    true = TRUE.build()
    for row, outcome in zip(rows(study, outcomes), outcomes, strict=True):
        best = outcome.run.best
        assert row.trial == best.trial
        assert row.accuracy == true(outcome.run.architecture, 0).accuracy != best.accuracy
    finish(study, outcomes, tmp_path)
    with open(tmp_path / "smoothing.csv") as file:
        found = list(csv.DictReader(file))
    assert [row["variant"] for row in found] == list(study.variants)
    for row in found:
        measured, smoothed, gain = (
            float(row[name]) for name in ("tau_measured", "tau_smoothed", "gain")
        )
        assert gain == pytest.approx(smoothed - measured)
        assert float(row["gain_half_interval"]) > 0 and row["searches"] == "2"
    assert found[0]["tau_measured"] == found[2]["tau_measured"]
    assert float(found[0]["tau_smoothed"]) > float(found[0]["tau_measured"])
    assert "τ, smoothed" in capsys.readouterr().out
