"""Default experiment: a complete search on images that ship with the installation.

Paper     MnasNet's search (arXiv 1807.11626) in the space of EfficientNet-B0 (arXiv 1905.11946)
Command   mnas search digits, or python search.py in a checkout
Cost      8 minutes on 2 cores from a cold compilation cache
Expect    mean reward of the last quarter of children above the first's; a best network of accuracy
          above 0.95 with a fraction of B0's mult-adds, reward above 1
Results   docs/results/digits.md

Networks of seven MBConv stages around EfficientNet-B0, at 32×32 pixels, are trained on
scikit-learn's handwritten digits by Ray workers of this machine: 48 children at half their width, 6
epochs of 960 images each, scored on the 540 others. Filters are fixed to B0's, because each further
choice of them adds programs to compile; `--space.filters around-b0` searches them too.
"""

from mnas.controllers.dyna import Dyna
from mnas.data.images import DataConfig
from mnas.evaluators.proxy import ProxyConfig
from mnas.experiment.settings import Experiment
from mnas.loop.config import SearchConfig
from mnas.reward import RewardConfig
from mnas.search_spaces.efficientnet import EfficientNetSpace
from mnas.training.config import TrainingConfig

EXPERIMENT = Experiment(
    name="digits",
    takes="8 minutes on 2 cores",
    expect="accuracy above 0.95 with a fraction of B0's 8.5M mult-adds; reward above 1",
    space=EfficientNetSpace(resolution=32, classes=10, filters="b0"),
    controller=Dyna(),
    evaluator=ProxyConfig(
        data=DataConfig(source="digits", train_images=960, validation=0.36),
        # 180 steps. RMSProp's mean squares, which start at 1, are forgotten in some 50 of them, and
        # its epsilon is small beside gradients', so that layers of all depths learn at one rate.
        training=TrainingConfig(
            epochs=6,
            batch_size=32,
            learning_rate=0.001,
            rms_decay=0.8,
            epsilon=1e-6,
            zero_residual=True,
            calibration_batches=8,
            precision="auto",
        ),
        # A third of the work, for as many more steps.
        width=0.5,
    ),
    # B0 has 385.8M mult-adds at 224 pixels, for the paper's target of 400M; at 32 it has 8.5M.
    reward=RewardConfig(target_madds=8.8e6),
    search=SearchConfig(trials=48, batch=6),
    reference="efficientnet-b0",
)
