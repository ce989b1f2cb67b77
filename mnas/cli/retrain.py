"""`mnas retrain`: the best networks of a run trained to the end, beside a reference network."""

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro
from rich.console import Console

from mnas.analysis import retraining_groups
from mnas.analysis.retraining import Candidate, Row, correlation
from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.scaling import scale_width_to
from mnas.architecture.sources import find
from mnas.cli.arguments import rows_table
from mnas.cli.command import stop_advice
from mnas.cli.logged_training import LoggedTrainingConfig
from mnas.cli.recipe_flags import described_rate, parse_with_recipe
from mnas.data.images import DataConfig
from mnas.data.source import Source
from mnas.data.sources import open_source
from mnas.engines.config import EngineConfig
from mnas.errors import UsageError, require_whole
from mnas.evaluators.whole_network import training_name
from mnas.experiment import network_list, run
from mnas.experiment.overrides import override
from mnas.experiment.results import Run, architecture_of, load_run
from mnas.files import locked_directory, read_json, write_csv, write_json
from mnas.loop.records import ResultRecord
from mnas.reports import retraining_groups as groups_table
from mnas.reports import retraining_table
from mnas.reports.evaluation_progress import EvaluationProgress
from mnas.reports.terminal import plain_console
from mnas.reports.text import named_path
from mnas.training.config import TrainingConfig
from mnas.training.recipes import RECIPES

NO_REFERENCE = "none"
FILE = "retrained.json"
MAX_SEEDS = 100  # open journals


@dataclasses.dataclass(frozen=True)
class RetrainArguments:
    """Train the best networks of a run to the end, with several seeds, beside a reference.

    Trainings run on the engine, those of all networks and seeds side by side; accuracies are those
    on the test set, or on the validation images where the data have none. The same command resumes
    a retraining that was stopped, and a larger --seeds adds seeds.

    --report DIR DIR ... prints the means of finished retrainings, of the best networks of each
    search and of each reference, in one table.

    Example: mnas retrain runs/digits-1 --top 5 --seeds 2 --epochs 30 --out retrained
    """

    BASIC: ClassVar[tuple[str, ...]] = (
        "--top",
        "--seeds",
        "--reference",
        "--data",
        "--recipe",
        "--epochs",
        "--batch-size",
        "--learning-rate",
        "--engine.workers",
        "--engine.gpus-per-worker",
        "--out",
        "--report",
        "--json",
    )

    run: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")] = None
    """Directory of a run, finished or not."""
    top: int = 5
    """Number of networks, the best ones of the run."""
    seeds: int = 2
    """Trainings of each network."""
    reference: str = "efficientnet-b0"
    """Network to train beside them, a SPEC as of the other commands, at the resolution and with the
    stem's stride of the run's best; none: no reference."""
    scale_reference: bool = True
    """Scale the reference's width to the mult-adds of the run's best network."""
    data: str | None = None
    """Images, as of mnas train; None: those of the run."""
    recipe: str = "proxy"
    """Settings to start from, as of mnas train."""
    config: Annotated[TrainingConfig, tyro.conf.arg(name="")] = RECIPES["proxy"].config
    engine: EngineConfig = EngineConfig()
    report: tuple[str, ...] = ()
    """Directories of finished retrainings to compare, in place of DIR; nothing is trained."""
    out: str = "retrained"
    """Directory of retrained.csv and retrained.json, and of the trainings: NETWORK/seed-SEED has
    the files that mnas train writes."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        require_whole("retrain", "top", self.top, most=1000)
        require_whole("retrain", "seeds", self.seeds, most=MAX_SEEDS)


def main(arguments: list[str]) -> None:
    """Run `mnas retrain`."""
    options = parse_with_recipe("mnas retrain", arguments, RetrainArguments())
    if options.report:
        compare(options)
        return
    if options.run is None:
        raise UsageError("retrain: no DIR; accepted: the directory of a run, or --report DIR ...")
    with stop_advice(f"to continue: mnas retrain {shlex.join(arguments)}"):
        retrain(options, options.run)


def compare(options: RetrainArguments) -> None:
    """Print finished retrainings in one table."""
    if options.run is not None:
        raise UsageError("retrain: both DIR and --report; accepted: one of them")
    contents: dict[str, Any] = {}
    groups: list[retraining_groups.Group] = []
    for name in options.report:
        path = Path(name) / FILE
        contents[named_path(name)] = data = read_json(path)
        groups += retraining_groups.groups_of(data, named_path(name), str(path))
    retraining_groups.require_same_training(contents)
    records = retraining_groups.records(groups)
    measured_on = str(next(iter(contents.values())).get("measured_on"))
    console = plain_console(stderr=True)
    table = rows_table(groups_table.HEADS, groups_table.lines(records))
    plain_console(stderr=True, width=max(console.width, 120)).print(table)
    for line in groups_table.notes(measured_on):
        console.print(line, soft_wrap=True)
    if options.json:
        result = {"measured_on": measured_on, "groups": records}
        print(json.dumps(result, indent=2, allow_nan=False))


def retrain(options: RetrainArguments, run_directory: str) -> None:
    """Train the networks, or what is left of them, print the table and write the files."""
    console, directory = plain_console(stderr=True), Path(options.out)
    finished = load_run(run_directory)
    data = _data(options, finished)
    source = open_source(data.source)
    candidates = _candidates(options, finished, source, console)
    networks = [candidate.architecture for candidate in candidates]
    evaluator = LoggedTrainingConfig(str(directory.absolute()), data, options.config)
    run.check(network_list.experiment(networks, evaluator, options.engine, 0))
    console.print(f"data: {source.describe()}", soft_wrap=True)
    console.print(described_rate(options), soft_wrap=True)
    with locked_directory(directory, "is training in this directory"):
        _check_same_networks(directory / "networks.json", networks)
        with EvaluationProgress(console, len(networks) * options.seeds, "trainings") as progress:
            results = network_list.evaluate(
                networks,
                evaluator,
                options.engine,
                options.seeds,
                directory / "journals",
                progress.observe,
                progress.resume,
            )
        found = [list(of_network) for of_network in zip(*results, strict=True)]
        rows = [_row(*pair) for pair in zip(candidates, found, strict=True)]
        result = _result(options, rows, source)
        result["trainings"] = [
            _training(result, directory) for of_network in found for result in of_network
        ]
        write_csv(directory / "retrained.csv", result["networks"])
        write_json(directory / FILE, result)
    table = rows_table(retraining_table.HEADS, retraining_table.lines(rows))
    plain_console(stderr=True, width=max(console.width, 120)).print(table)
    for line in retraining_table.notes(rows, correlation(rows), result["measured_on"]):
        console.print(line, soft_wrap=True)
    console.print(
        f"written: {directory}/retrained.csv, retrained.json, and of each training "
        f"{directory}/NETWORK/seed-SEED/history.csv, curves.svg, weights.safetensors",
        soft_wrap=True,
    )
    if options.json:
        print(json.dumps(result, indent=2, allow_nan=False))


def _data(options: RetrainArguments, finished: Run) -> DataConfig:
    """Return all training images of the run's data, or of those that are named.

    The split is the run's: no validation image of the search is trained on.
    """
    settings: Any = finished.head.settings.get("evaluator", {})
    while isinstance(settings, Mapping) and isinstance(settings.get("evaluator"), Mapping):
        settings = settings["evaluator"]  # within wrappers
    found = settings.get("data")
    if not isinstance(found, Mapping) and options.data is None:
        raise UsageError(f"{options.run} is a run without images; accepted: with --data")
    data = override(DataConfig(), found if isinstance(found, Mapping) else {}, "evaluator.data")
    source = data.source if options.data is None else options.data
    return dataclasses.replace(data, source=source, train_images=None)


def _candidates(
    options: RetrainArguments, finished: Run, source: Source, console: Console
) -> list[Candidate]:
    """Return the run's best networks and the reference, for the classes of the data."""
    classes, best = len(source.classes), finished.ranking[: options.top]
    if not best:
        raise UsageError(
            f"{options.run} has no network that was evaluated; accepted: a run with one"
        )
    if len(best) < options.top:
        console.print(f"{options.run} has {len(best)} networks, fewer than --top {options.top}")
    candidates = [
        Candidate(
            architecture_of(result, finished.experiment_name).replace(classes=classes),
            result.trial,
            result.accuracy,
        )
        for result in best
    ]
    if options.reference == NO_REFERENCE:
        return candidates
    first = candidates[0].architecture
    reference = find(options.reference).for_images_of(first)
    if options.scale_reference:
        try:
            reference = scale_width_to(reference, network_cost(first).mult_adds)
        except UsageError as error:
            raise UsageError(f"{error}, or --no-scale-reference") from None
    known = {candidate.architecture.canonical_hash() for candidate in candidates}
    if reference.canonical_hash() in known:
        console.print(f"{reference.name} is one of the run's best networks, and no further one")
        return candidates
    return [*candidates, Candidate(reference)]


def _check_same_networks(path: Path, networks: Sequence[Architecture]) -> None:
    """Write the networks; UsageError where the directory holds trainings of other ones."""
    described = [network.to_dict() for network in networks]
    if path.exists() and read_json(path) != described:
        raise UsageError(
            f"{path} has other networks than these, the best of the run now; accepted: another "
            "--out, or the same run, --top and --reference"
        )
    write_json(path, described)


def _row(candidate: Candidate, results: Sequence[ResultRecord]) -> Row:
    return Row(
        candidate,
        tuple(result.accuracy for result in results if result.accuracy is not None),
        tuple(result.error for result in results if result.error is not None),
    )


def _training(result: ResultRecord, directory: Path) -> dict[str, Any]:
    """Return a training as plain data; its seed is the one of mnas train."""
    network = Architecture.from_dict(result.architecture)
    return {
        "network": network.name,
        "seed": result.seed,
        "accuracy": result.accuracy,
        "epochs": result.epochs,
        "error": result.error,
        "directory": str(directory / training_name(network) / f"seed-{result.seed}"),
    }


def _result(options: RetrainArguments, rows: Sequence[Row], source: Source) -> dict[str, Any]:
    """Return the table as plain data."""
    found, test = correlation(rows), source.test
    measured_on = "validation images" if test is None else f"{len(test.labels):,} test images"
    return {
        "run": str(options.run),
        "seeds": options.seeds,
        "recipe": options.recipe,
        "training": dataclasses.asdict(options.config),
        "measured_on": measured_on,
        "networks": [row.to_dict() for row in rows],
        "accuracies": {row.candidate.architecture.name: list(row.accuracies) for row in rows},
        "kendall": None if found is None else dataclasses.asdict(found),
    }
