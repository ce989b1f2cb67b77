"""Rediscovering EfficientNet-B0's trade-off: reward accuracy × (mult-adds / 400M)^-0.07.

    python search.py b0-imagenet

The search of arXiv 1905.11946, section 4, with ImageNet training replaced by a fit to 4,623
networks that were really trained (`mnas.surrogate`): 1,000 samples in batches of 16, in seconds.
As many as MnasNet's 8,000: `--search.trials 8000`. Another controller: `--controller evolution`.

The report compares what is found with B0, stage by stage, and puts both to both fits. The
networks were trained for 16 epochs, which favours small, quickly trained ones: what wins here has
about 300M mult-adds where B0 has 386M, and is not claimed to beat B0 after 350 epochs.
"""

from controllers.dyna import Dyna
from mnas.experiment import EngineConfig, Experiment
from mnas.loop import SearchConfig
from mnas.reward import RewardConfig
from mnas.surrogate import SurrogateConfig
from search_spaces.accel_nasbench import AccelNasbenchSpace

EXPERIMENT = Experiment(
    name="b0-imagenet",
    takes="20 seconds on 2 cores",
    expect="reward above B0's on both fits",
    space=AccelNasbenchSpace(),
    controller=Dyna(),
    evaluator=SurrogateConfig(),
    reward=RewardConfig(target_madds=400e6, w=-0.07),
    search=SearchConfig(trials=1000, batch=16),
    engine=EngineConfig(kind="inline"),
    reference="efficientnet-b0",
)
