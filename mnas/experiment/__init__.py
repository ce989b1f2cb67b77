"""Experiments: settings of a search, the directory of a run, many runs side by side.

In: an `Experiment`, or the name of a registered one. Out: a directory with the run's journal and
the specs of its best networks, and a `Run`, the view of such a directory.

    run = load_run("runs/b0")     # mnas.load_run adds figures, mnas.search runs an experiment
    run.best.reward, run.architecture, run.results, run.trials, run.ranked, run.remeasured

settings      `Experiment`: everything that determines a search, as one frozen dataclass
overrides     strict, typed changes of nested settings
registry      spaces, controllers, evaluators and experiments by name, through entry points
results       `Run`: read-only view of a run's directory
trials        the trials of a run as rows of plain values
notebook      data frame of a run's trials, and its summary in HTML
sessions      the processes that began or resumed a run, in its experiment.json
automatic     settings that follow from the backend of the workers
run           check an experiment; create, resume, drive and export its run
tracking      contract of trackers, and the thread in which they run
network_list  listed networks, each with several seeds: a search of the list for each seed
study         `Study`: variants of an experiment and several seeds of each

Imports `engines`, `preparation`, `loop`, `runtime`, the contracts, `architecture`, `errors` and
`files`.
`settings`, `overrides`, `registry` and `results` import no JAX.
"""
