"""A search that is killed and resumed, then ranked under another reward. Five seconds."""

import dataclasses

import mnas
from mnas.analysis.rescoring import rescore
from mnas.controllers import Evolution
from mnas.experiment.registry import load_experiment

experiment = dataclasses.replace(
    load_experiment("b0-imagenet"),
    name="resume-and-rescore",
    controller=Evolution(),
    search=mnas.SearchConfig(trials=200, batch=8),
)


class Killed(Exception):
    """Stands for a crash, a power failure or the end of a job."""


def killer(record):
    """Raise at the result of trial 100. An observer sees each record of the journal."""
    if getattr(record, "trial", None) == 100:
        raise Killed


def facts(run):
    """Return what a search has found: decisions and reward of every trial."""
    return [(run.decisions[result.trial], result.reward) for result in run.results]


if __name__ == "__main__":
    try:
        mnas.search(experiment, out="runs/killed", observers=[killer])
    except Killed:
        print(f"killed after {len(mnas.load_run('runs/killed').results)} results")

    resumed = mnas.search(experiment, out="runs/killed")  # the same call continues
    undisturbed = mnas.search(experiment, out="runs/undisturbed")
    print("the same search:", facts(resumed) == facts(undisturbed))

    # The accuracies are in the journal, so another reward needs no evaluation.
    for target in (500e6, 200e6):
        reward = mnas.RewardConfig(form="hard", target_madds=target)
        best = rescore(resumed, reward).rows[0]
        print(f"T = {target / 1e6:.0f}M: trial {best.trial}, {best.mult_adds / 1e6:.0f}M mult-adds")
