"""The main job: a whole search on real images that come with the installation.

    python search.py

Seven MBConv stages around EfficientNet-B0 at 32×32 pixels, proxy-trained on scikit-learn's
handwritten digits by Ray workers on this machine: 48 children, 3 epochs of 960 images each, steered
by REINFORCE on a model of the rewards (`mnas.controllers.dyna`). That is just enough to tell a network
that learns fast from one that doesn't.

Measured on 2 cores, seed 0: 5.9 minutes from a cold compilation cache; mean reward of the first
quarter of children 0.50, of the last 0.75; best 0.870 (held-out accuracy 0.843, 5.7M mult-adds).

Filters stay B0's: each choice of them makes for more programs to compile, and from a cold cache
compiling is a third of the time already. `--space.filters around-b0` searches them too.
"""

from mnas.controllers.dyna import Dyna
from mnas.search_spaces.efficientnet import EfficientNetSpace

from mnas.data.images import DataConfig
from mnas.evaluators.proxy import ProxyConfig
from mnas.experiment.settings import Experiment
from mnas.loop.config import SearchConfig
from mnas.reward import RewardConfig
from mnas.training.config import TrainingConfig

EXPERIMENT = Experiment(
    name="digits",
    takes="6 minutes on 2 cores",
    expect="a B0-like spec of about 6M mult-adds; reward about 0.88",
    space=EfficientNetSpace(resolution=32, classes=10, filters="b0"),
    controller=Dyna(),
    evaluator=ProxyConfig(
        data=DataConfig(source="digits", train_images=960),
        training=TrainingConfig(epochs=3, calibration_batches=8),
    ),
    # B0 has 385.8M mult-adds at 224 pixels, for the paper's target of 400M; at 32 it has 8.5M.
    reward=RewardConfig(target_madds=8.8e6),
    search=SearchConfig(trials=48, batch=6),
    reference="efficientnet-b0",
)
