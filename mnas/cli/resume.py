"""`mnas resume`: continue a run or a study."""

from pathlib import Path

from mnas.cli.arguments import parse
from mnas.errors import UsageError
from mnas.files import require_unlocked

HELP = """usage: mnas resume DIR [settings]

Continue a search or a study that was stopped, from its journal.

A run may be resumed with another length, selection and engine (--search.trials,
--search.selection, --engine.*), with further measurements of its best networks
(--search.remeasure 5), and with data or a latency table under another path
(--evaluator.data.source NEW); a study with another number of --workers.

Example: mnas resume runs/digits-1 --search.trials 96"""


def main(arguments: list[str]) -> None:
    """Run `mnas resume`."""
    match arguments:
        case ["-h" | "--help", *_]:
            print(HELP)
            return
        case [name, *flags] if not name.startswith("-"):
            directory = Path(name)
        case _:
            raise UsageError("no directory given; accepted: mnas resume DIR")
    require_unlocked(directory, "is running this study")
    require_unlocked(directory / "journal.jsonl", "is writing this journal")
    # These import JAX, which takes a second.
    from mnas.cli import study
    from mnas.cli.named_experiment import ExperimentArguments, with_classes_of_data
    from mnas.cli.run import run_experiment
    from mnas.experiment import run
    from mnas.experiment.tracking import trackings

    if (directory / "study.json").is_file():
        study.resume(directory, flags)
        return
    if not (directory / "experiment.json").is_file():
        raise UsageError(f"{directory} holds no run; accepted: a directory that mnas search made")
    experiment = run.read_experiment(directory)
    parsed = parse(
        ExperimentArguments,
        f"mnas resume {directory}",
        flags,
        ExperimentArguments(experiment),
        f"Continue the run of {experiment.name} in {directory}.",
    )
    moved = parsed.experiment.reference != experiment.reference
    if moved or parsed.out is not None or parsed.seed is not None:
        raise UsageError(
            "a resumed run keeps its directory, seed and reference; accepted: no --out, --seed or "
            "--reference"
        )
    run.require_files(parsed.experiment, directory)
    experiment = with_classes_of_data(parsed.experiment, flags)
    trackers = trackings(parsed.track, experiment, directory)
    run.check(experiment)
    run_experiment(experiment, directory, trackers)
