"""Settings of a training that starts from given weights: what is frozen, learning rates by stage.

Frozen blocks keep their weights and are normalised by the BatchNorm statistics that came with
them, also in training. Images are normalised as the weights were trained, not by the statistics of
the new training images.
"""

import dataclasses

from mnas.architecture.architecture import Architecture
from mnas.errors import UsageError, is_number, rejected, shown

STEM, HEAD, ALL_BUT_HEAD = "stem", "head", "all-but-head"


@dataclasses.dataclass(frozen=True)
class TransferConfig:
    """Initial weights, and what is trained of them."""

    init: str | None = None
    """Weights to start from: a .safetensors file of this network, ours or timm's. The classifier is
    initialised anew where the number of classes differs."""
    new_head: bool = False
    """Initialise the classifier anew although the number of classes is that of --init."""
    freeze: str = ""
    """Blocks that keep the weights and BatchNorm statistics of --init: stem, head and numbers of
    stages, as in stem,1-4; or all-but-head."""
    layer_decay: float = 1.0
    """Factor on the learning rate for each stage from the head down to the stem."""

    def __post_init__(self) -> None:
        decay = self.layer_decay
        if not is_number(decay) or not 0 < decay <= 1:
            raise rejected("training", "layer_decay", decay, "a factor above 0, at most 1")
        if not isinstance(self.freeze, str):
            raise rejected("training", "freeze", self.freeze, "text like stem,1-4")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if self.init is None and value != field.default:
                raise rejected("training", field.name, value, "with initial weights (--init)")


def block_rates(
    architecture: Architecture, freeze: str = "", layer_decay: float = 1.0
) -> dict[str, float]:
    """Return the factor on the learning rate of every block, 0 where it is frozen.

    Blocks of one stage have one factor (discriminative fine-tuning: ULMFiT, arXiv 1801.06146,
    section 3.2; by layer in BEiT, arXiv 2106.08254). Raises UsageError where `freeze` names no
    stage of the network, or freezes all.
    """
    stages = list(architecture.stages())
    frozen = _frozen_depths(freeze, len(stages))
    by_depth = [["stem"]]
    for s, layers in enumerate(stages, start=1):
        by_depth.append([f"stage{s}_layer{n}" for n in range(1, len(layers) + 1)])
    by_depth.append(["head"])
    rates: dict[str, float] = {}
    for depth, blocks in enumerate(by_depth):
        # layer_decay^(stages above): 1 for the head, least for the stem
        factor = layer_decay ** (len(by_depth) - 1 - depth)
        rates |= dict.fromkeys(blocks, 0.0 if depth in frozen else factor)
    return rates


def _frozen_depths(freeze: str, stages: int) -> set[int]:
    """Return depths that are frozen: 0 the stem, 1 to `stages`, and the head after them."""
    if freeze == ALL_BUT_HEAD:
        return set(range(stages + 1))
    depths: set[int] = set()
    for word in freeze.split(",") if freeze else []:
        name = word.strip()
        first, dash, last = name.partition("-")
        if name in (STEM, HEAD):
            depths.add(0 if name == STEM else stages + 1)
            continue
        numbers = [first, last] if dash else [first]
        # Short, so that int() is cheap; stages are far fewer than 10,000.
        if not all(n.isascii() and n.isdigit() and len(n) < 6 for n in numbers):
            raise _unknown(freeze, name, stages)
        low, high = int(first), int(numbers[-1])
        if not 1 <= low <= high <= stages:
            raise _unknown(freeze, name, stages)
        depths |= set(range(low, high + 1))
    if len(depths) == stages + 2:
        raise UsageError(f"training: freeze = {shown(freeze)} leaves nothing to train")
    return depths


def _unknown(freeze: str, name: str, stages: int) -> UsageError:
    return UsageError(
        f"training: freeze = {shown(freeze)}: {shown(name, 40)}; accepted: stem, head, stages 1 to "
        f"{stages} as in 2 or 1-{stages}, separated by commas, or {ALL_BUT_HEAD}"
    )
