"""The pages of `mnas report` and of studies: figures, tables and drawings in one HTML file.

In: `Run`s, outcomes of a study. Out: one file that needs no network. Figures are specifications in
Vega-Lite, as plain dicts, drawn by the Vega that the page holds; trials are in it once, as JSON.

content       what the page says about each run, for the templates
document      templates, styles, scripts and data as one file
style         colours and settings of all figures
chart         a figure with title, caption and description
head          best beside reference in four numbers; trials, time, workers, machine, versions
accuracies    what is known of the accuracy of networks, with intervals
costs         the cost that the reward trades accuracy against
trials        all trials as columns
curves        curves over trials and batches, thinned
front_chart, reward_chart, decision_charts, time_chart  figures of one run
lines         lines with bands and names, at most ten of them in colours
comparison    several runs: table, fronts, means with bands over runs of one experiment
study_charts  figures of a study: rewards as means with bands, exported networks
study_content  searches of a study with links to their runs, origin, settings
plot          a figure on its own, for notebooks and as a file
exported      figures as SVG and PNG, tables as CSV and LaTeX
base.html.j2, page.html.j2, study.html.j2, macros.html.j2, page.css, page.js, table.js  the pages
vega.js       Vega and Vega-Lite; vega.LICENSES.txt has their notices
"""
