"""What a command line names: an experiment or a study, and the settings of `--config FILE`."""

from pathlib import Path
from typing import NamedTuple

from mnas.cli.config_file import Settings, read_config
from mnas.cli.named_experiment import configured, split_name, taken
from mnas.errors import UsageError
from mnas.experiment import registry
from mnas.experiment.settings import Experiment
from mnas.experiment.study import Study


class Named(NamedTuple):
    """What a command line names.

    registered  without the settings of the file
    flags       words after the name, without --config
    config      settings of the file; none without one
    file        its path
    """

    registered: Experiment | Study
    flags: list[str]
    config: Settings
    file: str | None

    def experiment(self) -> Experiment:
        """Return the experiment with the settings of the file; UsageError for a study."""
        if isinstance(self.registered, Study):
            raise UsageError(f"{self.registered.name} is a study; accepted: an experiment")
        try:
            return configured(self.registered, self.config)
        except UsageError as error:
            raise UsageError(f"{self.file}: {error}") from None


def named(words: list[str]) -> Named:
    """Return what [NAME] [--config FILE] [flags] names; the name may be that of the file."""
    file, words = taken(words, "config")
    config = {} if file is None else read_config(Path(file))
    name, flags = split_name(words)
    if not words or words[0].startswith("-"):
        name = config.get("name", name)
    return Named(registry.load("experiment", name), flags, config, file)
