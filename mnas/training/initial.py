"""Initial variables of a training from a `.safetensors` file, ours or timm's."""

from typing import Any, NamedTuple

from mnas.architecture.architecture import Architecture
from mnas.errors import UsageError
from mnas.nn.network import Variables, init_variables
from mnas.nn.weights import load_weights, saved_classes, saved_normalisation, tensors
from mnas.training.transfer import TransferConfig, block_rates

# Mean and standard deviation of ImageNet's pixels, on the scale of 0 to 255, as of timm's models
# unless their `pretrained_cfg` has others.
IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])


class Initial(NamedTuple):
    """Variables that a training starts from.

    variables      {block: {'params', 'batch_stats'}}
    rates          {block: factor on the learning rate}, 0 for frozen blocks
    normalisation  mean and standard deviation of each channel, on the scale of 0 to 255, by which
                   the weights need images to be normalised: as stored with them, else ImageNet's
    taken          number of arrays taken from the file
    new            timm's names of the arrays that were initialised anew
    classes        classes of the classifier in the file
    """

    variables: dict[str, Variables]
    rates: dict[str, float]
    normalisation: tuple[list[float], list[float]]
    taken: int
    new: tuple[str, ...]
    classes: int

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments of `mnas.training.whole_network.Retraining`."""
        return {
            "initial": self.variables,
            "rates": self.rates,
            "normalisation": self.normalisation,
        }

    def describe(self) -> str:
        """Return in one line which arrays were taken, what is new and what is frozen."""
        if self.new:
            text = (
                f"{self.taken} arrays taken, {', '.join(self.new)} initialised anew "
                f"(the weights have {self.classes:,} classes)"
            )
        else:
            text = f"all {self.taken} arrays taken, also the classifier (--new-head replaces it)"
        frozen = [name for name, rate in self.rates.items() if not rate]
        return f"{text}; {len(frozen)} of {len(self.rates)} blocks frozen" if frozen else text


def initial_weights(config: TransferConfig, architecture: Architecture, seed: int) -> Initial:
    """Return the variables in the file of `config`, with learning rates of all blocks.

    The classifier is initialised from `seed` where the file's number of classes differs from the
    architecture's, or the configuration says so. Raises UsageError for a file that can't be read,
    whose other arrays are not exactly those of the network, and for a frozen new classifier.
    """
    assert config.init is not None
    rates = block_rates(architecture, config.freeze, config.layer_decay)
    classes = saved_classes(config.init, architecture)
    variables = load_weights(config.init, architecture.replace(classes=classes))
    normalisation = saved_normalisation(config.init) or IMAGENET
    arrays = list(tensors(architecture))
    if classes == architecture.classes and not config.new_head:
        return Initial(variables, rates, normalisation, len(arrays), (), classes)
    if not rates["head"]:
        raise UsageError(
            f"training: freeze = {config.freeze!r} freezes the head, whose classifier is new; "
            "accepted: stem and stages"
        )
    new = [
        array for array in arrays if array.path[:2] == ("head", "params") and len(array.path) == 3
    ]
    fresh = init_variables(architecture, seed)["head"]["params"]
    head = variables["head"]
    replaced = {array.path[-1]: fresh[array.path[-1]] for array in new}
    variables["head"] = {**head, "params": {**head["params"], **replaced}}
    names = tuple(array.name for array in new)
    return Initial(variables, rates, normalisation, len(arrays) - len(new), names, classes)
