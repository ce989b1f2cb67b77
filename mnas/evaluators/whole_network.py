"""Training to the end, scored on the test set, as an evaluator: what `mnas retrain` runs."""

import dataclasses
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from mnas.architecture.architecture import Architecture
from mnas.data.images import NOT_IDENTIFYING, DataConfig, Images, load
from mnas.data.sources import EMBEDDED, open_source
from mnas.errors import UsageError
from mnas.evaluation import Evaluation, Report
from mnas.files import locked_directory, write_json
from mnas.runtime.cache_repair import repaired_cache
from mnas.training.config import TrainingConfig
from mnas.training.result import result_of
from mnas.training.whole_network import Retraining


@dataclasses.dataclass(frozen=True)
class WholeNetworkConfig:
    """Images and settings of the training, the same for all networks."""

    directory: str = dataclasses.field(metadata=NOT_IDENTIFYING)
    """Directory with a directory NETWORK/seed-SEED for each training, where it is resumed."""
    data: DataConfig = DataConfig()
    """Images to train and validate on, and the test set."""
    training: TrainingConfig = TrainingConfig()
    """Settings of the training."""

    def build(self) -> "WholeNetworkEvaluator":
        """Return a new evaluator."""
        return WholeNetworkEvaluator(self)

    def for_backend(self, backend: str) -> Self:
        """Return the configuration with the precision, if 'auto', set for a backend."""
        return dataclasses.replace(self, training=self.training.for_backend(backend))

    def contents(self) -> dict[str, str]:
        """Return the digest of the images by setting."""
        source = self.data.source
        return {} if source == EMBEDDED else {"data.source": open_source(source).digest()}

    def describe_data(self) -> str:
        """Return one line: images, classes, sizes, and what was left out."""
        return open_source(self.data.source).describe()

    def check(self, architecture: Architecture) -> None:
        """Raise UsageError if the images don't fit the network."""
        self.build().images_for(architecture)


class WholeNetworkEvaluator:
    """Evaluator that trains each network to the end and measures accuracy on the test images.

    Without test images, the accuracy is that on the validation images. Each training has a
    directory of its own with its checkpoints, weights and result.json, and is resumed there.

    train  runs a training in its directory to the end
    """

    def __init__(
        self,
        config: WholeNetworkConfig,
        train: Callable[[Retraining, TrainingConfig, Path], object] = (
            lambda training, config, directory: training.run()
        ),
    ) -> None:
        self.config, self._train = config, train
        self._images: dict[int, Images] = {}

    def images_for(self, architecture: Architecture) -> Images:
        """Return the images at the architecture's resolution.

        Raises UsageError if they can't be read, or differ from it in the number of classes.
        """
        resolution = architecture.resolution
        if resolution not in self._images:
            self._images[resolution] = load(self.config.data, resolution, test=True)
        images = self._images[resolution]
        if architecture.classes != len(images.classes):
            raise UsageError(
                f"{architecture.name} has {architecture.classes} classes, and "
                f"{self.config.data.source} has {len(images.classes)}; accepted: equal numbers"
            )
        return images

    def __call__(
        self, architecture: Architecture, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Train one network, or what is left of it, and score it; `report` is not called."""
        start = time.perf_counter()
        images, config = self.images_for(architecture), self.config
        directory = Path(config.directory) / training_name(architecture) / f"seed-{seed}"
        with repaired_cache(), locked_directory(directory, "is training in this directory"):
            training = Retraining(
                architecture, images, config.training, seed, directory, config.data.source
            )
            self._train(training, config.training, directory)
            history = training.history
            source, held_out = config.data.source, len(images.validation)
            result = result_of(training, config.training, seed, source, held_out)
            write_json(directory / "result.json", result)
        return Evaluation(
            accuracy=history[-1].accuracy if training.test is None else training.test.accuracy,
            epochs=len(history),
            seconds=time.perf_counter() - start,
        )


def training_name(architecture: Architecture) -> str:
    """Return the name of the directory of a network's trainings, different for each network."""
    name = re.sub(r"[^\w.-]", "_", architecture.name, flags=re.ASCII)[:60].lstrip(".")
    short = architecture.canonical_hash()[:8]
    return name if short in name else f"{name}-{short}"
