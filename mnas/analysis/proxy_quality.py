"""Quality of a proxy: how well it ranks networks of known accuracy, beside free predictors.

In: networks with their accuracies of full training (`mnas.architecture.network_table`) and a
proxy's scores. Out: a `Quality`, as plain data: the agreement measures of
`mnas.analysis.rank_agreement` with bootstrap intervals, of the proxy, of predictors that train
nothing (`mnas.analysis.free_predictors`), and of a ridge regression with and without the proxy.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from mnas.analysis import free_predictors
from mnas.analysis.rank_agreement import (
    MEASURES,
    MIN_NETWORKS,
    Estimate,
    Networks,
    agreement,
    estimate,
    estimates,
    partial_tau,
    resamples,
)
from mnas.architecture.cost import depth, network_cost
from mnas.architecture.network_table import TableRow
from mnas.errors import UsageError, is_finite, rejected, shown
from mnas.loop.smoothing import posterior_means

PROXY = "proxy"
SMOOTHED = "proxy, smoothed"
ONE_TRAINING = "one full training"
# Ridge regressions that predict each network from the others.
CALIBRATED = "ridge of costs"
WITH_PROXY = "ridge of costs + proxy"
Agreement = dict[str, Estimate]


@dataclasses.dataclass(frozen=True)
class Score:
    """A proxy's scores of one network.

    seeds        score of each seed
    cpu_seconds  of all its evaluations together; None where unknown
    """

    seeds: tuple[float, ...]
    cpu_seconds: float | None = None

    @property
    def mean(self) -> float:
        """Return the mean over seeds."""
        return float(np.mean(self.seeds))


@dataclasses.dataclass(frozen=True)
class Quality:
    """Result of an examination; intervals are of 95%, by bootstrap over networks.

    networks     number of networks
    seeds        evaluations of each network by the proxy
    cpu_seconds  mean of an evaluation; None where unknown
    seed_std     mean over networks of the standard deviation over seeds
    tau_seeds    mean τ between the scores of two seeds
    agreement    measures by predictor: the proxy; its scores smoothed by the model that a search
                 selects by (`mnas.loop.smoothing`), which knows no accuracies; the free ones,
                 ridge regressions; `ONE_TRAINING` where the table has accuracies by seed: its first
                 against the mean of the others
    gain         difference of measures that the proxy makes to the out-of-sample ridge
    partial_tau  Kendall's partial τ of the proxy given each free predictor
    """

    networks: int
    seeds: int
    cpu_seconds: float | None
    seed_std: float | None
    tau_seeds: float | None
    target_madds: float
    w: float
    agreement: dict[str, Agreement]
    gain: Agreement
    partial_tau: dict[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Any, source: str) -> "Quality":
        """Return the quality of `to_dict`; UsageError, which names `source`, for anything else."""
        fields = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(data, Mapping) or set(data) != fields:
            raise UsageError(f"{source} is no proxy quality; accepted: of mnas proxy-quality")
        cost = data["cpu_seconds"]
        if cost is not None and not (is_finite(cost) and cost > 0):
            raise rejected(source, "cpu_seconds", cost, "a number above 0, or null")
        try:
            tables = {
                name: {measure: Estimate(**value) for measure, value in of_name.items()}
                for name, of_name in {**data["agreement"], "gain": data["gain"]}.items()
            }
        except (AttributeError, TypeError):
            raise UsageError(f"{source}: agreement = {shown(data['agreement'])}") from None
        for name, of_name in tables.items():
            numbers = [n for value in of_name.values() for n in dataclasses.astuple(value)]
            if set(of_name) != set(MEASURES) or not all(n is None or is_finite(n) for n in numbers):
                raise UsageError(f"{source}: {shown(name)} has other measures than {MEASURES}")
        if PROXY not in tables:
            raise UsageError(f"{source}: no agreement of the proxy; accepted: one")
        gain = tables.pop("gain")
        return cls(**{**data, "agreement": tables, "gain": gain})


def random_rows(
    rows: Sequence[TableRow], count: int | None, skip: int = 0, seed: int = 0
) -> list[TableRow]:
    """Return `count` rows after `skip` others in a random order; all that are left for None.

    Raises UsageError for more than are left.
    """
    order = np.random.default_rng(seed).permutation(len(rows))[skip:]
    if count is not None and count > len(order):
        after = f" after skip = {skip}" if skip else ""
        accepted = f"at most {len(order)}, as the table has{after}"
        raise rejected("networks of the table", "networks", count, accepted)
    return [rows[index] for index in order[:count]]


def known_networks(rows: Sequence[TableRow], target: float | None, w: float) -> Networks:
    """Return what is known of the networks of a table.

    target  mult-adds of the reward; None: their median
    """
    found = [network_cost(row.architecture) for row in rows]
    mult_adds = np.array([cost.mult_adds for cost in found], float)
    return Networks(
        accuracy=np.array([row.accuracy for row in rows]),
        mult_adds=mult_adds,
        params=np.array([cost.params for cost in found], float),
        depth=np.array([depth(row.architecture) for row in rows], float),
        target=float(np.median(mult_adds)) if target is None else target,
        w=w,
    )


def quality(rows: Sequence[TableRow], scores: Sequence[Score], networks: Networks) -> Quality:
    """Return the quality of a proxy from its scores of N networks, in the order of `rows`.

    Raises UsageError for fewer than `MIN_NETWORKS`.
    """
    require_enough(len(rows))
    architectures = [row.architecture for row in rows]
    score = np.array([of_row.mean for of_row in scores])
    weights = resamples(len(rows))
    smoothed = posterior_means(
        free_predictors.settings(architectures), free_predictors.costs(networks), score
    )
    found = {
        name: estimates(agreement(values, networks, weights))
        for name, values in ((PROXY, score), (SMOOTHED, smoothed))
    }
    free = free_predictors.free_scores(architectures, networks)
    for name, values in free.items():
        found[name] = estimates(agreement(values, networks, weights, of_accuracy=False))
    labels = min(free_predictors.LABELS, len(rows) // 2)
    features = np.hstack([free_predictors.choices(architectures), free_predictors.costs(networks)])
    found[f"ridge, {labels} labels"] = _of_draws(features, networks, labels)
    without = free_predictors.ridge_out_of_sample(
        free_predictors.costs(networks), networks.accuracy
    )
    columns = np.column_stack([free_predictors.costs(networks), score])
    with_proxy = free_predictors.ridge_out_of_sample(columns, networks.accuracy)
    measured = [agreement(values, networks, weights) for values in (without, with_proxy)]
    found[CALIBRATED], found[WITH_PROXY] = map(estimates, measured)
    found[f"{WITH_PROXY}, {labels} labels"] = _of_draws(columns, networks, labels)
    single = _one_training(rows, networks, weights)
    if single is not None:
        found[ONE_TRAINING] = single
    spent = [of_row.cpu_seconds for of_row in scores if of_row.cpu_seconds is not None]
    evaluations = sum(len(of_row.seeds) for of_row in scores if of_row.cpu_seconds is not None)
    seeds = min(len(of_row.seeds) for of_row in scores)
    by_seed = np.array([of_row.seeds[:seeds] for of_row in scores])
    partial = partial_tau(score, networks.accuracy, list(free.values()))
    return Quality(
        networks=len(rows),
        seeds=seeds,
        cpu_seconds=sum(spent) / evaluations if evaluations else None,
        seed_std=float(by_seed.std(1, ddof=1).mean()) if seeds > 1 else None,
        tau_seeds=_tau_between(by_seed) if seeds > 1 else None,
        target_madds=networks.target,
        w=networks.w,
        agreement=found,
        gain={name: estimate(measured[1][name] - measured[0][name]) for name in MEASURES},
        partial_tau={
            name: float(tau) if np.isfinite(tau) else None
            for name, tau in zip(free, partial, strict=True)
        },
    )


def require_enough(networks: int) -> None:
    """Raise UsageError for fewer networks than a rank correlation needs."""
    if networks < MIN_NETWORKS:
        raise UsageError(f"{networks} networks with a score; accepted: {MIN_NETWORKS} or more")


def _of_draws(features: np.ndarray, networks: Networks, labels: int) -> Agreement:
    """Return the agreement of ridge regressions from few labels, over random sets of labels.

    The value is the mean over sets, each judged on the other networks; the interval is that of one
    bootstrap resample for each set.
    """
    values: dict[str, list[np.ndarray]] = {name: [] for name in MEASURES}
    draws = free_predictors.ridge_draws(features, networks.accuracy, labels)
    for number, (rest, predicted) in enumerate(draws):
        of_rest = networks.subset(rest)
        weights = resamples(len(rest), number, 1)
        for name, found in agreement(predicted, of_rest, weights).items():
            values[name].append(found)
    estimated = {}
    for name in MEASURES:
        plain, resampled = np.array(values[name]).T
        plain = plain[np.isfinite(plain)]
        mean = plain.mean() if len(plain) else np.nan
        estimated[name] = estimate(np.array([mean, *resampled]))
    return estimated


def _one_training(
    rows: Sequence[TableRow], networks: Networks, weights: np.ndarray
) -> Agreement | None:
    """Return the agreement of the first seed's accuracy with the mean of the others'."""
    if min(len(row.seeds) for row in rows) < 2:
        return None
    first = np.array([row.seeds[0] for row in rows])
    others = np.array([np.mean(row.seeds[1:]) for row in rows])
    judged = dataclasses.replace(networks, accuracy=others)
    return estimates(agreement(first, judged, weights))


def _tau_between(by_seed: np.ndarray) -> float | None:
    """Return the mean Kendall's τ between the columns of scores [N, seeds]."""
    pairs = itertools.combinations(by_seed.T, 2)
    tau = float(np.mean([stats.kendalltau(a, b).statistic for a, b in pairs]))
    return tau if np.isfinite(tau) else None
