"""Search on CIFAR-10: networks around EfficientNet-B0 of half the width, for 32 pixels.

Paper     MnasNet's search (arXiv 1807.11626) in the space of EfficientNet-B0 (arXiv 1905.11946),
          with accuracies by shared weights (arXiv 1904.00420, 1907.01845) and by the activation
          codes of networks at initialisation (arXiv 2006.04647)
Command   mnas search cifar10 --data DATA
          mnas search cifar10 --data DATA --controller random --evaluator.bank FILE
          mnas retrain RUN --top 5 --seeds 3 --recipe cifar
Cost      about an hour on 1 core, estimated (below)
Expect    not known yet: the search has not been run to its end
Guide     docs/how-to/cifar10.md

DATA is CIFAR-10's binary archive (cifar-10-binary.tar.gz, or the folder in it) or a .npz file; the
images are not part of this project. Other images of about 32 pixels serve as well.

Half the width makes it possible to train what is found, and what it is compared with, on a CPU: 33
networks of about 9.9M mult-adds. The proxy is the one that ranks best of those that are measured on
NAS-Bench-Macro (docs/results/proxy.md); in this space none is measured.

A step of the bank takes 0.24 to 0.27 CPU-seconds on one core of a busy machine (networks of 9.1M
and 11.5M mult-adds, where random ones have 8.7M; n = 2 pairs of steps each). By that, 9,000 steps
cost 2,250 CPU-seconds; with about 500 for compilation and 1,600 for 300 children and 100 random
networks of 3,000 images each, forward only, they are 15 a child. The optimizer is the preset's SGD;
no other has been tried on these networks yet.

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

# Mult-adds of B0 at half its width, in this space, for 10 classes.
B0_MADDS = 9_899_904

_PRESET = PRESETS["bank-naswot"].applied(ProxyConfig(data=DataConfig(source=REQUIRED)))
_BANK = dataclasses.replace(
    _PRESET,
    # The space itself has half of B0's filters.
    width=1.0,
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
    space=EfficientNetSpace(resolution=32, classes=10, filters="b0", stem_stride=1, width=0.5),
    controller=Dyna(),
    evaluator=_BANK,
    reward=RewardConfig(target_madds=B0_MADDS, w=-0.07),
    search=SearchConfig(trials=300, batch=10, selection="model"),
    reference="efficientnet-b0",
)
