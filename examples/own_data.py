"""Search on images of your own, in an .npz file. Half a minute, most of it compilation."""

import dataclasses
from functools import partial

import numpy as np

import mnas
from mnas.controllers import RandomSearch
from mnas.data.images import DataConfig
from mnas.evaluators.proxy import ProxyConfig
from mnas.training.config import TrainingConfig


def write_images(path: str) -> None:
    """Write 600 images of three classes: horizontal, vertical and diagonal stripes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    row, column = np.indices((8, 8))
    waves = np.stack([row, column, row + column])
    phase = rng.integers(0, 4, (600, 1, 1))
    images = 128 + 80 * np.sign((waves[labels] + phase) % 4 - 1.5) + rng.normal(0, 30, (600, 8, 8))
    np.savez(path, train_images=images.clip(0, 255).astype(np.uint8), train_labels=labels)


@dataclasses.dataclass(frozen=True)
class TwoStages:
    """16 networks of two stages, which share blocks, so that they are compiled in seconds."""

    resolution: int = 8
    """Resolution of the input images, pixels."""
    classes: int = 10
    """Number of classes; a search has as many as its images."""

    def build(self) -> mnas.Space:
        """Return the space."""
        stage = partial(
            mnas.Block, kernel=mnas.OneOf(3, 5), expand_ratio=mnas.OneOf(1, 4), stride=2
        )
        template = partial(
            mnas.Architecture,
            resolution=self.resolution,
            classes=self.classes,
            stem=16,
            stem_stride=1,
            head=64,
            blocks=(partial(stage, filters=16), partial(stage, filters=32)),
        )
        return mnas.Space("two-stages", template)


if __name__ == "__main__":
    write_images("stripes.npz")
    experiment = mnas.Experiment(
        name="own-data",
        space=TwoStages(),
        controller=RandomSearch(),
        evaluator=ProxyConfig(
            data=DataConfig(source="stripes.npz", validation=200),
            training=TrainingConfig(epochs=5, batch_size=20, optimizer="sgd", learning_rate=0.05),
        ),
        reward=mnas.RewardConfig(target_madds=100e3),
        search=mnas.SearchConfig(trials=8, batch=4),
        engine=mnas.EngineConfig(kind="inline"),
    )
    run = mnas.search(experiment, out="runs/own-data")
    print(f"{run.architecture.classes} classes, {len(run.results)} trials")
    print(f"best: accuracy {run.best.accuracy:.3f}, {run.best.mult_adds / 1e3:.0f}k mult-adds")
