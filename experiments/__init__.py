"""The experiments that ship with mnas, by the name `search.py` takes."""

from experiments import digits

EXPERIMENTS = {
    experiment.name: experiment
    for experiment in [
        digits.EXPERIMENT,
    ]
}
