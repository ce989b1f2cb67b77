"""Search on CIFAR-10: networks around EfficientNet-B0 for 32 pixels, scored by a weight bank.

Paper     MnasNet's search (arXiv 1807.11626) in the space of EfficientNet-B0 (arXiv 1905.11946),
          with accuracies by shared weights (arXiv 1904.00420, 1907.01845)
Command   mnas search cifar10 --data DATA
          mnas search cifar10 --data DATA --controller random --evaluator.bank FILE
          mnas retrain RUN --top 5 --seeds 3 --recipe cifar
Cost      about an hour on 1 core, estimated (below)
Expect    not known yet: the search has not been run to its end
Guide     docs/how-to/cifar10.md

DATA is CIFAR-10's binary archive (cifar-10-binary.tar.gz, or the folder in it) or a .npz file; the
images are not part of this project. Other images of about 32 pixels serve as well.

A step of the bank takes 0.24 to 0.27 CPU-seconds on one core of a busy machine (networks of 9.1M
and 11.5M mult-adds at width 1/2, where random ones have 8.7M; n = 2 pairs of steps each). By that,
9,000 steps cost 2,250 CPU-seconds; with about 500 for compilation and 1,200 for 300 children
of 3,000 images, forward only, they are 13 a child. The optimizer is the preset's SGD; no other has
been tried on these networks yet. `--recipe bank-naswot --space.activation relu` scores children
at initialisation as well, which is not measured in this space.

The bank is trained before the first child, and lies in the run's directory; searches with other
controllers or seeds share it by `--evaluator.bank`, so that they differ in nothing else.
"""

import dataclasses

from mnas.controllers.dyna import Dyna
from mnas.data.images import DataConfig
from mnas.data.sources import REQUIRED
from mnas.evaluators.presets import PRESETS
from mnas.evaluators.proxy import ProxyConfig
from mnas.experiment.settings import Experiment
from mnas.loop.config import SearchConfig
from mnas.reward import RewardConfig
from mnas.search_spaces.efficientnet import EfficientNetSpace

# B0's mult-adds in this space, for 10 classes: the seven stages, stem and head of its paper.
B0_MADDS = 31_979_392

_PRESET = PRESETS["bank"].applied(ProxyConfig(data=DataConfig(source=REQUIRED)))
_BANK = dataclasses.replace(
    _PRESET,
    training=dataclasses.replace(
        _PRESET.training,
        # Half of the preset's, for an hour in all.
        epochs=12,
        # As in the trainings that the bank predicts (`mnas train --recipe cifar`).
        flip=True,
        crop_padding=4,
    ),
)

EXPERIMENT = Experiment(
    name="cifar10",
    takes="about an hour on 1 core, estimated, with your images (--data)",
    expect="networks to train to the end beside random search's and B0 (mnas retrain)",
    # Strides as in the public adaptation of B0 to CIFAR, kuangliu/pytorch-cifar: a stem of stride 1
    # and the paper's stages, at 32, 16, 8, 4, 4, 2 and 2 pixels. With the paper's stem, the last
    # two would be at 1 pixel.
    space=EfficientNetSpace(resolution=32, classes=10, filters="b0", stem_stride=1),
    controller=Dyna(),
    evaluator=_BANK,
    reward=RewardConfig(target_madds=B0_MADDS, w=-0.07),
    search=SearchConfig(trials=300, batch=10, selection="model"),
    reference="efficientnet-b0",
)
