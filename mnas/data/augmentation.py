"""Augmentation of training images, on the device."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Settings of the augmentation of training batches; a static argument of the programs.

    flip      mirror with probability 1/2
    padding   maximum shift in each direction, pixels
    """

    flip: bool = False
    padding: int = 0


NONE = Augmentation()
