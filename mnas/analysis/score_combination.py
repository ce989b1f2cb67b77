"""Combination of scores of several kinds that rank the same networks."""

import math
from collections.abc import Sequence

import numpy as np

from mnas.analysis.proxy_quality import Score
from mnas.errors import UsageError


def standardised_mean(
    files: Sequence[Sequence[Score | None]], names: Sequence[str]
) -> list[Score | None]:
    """Return one standardised score for each network; None where a file has none.

    files  scores of the same N networks, in the same order; at least two files
    names  of the files, for messages

    It is the mean of the files' scores, each the mean over seeds, after each and their mean are
    standardised over the networks that all files have: their mean is 0, their standard deviation 1.
    Costs are of one seed, and add up. Raises UsageError for no network in common and for a file of
    equal scores.
    """
    rows = list(zip(*files, strict=True))
    common = [n for n, of_row in enumerate(rows) if None not in of_row]
    if not common:
        raise UsageError("no network of the table has a score in all files; accepted: some have")
    total, spent = np.zeros(len(common)), np.zeros(len(common))
    for name, scores in zip(names, files, strict=True):
        known = [score for n in common if (score := scores[n]) is not None]
        values = np.array([score.mean for score in known])
        if np.ptp(values) == 0:
            raise UsageError(f"{name}: all scores are {values[0]:g}; accepted: different ones")
        total += (values - values.mean()) / values.std()
        costs = [math.nan if s.cpu_seconds is None else s.cpu_seconds / len(s.seeds) for s in known]
        spent += np.array(costs)
    spread = total.std() or 1.0  # 0 where the files contradict each other exactly
    combined: list[Score | None] = [None] * len(rows)
    for n, value, cost in zip(common, total / spread, spent, strict=True):
        combined[n] = Score((float(value),), float(cost) if math.isfinite(cost) else None)
    return combined
