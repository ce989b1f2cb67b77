"""Compare early-stopping rules on the same networks.

Command   python -m mnas.experiments.stopping [--trials 48] [--epochs 3] [--out DIR]
Cost      20 minutes on 2 cores at the default size
Expect    the same best network for fewer epochs; wall time falls by less, because a child that may
          be stopped is evaluated after every epoch
Results   docs/results/early_stopping.md

Random search on the embedded digits samples the same networks whatever their rewards, so that only
the stopping differs: none, the rule of `mnas.loop.early_stopping` at the median, and ASHA and
median stopping of Ray Tune. A warm-up of one epoch on a single batch of images fills the
compilation cache first. With another controller, say `--controller dyna`, the searches diverge,
and each pays for compiling its own networks.
"""

import dataclasses
import sys
import time
from pathlib import Path

from rich.table import Table

from mnas.cli.arguments import parse
from mnas.cli.command import run_command
from mnas.engines.config import EngineConfig
from mnas.engines.drive import drive
from mnas.engines.environment import prepare_driver
from mnas.experiment import registry, run
from mnas.experiment.settings import Experiment
from mnas.experiments import digits
from mnas.loop.config import SearchConfig
from mnas.loop.early_stopping import StoppingConfig, savings
from mnas.loop.search import Search
from mnas.reports.terminal import plain_console

RULE = StoppingConfig(quantile=0.5, min_curves=6)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Size of the comparison, and the directory of its four runs."""

    trials: int = 48
    """Networks sampled by each search."""
    batch: int = 6
    """Networks of a batch; the rule stops no child of the first one."""
    epochs: int = digits.EXPERIMENT.evaluator.training.epochs
    """Passes over the training images."""
    train_images: int = 960
    """Training images."""
    workers: int | None = None
    """Children trained at the same time; one for each core by default."""
    controller: str = "random"
    """Controller; only `random` samples the same networks in every search."""
    seed: int = 0
    """Random seed of every search."""
    out: str | None = None
    """Directory of the runs; runs/stopping-N by default."""

    def __post_init__(self) -> None:
        registry.load("controller", self.controller)  # UsageError for an unknown name


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to stop children early: the search's own rule, or a scheduler of Ray Tune."""

    stopping: StoppingConfig = StoppingConfig()
    scheduler: str | None = None
    """Key of `mnas.engines.tune.SCHEDULERS`; None for no scheduler."""


VARIANTS = {
    "off": Variant(),
    "rule": Variant(RULE),
    "asha": Variant(scheduler="asha"),
    "median": Variant(scheduler="median"),
}


def experiment_of(variant: Variant, arguments: Arguments) -> Experiment:
    """Return the default experiment at the size of `arguments`, stopped as `variant` says."""
    proxy = digits.EXPERIMENT.evaluator
    return dataclasses.replace(
        digits.EXPERIMENT,
        controller=registry.load("controller", arguments.controller)(),
        evaluator=dataclasses.replace(
            proxy,
            data=dataclasses.replace(proxy.data, train_images=arguments.train_images),
            training=dataclasses.replace(proxy.training, epochs=arguments.epochs),
        ),
        search=SearchConfig(
            trials=arguments.trials,
            batch=arguments.batch,
            seed=arguments.seed,
            stopping=variant.stopping,
        ),
        engine=EngineConfig(
            kind="ray" if variant.scheduler is None else "tune", workers=arguments.workers
        ),
    )


def search(variant: Variant, experiment: Experiment, directory: Path) -> tuple[Search, float]:
    """Run one search to its end; return it with its wall time in seconds."""
    options = {}
    if variant.scheduler is not None:
        from mnas.engines.tune import SCHEDULERS  # needs Ray

        epochs = experiment.evaluator.training.epochs
        options["scheduler"] = SCHEDULERS[variant.scheduler](epochs)
    run.create(experiment, directory)
    began = time.perf_counter()
    with run.opened(experiment, directory) as opened:
        drive(opened, experiment.evaluator, experiment.engine, **options)
        run.write_results(experiment, opened, directory)
        return opened, time.perf_counter() - began


def row(name: str, finished: Search, wall_seconds: float) -> list[str]:
    """Return one line of the table: best network, and cost of the search."""
    evaluations = [r.evaluation for r in finished.results.values() if r.duplicate_of is None]
    stopped, saved_epochs = savings((e.epochs, e.stopped) for e in evaluations)
    best = finished.best
    return [
        name,
        f"{best.reward:.4f} (trial {best.trial.number})" if best else "-",
        f"{len(evaluations)}",
        f"{stopped}",
        f"{sum(evaluation.epochs for evaluation in evaluations)}",
        f"{saved_epochs}",
        f"{sum(evaluation.seconds for evaluation in evaluations):.0f}",
        f"{wall_seconds:.0f}",
    ]


def main(flags: list[str]) -> int:
    """Run all variants in turn and print the table; return the exit status."""
    arguments = parse(Arguments, "mnas.experiments.stopping", flags, Arguments())
    out = Path(arguments.out) if arguments.out else run.new_directory(Path("runs"), "stopping")
    prepare_driver(experiment_of(VARIANTS["off"], arguments).engine)
    batch_size = digits.EXPERIMENT.evaluator.training.batch_size
    warm_up = dataclasses.replace(arguments, epochs=1, train_images=batch_size)
    search(VARIANTS["off"], experiment_of(VARIANTS["off"], warm_up), out / "warm-up")
    heads = ("best reward", "networks", "stopped", "epochs", "saved", "seconds", "wall seconds")
    table = Table("stopped by", *heads, box=None, pad_edge=False)
    for name, variant in VARIANTS.items():
        finished, wall_seconds = search(variant, experiment_of(variant, arguments), out / name)
        table.add_row(*row(name, finished, wall_seconds))
    plain_console(width=120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("mnas.experiments.stopping", lambda: main(sys.argv[1:])))
