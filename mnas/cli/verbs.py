"""Verbs of the command line, and the flags that all of them accept."""

# Each verb is the module of that name in `mnas/cli`, with "_" for "-", and its line of help.
VERBS = {
    "search": "Run a search or a study and export the best architecture.",
    "list": "List experiments and studies: cost and expected result.",
    "resume": "Continue a search or a study that was stopped.",
    "cost": "Count params and mult-adds of an architecture.",
    "compare": "Compare an architecture with a reference, stage by stage.",
    "draw": "Draw a network as SVG, alone or beside a second one.",
    "scale": "Scale a network in depth, width and resolution.",
    "trials": "Show the trials of a run as a table, as CSV or as JSON.",
    "front": "Show the trials that no other dominates, by rising cost.",
    "rescore": "Rank the networks of a run under another reward.",
    "export": "Export an architecture, or a network with its weights.",
    "report": "Write one HTML page about one or several runs.",
    "data": "Describe a data set, or pack it into memory-mapped arrays.",
    "train": "Train a network to the end and score it on the test images.",
    "evaluate": "Score a network with given weights on the images of a data set.",
    "retrain": "Train the best networks of a run, beside a reference.",
    "proxy-quality": "Measure how well a proxy ranks networks of known accuracy.",
    "benchmark": "Measure the speed of training or inference beside others.",
    "completion": "Print a script by which the shell completes the words.",
}

GLOBAL_FLAGS = {
    "-q": "Show warnings and errors only, on standard error; also --quiet.",
    "--quiet": "",
    "-v": "Log every trial too; also --verbose.",
    "--verbose": "",
    "--log-json": "Log JSON, an object per line, in place of text and bars.",
    "--traceback": "Show where an error arose.",
    "--version": "Print the versions of mnas and of what it computes with.",
}
"""Flags that every verb accepts, anywhere among its arguments, with their lines of help."""
