"""`mnas search`: run a search and export the best architecture."""

import dataclasses
from pathlib import Path

from mnas.cli import list as list_verb
from mnas.cli import resume, study
from mnas.cli.arguments import parse
from mnas.cli.config_file import Settings
from mnas.cli.named_experiment import (
    ExperimentArguments,
    described,
    exchange,
    parts_description,
    with_classes_of_data,
)
from mnas.cli.named_words import named
from mnas.cli.run import run_experiment
from mnas.errors import UsageError
from mnas.experiment import run
from mnas.experiment.settings import Experiment
from mnas.experiment.study import Study
from mnas.experiment.tracking import load_tracker, trackings

HELP = """usage: mnas search [EXPERIMENT | STUDY] [settings]

Run a search and export the best architecture, or do one of the following.

  mnas search
      the default experiment: embedded images, local Ray
  mnas search EXPERIMENT [settings]
      an experiment with some settings changed
  mnas search EXPERIMENT --controller NAME --space NAME --evaluator NAME
      with other parts; settings are then those of the parts
  mnas search [EXPERIMENT] --config FILE [settings]
      with the settings of a file: experiment.json of a run, or YAML of the same
      form; flags go before them; also with --warm-up and --latency-table
  mnas search STUDY [settings]
      many searches side by side, one table; settings are changed in all of them
  mnas search --list
      list experiments and studies (mnas list)
  mnas search --resume DIR
      continue a run or a study (mnas resume DIR)
  mnas search --warm-up [EXPERIMENT] [settings]
      compile the blocks of the space, without a search
  mnas search --latency-table FILE [EXPERIMENT] [settings]
      time the blocks of the space on this device, for
      --evaluator.latency-table FILE, without a search

Settings: mnas search EXPERIMENT --help, all of them --help-all
Example: mnas search b0-imagenet --reward.target-madds 300M --seed 1
In a checkout, `python search.py ...` is the same command."""


def main(arguments: list[str]) -> None:
    """Run `mnas search`."""
    match arguments:
        case ["-h" | "--help", *_]:
            print(HELP)
            return
        case ["--list", *rest]:
            list_verb.main(rest)
            return
        case ["--resume", *rest]:
            resume.main(rest)
            return
        case ["--warm-up", *rest]:
            from mnas.cli import prepare  # imports JAX

            prepare.warm_up(named(rest))
            return
        case ["--latency-table", file, *rest] if not file.startswith("-"):
            from mnas.cli import prepare  # imports JAX

            prepare.latency_table(Path(file), named(rest))
            return
        case ["--latency-table", *_]:
            raise UsageError("--latency-table needs a file")
    found = named(arguments)
    if isinstance(found.registered, Study):
        study.start(found.registered, found.flags, found.config, found.file)
        return
    start(found.experiment(), found.flags, found.config)


def start(experiment: Experiment, flags: list[str], config: Settings) -> None:
    """Start a new run of an experiment with changed settings.

    config  the settings of a file that `experiment` has
    """
    name = experiment.name
    purpose = f"Run the experiment {name} and export the best network; all settings are flags."
    head = described(purpose, f"mnas search {name} --search.trials 96 --seed 1", experiment)
    experiment, flags = exchange(experiment, flags)
    arguments = parse(
        ExperimentArguments,
        f"mnas search {name}",
        flags,
        ExperimentArguments(experiment),
        f"{head}\n\n{parts_description()}",
    )
    experiment = arguments.experiment
    if arguments.seed is not None:
        seeded = dataclasses.replace(experiment.search, seed=arguments.seed)
        experiment = dataclasses.replace(experiment, search=seeded)
    experiment = with_classes_of_data(experiment, flags, config)
    for tracker in arguments.track:
        load_tracker(tracker)
    run.check(experiment)
    directory = Path(arguments.out) if arguments.out else run.new_directory(Path("runs"), name)
    run.create(experiment, directory)
    run_experiment(experiment, directory, trackings(arguments.track, experiment, directory))
