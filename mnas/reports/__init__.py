"""Output for people about running and finished searches; nothing is evaluated.

In: a running `Search`, journals of runs, outcomes of a study. Out: lines on a terminal, TensorBoard
events, self-contained HTML pages. Importing these modules changes no global state of matplotlib.

console            progress of a running search, as an observer of its records
tensorboard        TensorBoard events, as an observer of its records
terminal           console that prints text as it is: no markup
text               numbers as text
figures            pieces of an HTML page: figures as SVG, tables
comparison_tables  a comparison of two architectures as text
run_report         HTML page about one run or several
study_report       HTML page about a study, and its table

"±" is always the sample standard deviation (`text.plus_minus`).

Imports `analysis`, `experiment`, `loop`, the contracts, `architecture`, `errors` and `files`.
"""
