"""Command line: arguments in, text and files out; no algorithm.

In   the words after `mnas VERB`
Out  an exit status; results on standard output, progress and messages on standard error

Each verb of `verbs.VERBS` is the module of that name, imported when it is called, with a
function

    main(arguments: list[str]) -> int | None

that returns the exit status (None is 0) and raises `UsageError` for a mistake of the user.
`run_command` turns its errors into one line on standard error and a status, of which `command` has
the table; a defect keeps its traceback. With `--json`, standard output is one JSON object and
nothing else.

verbs             names of the verbs with a line each; flags of all of them
streams           standard streams, whatever the shell has made of them
command           `run_command`: a function's exceptions as an exit status
help_text         help that fits 80 columns, basic flags apart from all others
flags             numbers with suffixes and Booleans with values; the flags of a dataclass
arguments         typed flags from dataclasses; tables and files that several verbs write
recipe_flags      flags of a training whose defaults a recipe gives
logged_training   a training to its end with its log, also as an evaluator
named_experiment  the experiment that is named on the command line, with exchanged parts
config_file       settings of a search from a file: experiment.json, or YAML
named_words       what a command line names, with the settings of its file
search            start a search or a study; `--list`, `--resume`, `--warm-up`, `--latency-table`
list              table of experiments and studies
resume            continue a run or a study
run               run an experiment in its directory, with progress, files and a summary
study             run a study in its directory
study_files       tables and pages of a study: its own, and those of its runs
study_overrides   settings that are changed in all variants of a study
prepare           compile or time the blocks of an experiment's space
completion_words  words that a shell completes after a verb and after a flag
proxy_scores      scores of the networks of a table, evaluated or read from a file
cost, compare, draw, scale, trials, front, rescore, export, report, data, train, evaluate, retrain,
proxy_quality, benchmark, completion  one verb each

May import every other package of `mnas`, but not `mnas.controllers`, `mnas.search_spaces` or
`mnas.experiments`, whose contents it finds by name through `mnas.experiment.registry`. Importing
`command` or `verbs` loads nothing outside the standard library, `mnas.errors`, `mnas.reports.log`
and `mnas.runtime`.

What people see beside results is logged, at level INFO of Python's `logging` (`mnas.reports.log`),
or printed on a `plain_console` of standard error; `-q`, `-v` and `--log-json`, which every verb
accepts, decide what is shown of both.
"""
