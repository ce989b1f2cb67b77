"""Functions of the public interface: a whole run in one call, and the view of a run with figures.

    run = mnas.search("b0-imagenet", out="runs/b0")
    run = mnas.load_run("runs/b0")
    run.trials, run.plot_front(), run.draw()     # a notebook shows each

In: an `Experiment`, or the name of a registered one. Out: a directory as of `mnas.experiment.run`,
and a `Run`.

search  `search`: a whole run, with progress on a terminal or in a notebook
drawing `Drawing`: a network, beside another
run     `Run`: `mnas.experiment.results.Run` with figures; `load_run`

Imports `experiment`, `evaluators`, `reports`, `loop` and `errors`. Only `search` imports JAX.
"""
