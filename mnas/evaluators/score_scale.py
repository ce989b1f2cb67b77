"""Scale of two scores: mean and standard deviation of each over random networks of a space.

A file beside the weight bank, named after it, has the scores themselves, so that an interrupted
measurement goes on where it stopped. It is JSON:

    format       "mnas-score-scale/1"
    identity     what the scores depend on: settings, digest of the bank
    scores       [score by the bank, score at initialisation] of each network, in the order in which
                 the networks are sampled; null where one of them was not finite
    cpu_seconds  processor time of all of them
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from mnas.errors import UsageError, is_finite, shown
from mnas.files import read_json, write_json

FORMAT = "mnas-score-scale/1"
Pair = tuple[float, float]


@dataclasses.dataclass
class ScoreScale:
    """Scores of random networks, as in the file."""

    identity: dict[str, Any]
    scores: list[Pair | None] = dataclasses.field(default_factory=list)
    cpu_seconds: float = 0.0

    @classmethod
    def read(cls, path: Path, identity: Mapping[str, Any]) -> Self:
        """Return the scores of a file.

        Raises UsageError, which names the file, where it is missing, damaged or of another
        identity.
        """
        data = read_json(path)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise UsageError(f"{path} is no scale of scores; accepted: a file of {FORMAT}")
        found, scores, spent = data.get("identity"), data.get("scores"), data.get("cpu_seconds")
        if not (
            isinstance(found, dict)
            and isinstance(scores, list)
            and all(score is None or _is_pair(score) for score in scores)
            and isinstance(spent, int | float)
            and is_finite(spent)
        ):
            raise UsageError(f"{path} is no scale of scores: a field is missing or malformed")
        for name in sorted(found.keys() | identity.keys()):
            if found.get(name) != identity.get(name):
                raise UsageError(
                    f"{path} is the scale of other scores: {name} was {shown(found.get(name))} "
                    f"and is {shown(identity.get(name))} now; accepted: the settings of the file, "
                    "or another --evaluator.bank"
                )
        pairs = [None if score is None else (score[0], score[1]) for score in scores]
        return cls(found, pairs, spent)

    def write(self, path: Path) -> None:
        """Write the file."""
        write_json(path, {"format": FORMAT, **dataclasses.asdict(self)})

    def standardised(self, pair: Pair, networks: int) -> float:
        """Return one standardised score: the mean of both standardised scores, again standardised.

        All three over the first `networks` networks. Raises UsageError where fewer were scored, or
        one of the scores is the same for all.
        """
        if len(self.scores) < networks:
            raise UsageError(f"{len(self.scores)} random networks have scores, not {networks}")
        known = np.array([score for score in self.scores[:networks] if score is not None])
        if len(known) < 2 or not np.ptp(known, 0).all():
            raise UsageError(
                f"{len(known)} of {networks} random networks have scores that are finite, and "
                "they do not differ; accepted: a space of networks with different scores"
            )
        mean, std = known.mean(0), known.std(0)
        spread = np.std(((known - mean) / std).sum(1)) or 1.0
        return float(((np.array(pair) - mean) / std).sum() / spread)


def _is_pair(score: Any) -> bool:
    return isinstance(score, Sequence) and len(score) == 2 and all(map(is_finite, score))
