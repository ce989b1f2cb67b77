"""Search spaces: instances of the contract `mnas.space`, one per file.

In: settings, as a frozen dataclass. Out: `build()` returns a `Space`. The command line finds them
through the entry points `mnas.search_spaces`; `mnas.testing.check_space` checks one.

    mnasnet         MnasNet's factorized hierarchical grid
    efficientnet    a grid around EfficientNet-B0, which contains it
    accel_nasbench  the networks of Accel-NASBench, which the surrogate predicts
    nas_bench_macro  the networks of NAS-Bench-Macro, trained on CIFAR-10
    single_cell     one cell for all stages, for ablations
    per_layer       one choice for every layer, for ablations
    scaling         scalings of one network, for grid searches

Imports `space`, `architecture` and `errors`.
"""

from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace
from mnas.search_spaces.efficientnet import EfficientNetSpace
from mnas.search_spaces.mnasnet import MnasNetSpace
from mnas.search_spaces.nas_bench_macro import NasBenchMacroSpace
from mnas.search_spaces.per_layer import PerLayerSpace
from mnas.search_spaces.scaling import ScalingDimensionsSpace, ScalingGridSpace
from mnas.search_spaces.single_cell import SingleCellSpace

__all__ = [
    "AccelNasbenchSpace",
    "EfficientNetSpace",
    "MnasNetSpace",
    "NasBenchMacroSpace",
    "PerLayerSpace",
    "ScalingDimensionsSpace",
    "ScalingGridSpace",
    "SingleCellSpace",
]
