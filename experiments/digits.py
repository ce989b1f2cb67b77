"""The main job: a whole search on real images that come with the installation.

    python search.py

Seven MBConv stages around EfficientNet-B0 at 32×32 pixels, sampled by REINFORCE, proxy-trained on
scikit-learn's handwritten digits by Ray workers on this machine.
"""

from controllers.reinforce import Reinforce
from mnas.data import DataConfig
from mnas.evaluation import ProxyConfig
from mnas.experiment import Experiment
from mnas.loop import SearchConfig
from mnas.reward import RewardConfig
from mnas.training import TrainingConfig
from search_spaces.efficientnet import EfficientNetSpace

EXPERIMENT = Experiment(
    name="digits",
    takes="about 6 minutes on 2 cores",
    expect="a B0-like spec of about 8M mult-adds; held-out accuracy about 0.9",
    space=EfficientNetSpace(resolution=32, classes=10, filters="b0"),
    controller=Reinforce(policy="factorized", learning_rate=0.5),
    evaluator=ProxyConfig(
        data=DataConfig(source="digits", train_images=960),
        training=TrainingConfig(epochs=3, calibration_batches=8),
    ),
    # B0 has 385.8M mult-adds at 224 pixels, for the paper's target of 400M; at 32 it has 8.5M.
    reward=RewardConfig(target_madds=8.8e6),
    search=SearchConfig(trials=48, batch=6),
)
