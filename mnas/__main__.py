"""The `mnas` command: `mnas VERB ...`, or `python -m mnas VERB ...`."""

import importlib
import importlib.metadata
import logging
import platform
import sys
from collections.abc import Collection

from mnas.cli.command import run_command
from mnas.errors import UsageError, unknown
from mnas.reports.log import LogConfig
from mnas.runtime.cache_directory import replace_shared_cache
from mnas.runtime.signals import end_of_program

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


def main(arguments: list[str] | None = None) -> int:
    """Run one command, by default that of the process, and return its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    # Wherever they stand: for every verb, and for mistakes in the words around them.
    given = {word for word in words if word in GLOBAL_FLAGS}
    verb, *rest = [word for word in words if word not in GLOBAL_FLAGS] or [""]

    def command() -> int | None:
        if {"-q", "--quiet"} & given and {"-v", "--verbose"} & given:
            raise UsageError("both -q and -v; accepted: one of them")
        if verb in ("-h", "--help", "help"):
            print(help_text())
            return 0
        if "--version" in given:
            print(version_text())
            return 0
        if not verb:
            raise UsageError(f"no verb given; accepted: {', '.join(VERBS)}")
        if verb not in VERBS:
            raise unknown("verb", verb, VERBS)
        replace_shared_cache()  # before the verb imports JAX, which reads the variable
        module = importlib.import_module(f"mnas.cli.{verb.replace('-', '_')}")
        return module.main(rest)

    program = f"mnas {verb}" if verb in VERBS else "mnas"
    status = run_command(program, command, "--traceback" in given, log_config(given))
    if arguments is None:
        end_of_program()
    return status


def log_config(given: Collection[str]) -> LogConfig:
    """Return what the flags among `GLOBAL_FLAGS` say of the log."""
    level = logging.INFO
    if {"-q", "--quiet"} & set(given):
        level = logging.WARNING
    elif {"-v", "--verbose"} & set(given):
        level = logging.DEBUG
    return LogConfig(level, json="--log-json" in given)


def help_text() -> str:
    """Return the text of `mnas --help`."""
    verbs = "\n".join(f"  {verb:13}  {line}" for verb, line in VERBS.items())
    flags = "\n".join(f"  {flag:13}  {line}" for flag, line in GLOBAL_FLAGS.items() if line)
    return (
        "usage: mnas VERB ...\n\n"
        "Neural architecture search for MBConv networks.\n\n"
        f"{verbs}\n\n"
        f"Flags of every verb:\n{flags}\n\n"
        "Arguments of a verb: mnas VERB --help\n"
        "Example: mnas search b0-imagenet --seed 1"
    )


def version_text() -> str:
    """Return the versions of mnas, Python, the libraries that compute, and the system."""
    names = ("mnas", "jax", "jaxlib", "flax", "ray", "numpy")
    versions = [f"{name} {_version(name)}" for name in names]
    return "\n".join([*versions, f"Python {platform.python_version()}", platform.platform()])


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
