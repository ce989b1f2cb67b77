"""Engines: evaluate the trials of one search, in this process, on Ray actors or with Ray Tune.

In   a `TrialSource` (a `Search`, or a `SearchGroup` of several; `mnas.loop.group`), an
     `EvaluatorConfig` and an `EngineConfig`
Out  nothing; every trial of the search has its result and the journal holds it

An engine is a function

    run(search: TrialSource, evaluator: EvaluatorConfig, config: EngineConfig) -> None

that repeats `trial = search.ask()`, evaluates the trial somewhere with
`evaluate_safely(evaluate, trial.architecture, trial.seed, trial.report)` and calls
`search.tell(trial, evaluation)`, until `search.done`. `ask` returns None while results are
outstanding that the controller needs first. Results may be told in any order. No engine changes
what a search finds: the same seed gives the same journal on each of them, except with a Tune
scheduler, which compares children by their time of arrival.

An exception in a child is a failed `Evaluation`, not an error of the engine. A configuration that
cannot work here raises `UsageError` before anything is started; workers that cannot start raise
`RunFailure`.

Modules, in the order of data flow:

config         `EngineConfig`
check          `check_engine`: whether the settings can work here, before anything is started
ray_gpus       GPUs of this machine, as Ray counts them
environment    environment variables and JAX settings of the driver and of the workers
drive          `drive(search, evaluator, config)`: calls the engine that the configuration names
processes      tasks of this machine's worker processes, such as the searches of a study
inline         one child after another in this process
worker         `Worker`, the Ray actor that evaluates children
ray_directory  `local_directory`: private directory of a local Ray
ray_connection a local Ray or a cluster; notices when Ray itself ends
ray_watchdog   program that ends what a killed driver's Ray leaves behind
ray_losses     causes of lost workers
ray            persistent Ray actors, the default
tune_child     `Child`, the Ray Tune trainable that evaluates children
tune           one Ray Tune run per batch, for Tune's schedulers and loggers
tune_searcher  `MnasSearcher`, a Ray Tune search algorithm on top of a `Search`

May import `mnas.loop`, `mnas.runtime` and the contracts (`mnas.evaluation`, `mnas.architecture`,
`mnas.errors`). Only `ray`, `ray_connection`, `ray_gpus`, `ray_losses`, `tune`, `tune_child` and
`tune_searcher` import Ray; the processes of `worker` and `tune_child` import JAX only where their
evaluator does.

SIGINT and SIGTERM end a search with KeyboardInterrupt at a safe point (`mnas.runtime.signals`), and
all processes end with the driver, in whatever way that ends (`mnas.runtime.parent`).
"""
