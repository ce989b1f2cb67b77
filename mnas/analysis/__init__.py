"""Numbers from architectures and finished or running searches; nothing is evaluated or searched.

In: architectures, `Run`s (`mnas.experiment.results`), outcomes of a study. Out: frozen dataclasses
and plain data; `mnas.reports` and `mnas.cli` present them as tables and plots.

comparison    two architectures stage by stage: decisions, costs, predicted accuracies
front         non-dominated sets of cost and accuracy, hypervolume
decisions     frequency of each choice over a search, and its relation to the reward
importance    importance of each decision by a Gaussian process, with intervals
intervals     95% intervals of proportions and of means of curves
rescoring     a run's networks ranked under another reward
grid_ranking  the points of a grid search of compound scaling, ranked
retraining    a run's best networks trained to the end: means over seeds, rank correlation
retraining_groups  several searches compared by such networks, and with references
proxy_quality  a proxy's ranking of networks of known accuracy, beside free predictors
score_combination  one score of several kinds that rank the same networks
rank_agreement, free_predictors  its measures with intervals; scores that need no training
study_table   a study's searches by sample count, and their summaries over seeds

Imports `experiment`, `loop`, the contracts, `architecture`, `errors` and `files`.
"""
