"""The search loop that every engine drives: ask, evaluate, tell, record.

In: a `Space`, a `Controller`, a `RewardConfig`, a `SearchConfig` and a `Journal`. Out: trials to
evaluate (`Search.ask`), results (`Search.tell`, `Search.results`), and one line of the journal for
each experiment, batch of proposals, result and update, and for further measurements of the best.

    search = Search(space, controller, reward, config, Journal(path))
    while (trial := search.ask()) is not None:
        search.tell(trial, evaluate(trial.architecture, trial.seed, trial.report))

The journal is the state: a `Search` on a journal with records replays them and continues; one that
is damaged or of another search is rejected by line.
Decisions, rewards and updates depend on neither the engine nor the order in which results arrive.

config          number of trials, batch size, seed, failure policy
early_stopping  thresholds below which a child is stopped, from the curves of earlier batches
failed_reward   reward of failed evaluations: never above that of a valid network
trial           `Trial`: a proposed network; `Result`: its evaluation and reward
records         the typed records of the journal and their JSON form
journal         the append-only file of numbered, checksummed records, with lock and fsync
kernel          covariance function of the Gaussian processes over decisions
spending        processor time of evaluations, with that of what they share
smoothing       accuracies estimated from those of all networks, by a Gaussian process
rounds          rounds of further measurements of the best networks, as journals record them
selection       which evaluated network a search exports
metrics         values of records by tag, for TensorBoard and other trackers
replay          checks of records that a search replays
snapshot        the controller's state on disk, which spares a resumed search its updates
stateful_controller   a controller together with its state
search          `Search`, which combines them
remeasuring     `Remeasuring`: a search, then further measurements of its best networks
group           `SearchGroup`: several searches that an engine runs as one

Imports the contracts, `architecture`, `errors`, `files` and `runtime`. Only the last five import
JAX.
"""
