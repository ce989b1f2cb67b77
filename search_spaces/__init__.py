"""The search spaces that ship with mnas: frozen dataclasses whose `build()` gives a `Space`."""

from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace
from mnas.search_spaces.efficientnet import EfficientNetSpace
from mnas.search_spaces.mnasnet import MnasNetSpace
from mnas.search_spaces.per_layer import PerLayerSpace
from mnas.search_spaces.scaling import ScalingDimensionsSpace, ScalingGridSpace
from mnas.search_spaces.single_cell import SingleCellSpace

SPACES = {
    "mnasnet": MnasNetSpace,
    "efficientnet": EfficientNetSpace,
    "accel-nasbench": AccelNasbenchSpace,
    "per-layer": PerLayerSpace,
    "single-cell": SingleCellSpace,
    "scaling-grid": ScalingGridSpace,
    "scaling-dimensions": ScalingDimensionsSpace,
}
