"""Output for people about running and finished searches; nothing is evaluated.

In: a running `Search`, epochs of a training, journals of runs, outcomes of a study. Out: lines on a
terminal or in a log, TensorBoard events, self-contained HTML pages. Importing these modules changes
no global state of matplotlib.

console            progress of a running search, as an observer of its records
tensorboard        TensorBoard events, among them those of a search, as an observer of its records
training_log       history.csv, learning curves and TensorBoard events of a training
training_progress  progress of a training
notebook_progress  progress of a search in a notebook
evaluation_progress  progress of evaluations of listed networks
proxy_quality      quality of proxies: table, CSV, picture
proxy_differences  picture of what variants of a proxy gain or lose
remeasuring_progress  progress of further measurements of a search's best networks
remeasured_table   table of networks that a search measured again, as text
retraining_table   table of retrained networks as text
retraining_groups  table of searches compared by their retrained networks, as text
log                records of Python's `logging` as lines or JSON objects: what a command shows
terminal           console that prints text as it is: no markup
time_left          time left of a work, told once it is known
text               numbers as text
figures            figures as SVG files by matplotlib, for papers and logs
drawing            drawing of a network as SVG, alone or beside a second one
failures           failed children by cause
comparison_tables  a comparison of two architectures as text
run_report         HTML page about one run or several
page               its pieces: figures in Vega-Lite, tables, drawings, templates, scripts
study_report       HTML page about a study, of the same pieces, and its table

"±" is half of the 95% interval of the mean over seeds; for predictions of accuracy, their standard
deviation.

Imports `analysis`, `experiment`, `loop`, the contracts, `architecture`, `errors` and `files`.
"""
