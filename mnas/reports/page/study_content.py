"""What the page of a study says besides its figures: searches with links, origin, settings."""

import os
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnas.analysis.study_table import Row
from mnas.experiment import sessions
from mnas.experiment.study import Outcome, Study
from mnas.reports.failures import failure_groups, shortened
from mnas.reports.page.content import flat
from mnas.reports.page.head import facts as facts_of_run
from mnas.reports.text import duration

HEADS = ("variant", "run", "trials", "reward", "accuracy", "mult-adds, M", "params, M", "time")
# Facts of a run that all runs of a study share.
SHARED = ("machine", "versions", "commit")


def kind(study: Study) -> str:
    """Return what the study is, in a line."""
    seeds = f"{study.seeds} seed{'' if study.seeds == 1 else 's'} of each"
    return f"Study · {len(study.variants)} variants · {seeds} · {study.trials:,} samples a search"


def links(outcomes: Sequence[Outcome], page: Path) -> dict[tuple[str, int], str]:
    """Return the address of every run's page relative to the study's, by variant and seed."""
    found = {}
    for outcome in outcomes:
        text = os.path.relpath(outcome.run.directory / "report.html", page.parent)
        # Also ":" is quoted, so that nothing is read as a scheme.
        found[outcome.variant, outcome.seed] = urllib.parse.quote(text)
    return found


def searches(
    study: Study,
    outcomes: Sequence[Outcome],
    table: Sequence[Row],
    addresses: Mapping[tuple[str, int], str],
) -> dict[str, Any]:
    """Return heads, rows and note of the table of searches, variant by variant."""
    last = {(row.variant, row.seed): row for row in table if row.samples == study.marks[-1]}
    order = {variant: place for place, variant in enumerate(study.variants)}
    rows = []
    for outcome in sorted(outcomes, key=lambda o: (order[o.variant], o.seed)):
        key = outcome.variant, outcome.seed
        row, seconds = last.get(key), sessions.seconds(outcome.run)
        numbers = (
            ["–"] * 4
            if row is None
            else [
                f"{row.judged_reward:.4f}",
                f"{100 * row.accuracy:.2f}%",
                f"{row.mult_adds / 1e6:.2f}",
                f"{row.params / 1e6:.2f}",
            ]
        )
        time = "–" if seconds is None else duration(seconds)
        cells = [f"{len(outcome.results):,}", *numbers, time]
        rows.append({"variant": key[0], "seed": key[1], "href": addresses[key], "cells": cells})
    note = (
        f"Network that a search would export after {study.marks[-1]:,} samples. Links lead to the "
        "pages of runs."
    )
    every = study.seeds * len(study.variants)
    if len(outcomes) < every:
        note += f" {len(outcomes)} of {every} searches are finished; the others are left out."
    return {"heads": HEADS, "rows": rows, "note": note}


def plain_rows(table: Mapping[str, Any]) -> tuple[Sequence[str], list[list[str]]]:
    """Return heads and rows of the table of searches without its links."""
    rows = [[row["variant"], f"seed {row['seed']}", *row["cells"]] for row in table["rows"]]
    return table["heads"], rows


def failures(study: Study, outcomes: Sequence[Outcome]) -> list[tuple[str, str, str]]:
    """Return rows of failed children by variant: variant, number, commonest cause."""
    rows = []
    for variant in study.variants:
        own = [result for o in outcomes if o.variant == variant for result in o.results]
        if groups := failure_groups(own):
            failed = sum(len(trials) for _, trials in groups)
            rows.append((variant, f"{failed:,} of {len(own):,}", shortened(groups[0][0])))
    return rows


def facts(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """Return (name, text) of the study: trials, time, machine, versions, commit."""
    trials = sum(len(outcome.results) for outcome in outcomes)
    seconds = sum(sessions.seconds(outcome.run) or 0.0 for outcome in outcomes)
    rows = [("trials", f"{trials:,} in {len(outcomes):,} searches")]
    rows.append(("time", f"{duration(seconds)}, the sum of the searches' wall-clock times"))
    shared: dict[str, dict[str, None]] = {name: {} for name in SHARED}
    for outcome in outcomes:
        for name, text in facts_of_run(outcome.run):
            if name in shared:
                shared[name].setdefault(text)
    return [*rows, *((name, "; ".join(texts)) for name, texts in shared.items() if texts)]


def settings(
    study: Study, outcomes: Sequence[Outcome]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return (heads and rows of settings in which variants differ, (name, value) of the others)."""
    by_variant: dict[str, dict[str, str]] = {}
    for outcome in outcomes:
        found = {name: str(value) for name, value in flat(outcome.run.head.settings)}
        found.pop("search.seed", None)
        by_variant.setdefault(outcome.variant, found)
    variants = [variant for variant in study.variants if variant in by_variant]
    names = dict.fromkeys(name for variant in variants for name in by_variant[variant])
    differing, common = [], []
    for name in names:
        values = [by_variant[variant].get(name, "–") for variant in variants]
        if len(set(values)) > 1:
            differing.append([name, *values])
        elif values:
            common.append((name, values[0]))
    return {"heads": ["setting", *variants], "rows": differing}, common
