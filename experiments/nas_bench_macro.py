"""Search on NAS-Bench-Macro: accuracies of CIFAR-10 trainings, read from a table.

Paper     MCT-NAS (arXiv 2103.11922), which published the benchmark
Command   mnas search nas-bench-macro --evaluator.path TABLE
Cost      seconds on 2 cores
Expect    reward within 0.005 of the table's best network after 200 samples of the whole benchmark

TABLE is a CSV file of the benchmark's networks, with the columns `decisions` (02011120) and
`accuracy`, or `accuracy_1`, `accuracy_2`, `accuracy_3`; it is not part of this project. A search
of a table with part of the networks has failed evaluations, and needs --search.failed-batches 0.
Samples of one training each: --evaluator.seeds one.
"""

from mnas.controllers.dyna import Dyna
from mnas.engines.config import EngineConfig
from mnas.evaluators.table import TableConfig
from mnas.experiment.settings import Experiment
from mnas.loop.config import SearchConfig
from mnas.reward import RewardConfig
from mnas.search_spaces.nas_bench_macro import NasBenchMacroSpace

EXPERIMENT = Experiment(
    name="nas-bench-macro",
    takes="seconds on 2 cores, with a table of the benchmark (--evaluator.path)",
    expect="a network within half a point of the table's best",
    space=NasBenchMacroSpace(),
    controller=Dyna(),
    evaluator=TableConfig(space="nas-bench-macro"),
    # Near the median of the benchmark's networks.
    reward=RewardConfig(target_madds=60e6),
    search=SearchConfig(trials=200, batch=10),
    engine=EngineConfig(kind="inline"),
)
