"""What is known of the accuracy of networks in the terms of a run, with an interval.

A network's accuracy is comparable with that of a run's trials if the run evaluated it, or if the
run's accuracies are predictions of a fit that also predicts it. Nothing else is.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mnas.analysis.comparison import Predict
from mnas.analysis.intervals import wilson
from mnas.architecture.architecture import Architecture
from mnas.experiment import sessions
from mnas.experiment.results import Run
from mnas.loop.records import ResultRecord
from mnas.loop.selection import grouped


@dataclasses.dataclass(frozen=True)
class Known:
    """An accuracy with its interval; None where that is not known.

    source     how value and interval were obtained, in a few words
    predicted  whether it is a prediction; the interval is then value ± standard deviation
    reward     mean reward of further measurements; None where there are none
    """

    value: float
    low: float | None
    high: float | None
    source: str
    predicted: bool = False
    reward: float | None = None


class Accuracies:
    """Accuracies of a run's trials and of other networks by the run's measure."""

    def __init__(self, run: Run, predict: Predict | None = None) -> None:
        self._measured = {
            result.hash: result
            for result in reversed(run.results)
            if result.accuracy is not None and not result.stopped
        }
        self._again = grouped(run.remeasured)
        self._fit = _fit(run) if predict else None
        self._predict = predict
        self.images = images(run)

    def of_result(self, result: ResultRecord, architecture: Architecture) -> Known | None:
        """Return what is known of a trial's network; None where the evaluation failed."""
        if result.accuracy is None:
            return None
        again = self._again.get(result.trial)
        if again is not None and again.mean is not None:
            low, high = again.interval or (None, None)
            count = len(again.records)
            note = f"mean of n = {count} further measurement{'s' if count > 1 else ''}"
            note += ", 95% interval" if count > 1 else ""
            return Known(again.mean, low, high, note, reward=again.reward)
        value = result.accuracy
        if (std := self._std(architecture)) is not None:
            return self._predicted(value, std)
        if self.images is None or not 0 <= value <= 1:
            return Known(value, None, None, "one evaluation, no interval known")
        low, high = wilson(value, self.images)
        note = f"one evaluation on n = {self.images:,} images, 95% interval"
        return Known(value, low, high, note)

    def of(self, architecture: Architecture) -> Known | None:
        """Return what is known of any network; None where nothing is."""
        result = self._measured.get(architecture.canonical_hash())
        if result is not None:
            return self.of_result(result, architecture)
        prediction = self._prediction(architecture)
        if prediction is None:
            return None
        return self._predicted(*prediction)

    def _predicted(self, value: float, std: float) -> Known:
        note = f"prediction by {self._fit} ± standard deviation of a training"
        return Known(value, value - std, value + std, note, predicted=True)

    def _std(self, architecture: Architecture) -> float | None:
        prediction = self._prediction(architecture)
        return None if prediction is None else prediction[1]

    def _prediction(self, architecture: Architecture) -> tuple[float, float] | None:
        """Return the prediction of the run's own fit; None where it makes none."""
        if self._predict is None or self._fit is None:
            return None
        try:
            return self._predict(architecture).get(self._fit)
        except ValueError:  # The fit does not cover this network.
            return None


def images(run: Run) -> int | None:
    """Return the number of images that accuracies were measured on, where all sessions agree."""
    counts = {session.get("accuracy_images") for session in sessions.recorded(run.settings)}
    count = counts.pop() if len(counts) == 1 else None
    return count if type(count) is int and count > 0 else None


def _fit(run: Run) -> str | None:
    """Return the name of the fit that predicted the run's accuracies; None where none did."""
    kinds, settings = run.head.settings.get("kinds"), run.head.settings.get("evaluator")
    if not isinstance(kinds, Mapping) or kinds.get("evaluator") != "SurrogateConfig":
        return None  # Also under a wrapper, such as noise, which the fit knows nothing of.
    fit: Any = settings.get("fit") if isinstance(settings, Mapping) else None
    return fit if isinstance(fit, str) else None
