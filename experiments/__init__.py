"""The experiments and studies that ship with mnas, by the name `search.py` takes."""

from experiments import (
    ablations,
    b0_imagenet,
    compound_scaling,
    digits,
    flop_budgets,
    scaling_dimensions,
)

EXPERIMENTS = {
    experiment.name: experiment
    for experiment in [
        digits.EXPERIMENT,
        b0_imagenet.EXPERIMENT,
        compound_scaling.EXPERIMENT,
        scaling_dimensions.EXPERIMENT,
    ]
}
STUDIES = {
    study.name: study
    for study in [
        b0_imagenet.SEEDS,
        flop_budgets.STUDY,
        *ablations.STUDIES,
    ]
}
