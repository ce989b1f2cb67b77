"""The experiments and studies that ship with mnas, by the name `search.py` takes."""

from experiments import ablations, b0_imagenet, digits, flop_budgets

EXPERIMENTS = {
    experiment.name: experiment
    for experiment in [
        digits.EXPERIMENT,
        b0_imagenet.EXPERIMENT,
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
