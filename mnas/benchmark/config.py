"""Settings of the benchmark of training."""

import dataclasses
import shutil

from mnas.benchmark.contender import OURS, TRAINING_CONTENDERS
from mnas.errors import UsageError, rejected, require_positive, require_whole
from mnas.training.config import TrainingConfig

_LEAST = {
    "children": 0,
    "rounds": 1,
    "batch": 1,
    "resolution": 8,
    "trained": 0,
    "epochs": 1,
    "images": 1,
    "held_out": 1,
    "seed": 0,
}


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
    """Contenders, and sample sizes of every phase."""

    contenders: str = ",".join(TRAINING_CONTENDERS)
    """Contenders, joined by commas: ours, flax, torch, torch-compile."""
    torch_python: str | None = None
    """Python interpreter that has PyTorch; default: the one that runs mnas."""
    children: int = 20
    """Random children whose training throughput is measured; 0 skips throughput."""
    rounds: int = 5
    """Rounds in which contenders take turns: on each child for throughput, on equal parts of the
    trained children for children/hour."""
    window_seconds: float = 1.0
    """Duration of one measurement of throughput, s; at least two training steps."""
    batch: int = 64
    """Images a training step."""
    resolution: int = 32
    """Height and width of the images, pixels."""
    trained: int = 200
    """Random children trained to the end for children/hour; 0 skips children/hour."""
    peer_trained: int | None = None
    """Trained children of the other contenders, and of ours with a warm cache: the first ones of
    each round, on which ratios are then based; default: all."""
    epochs: int = 5
    """Epochs of each trained child."""
    images: int = 2000
    """Training images."""
    held_out: int = 512
    """Validation images."""
    seed: int = 0
    """Random seed of children and images."""

    def __post_init__(self) -> None:
        for field, least in _LEAST.items():
            require_whole("benchmark", field, getattr(self, field), least)
        if self.peer_trained is not None:
            require_whole("benchmark", "peer_trained", self.peer_trained)
        require_positive("benchmark", "window_seconds", self.window_seconds)
        if self.images < self.batch:
            accepted = f"at least one batch, {self.batch}"
            raise rejected("benchmark", "images", self.images, accepted)
        for name in self.names:
            if name not in TRAINING_CONTENDERS:
                accepted = ", ".join(TRAINING_CONTENDERS)
                raise UsageError(f"benchmark: contender {name!r}; accepted: {accepted}")
        if OURS not in self.names:
            accepted = f"{OURS}, and any of the others"
            raise rejected("benchmark", "contenders", self.contenders, accepted)
        if self.torch_python is not None and not shutil.which(self.torch_python):
            raise rejected("benchmark", "torch_python", self.torch_python, "a Python interpreter")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the contenders, without duplicates."""
        return tuple(dict.fromkeys(name.strip() for name in self.contenders.split(",")))

    @property
    def training(self) -> TrainingConfig:
        """Settings of a child's training; those not set here have the defaults of a search."""
        return TrainingConfig(epochs=self.epochs, batch_size=self.batch)

    def trained_by(self, name: str, cache: str) -> list[int]:
        """Return the number of children that a contender trains in each round.

        cache  state of its compilation cache at the start: "cold" or "warm"
        """
        count = self.trained
        if self.peer_trained is not None and (name, cache) != (OURS, "cold"):
            count = min(count, self.peer_trained)
        rounds = min(self.rounds, self.trained, self.peer_trained or self.trained)
        # Child i belongs to round i % rounds, so a smaller count takes fewer of every round.
        return [len(range(i, count, rounds)) for i in range(rounds)]


QUICK = BenchmarkConfig(
    contenders="ours,flax,torch",
    children=3,
    rounds=3,
    trained=6,
    peer_trained=2,
    epochs=1,
    images=640,
)
"""Settings of `--quick`: minutes, rough."""
