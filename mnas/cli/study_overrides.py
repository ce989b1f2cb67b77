"""Settings that are changed in all variants of a study, by flags and by a file."""

import dataclasses
from collections.abc import Sequence

from mnas.cli.arguments import parse
from mnas.cli.config_file import Settings
from mnas.cli.named_experiment import ExperimentArguments, configured, exchange
from mnas.errors import UsageError
from mnas.experiment.settings import KINDS, PARTS
from mnas.experiment.study import Study

FIXED = {"trials": "--trials", "seed": "--seeds"}  # fields of `search` that the study determines


def split_flags(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words of a study's own flags, and those of settings of its experiments."""
    own: list[str] = []
    settings: list[str] = []
    current = own
    for word in words:
        if word.startswith("--"):
            name = word.partition("=")[0].removeprefix("--").replace("_", "-")
            is_setting = name in (*KINDS, "reference") or name.split(".")[0] in PARTS
            current = settings if is_setting else own
        elif word.startswith("-h"):
            current = own
        current.append(word)
    return own, settings


def overridden(study: Study, config: Settings, words: Sequence[str]) -> Study:
    """Return the study with settings changed in all variants.

    config  settings of a file (`mnas.cli.config_file`)
    words   flags of settings, which go before those of the file

    Raises UsageError for a setting that a variant lacks, one that the study determines, and where
    two variants would be equal.
    """
    for name, flag in FIXED.items():
        words_of = [word for word in words if word.partition("=")[0] == f"--search.{name}"]
        search = config.get("search")
        if words_of or (isinstance(search, dict) and name in search):
            raise UsageError(f"search.{name} is the study's; accepted: {flag}")
    if not config and not words:
        return study
    variants = {}
    for name, variant in study.variants.items():
        try:
            experiment, rest = exchange(configured(variant, config), list(words))
            default = ExperimentArguments(experiment)
            program = f"mnas search {study.name}"
            variants[name] = parse(ExperimentArguments, program, rest, default).experiment
        except UsageError as error:
            raise UsageError(f"variant {name}: {error}") from None
    _require_distinct(study, dataclasses.replace(study, variants=variants))
    return dataclasses.replace(study, variants=variants)


def _require_distinct(before: Study, after: Study) -> None:
    """Raise UsageError where variants that differed are equal."""
    names = list(after.variants)
    for position, name in enumerate(names):
        for other in names[:position]:
            was_equal = before.variants[name] == before.variants[other]
            if after.variants[name] == after.variants[other] and not was_equal:
                raise UsageError(
                    f"variants {other} and {name} would be equal; accepted: settings in which the "
                    "variants do not differ"
                )
