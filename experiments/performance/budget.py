"""Hours that a search or a training takes, from the rate at which a machine trains.

Command   python -m mnas.experiments.performance.budget [--json]
          ... --images-per-second 2500 --network efficientnet-b0 --workers 8
          ... --samples 500 --images 20000 --epochs 5 --madds 7M
Cost      nothing
Expect    the table of docs/results/budget.md, where the rates come from; or one column for a
          machine of yours, or one row for a job of yours

    seconds = compilation + samples · (epochs · images + validation / 3) · s / speed
    s       = mult-adds / rate + latency,    to train a network on one image, by one worker
    speed   = workers · busy, or that of one training on all workers, for fewer samples than workers

A forward pass is a third of the work of training. `rate` counts the mult-adds of forward passes.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence

from mnas.architecture.cost import network_cost
from mnas.architecture.sources import find
from mnas.cli.arguments import parse, rows_table
from mnas.cli.command import run_command
from mnas.errors import UsageError, require_at_least, require_positive, require_whole
from mnas.reports.terminal import plain_console

HOURS_PER_YEAR = 24 * 365.25


@dataclasses.dataclass(frozen=True)
class Machine:
    """Workers that train.

    gmadds           rate of a worker, 10⁹ mult-adds of the network a second of training
    latency_us       microseconds for each image whatever the network: launches of small programs
    busy             fraction of the time that workers train, in searches
    together         speed of one training on all workers, as a multiple of one worker's
    compile_minutes  compilation of a space's blocks before a search
    """

    name: str
    workers: int
    gmadds: float
    latency_us: float = 0.0
    busy: float = 1.0
    together: float = 1.0
    compile_minutes: float = 0.0

    def image_seconds(self, madds: float) -> float:
        """Return the seconds in which one worker trains a network on one image."""
        return madds / (1e9 * self.gmadds) + 1e-6 * self.latency_us


@dataclasses.dataclass(frozen=True)
class Job:
    """A search, or a number of trainings.

    samples     networks that are trained
    images      training images of each epoch
    madds       mult-adds of the median network
    validation  images evaluated after each training
    search      whether the blocks of a space are compiled before
    """

    name: str
    samples: int
    images: int
    epochs: int
    madds: float
    validation: int = 0
    search: bool = True


# Median mult-adds of 1,000 random networks: 6.7M and 27.4M of `EfficientNetSpace(filters="b0")` at
# 32 and 64 px, 2.2M at 32 px and width 1/2; 415M of `MnasNetSpace` at 224 px. B0 has 386M at 224
# px, 8.5M at 32 px.
JOBS = (
    Job("digits: 48 samples, width 1/2, 6 epochs of 960 images, 32 px", 48, 960, 6, 2.2e6, 540),
    Job("top 5 of digits, 2 seeds: 30 epochs of 1,437 images", 10, 1437, 30, 6.7e6, 360, False),
    Job("CIFAR-10: 1,000 samples, 5 epochs of 10,000 images", 1000, 10_000, 5, 6.7e6, 5_000),
    Job("CIFAR-10: B0, 100 epochs of 50,000 images, 32 px", 1, 50_000, 100, 8.5e6, 10_000, False),
    Job(
        "ImageNet, 64 px: 8,000 samples, 5 epochs of 100,000 images",
        *(8_000, 100_000, 5, 27.4e6, 10_000),
    ),
    Job(
        "ImageNet, 64 px: 8,000 samples, 5 epochs of all images",
        *(8_000, 1_231_167, 5, 27.4e6, 50_000),
    ),
    Job("MnasNet's search: the same at 224 px", 8_000, 1_231_167, 5, 415e6, 50_000),
    Job("ImageNet: B0, 350 epochs, 224 px", 1, 1_281_167, 350, 386e6, 50_000, False),
    Job("ImageNet: top 5, 350 epochs, 224 px", 5, 1_281_167, 350, 386e6, 50_000, False),
    Job("transfer of B0: 20,000 steps of 256 images, 224 px", 1, 256, 20_000, 386e6, 10_000, False),
)
MACHINES = (
    Machine("2 cores, EPYC", 2, 5.0, busy=0.95, together=1.4, compile_minutes=2),
    Machine("2 cores, Xeon", 2, 2.65, busy=0.95, together=1.4, compile_minutes=4),
    Machine("1 H100", 1, 1_160, latency_us=50, compile_minutes=30),
    Machine("8 H100", 8, 1_160, latency_us=50, busy=0.95, together=7.6, compile_minutes=30),
)


def hours(job: Job, machine: Machine) -> float:
    """Return the hours that a job takes on a machine."""
    passes = job.epochs * job.images + job.validation / 3
    alone = job.samples < machine.workers
    speed = machine.together if alone else machine.workers * machine.busy
    training = job.samples * passes * machine.image_seconds(job.madds) / speed
    return (60 * machine.compile_minutes * job.search + training) / 3600


def duration(value: float) -> str:
    """Return hours in a readable unit, with two significant digits."""
    if value < 1 / 60:
        return "under 1 min"
    units = (("min", 1 / 60, 1.5), ("h", 1, 72), ("days", 24, HOURS_PER_YEAR))
    for unit, length, limit in units:
        if value < limit:
            return f"{_two_digits(value / length)} {unit}"
    return f"{_two_digits(value / HOURS_PER_YEAR)} years"


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):,g}"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Hours of searches and trainings; without flags, the table of docs/results/budget.md."""

    images_per_second: float | None = None
    """Images/s at which one worker of yours trains --network; None: the machines of the table."""
    network: str = "efficientnet-b0"
    """Network of --images-per-second: a SPEC."""
    resolution: int | None = None
    """Pixels at which --network was trained; None: those of the spec."""
    workers: int = 1
    """Workers of your machine."""
    latency_us: float = 0.0
    """Microseconds for each image whatever the network, on your machine."""
    busy: float = 1.0
    """Fraction of the time that your workers train, in searches."""
    together: float = 1.0
    """Speed of one training on all your workers, as a multiple of one worker's."""
    compile_minutes: float = 0.0
    """Minutes of compilation before a search on your machine."""
    samples: int | None = None
    """Networks that your job trains; None: the jobs of the table."""
    images: int = 10_000
    """Training images of each epoch of your job."""
    epochs: int = 5
    """Epochs of each network of your job."""
    madds: float = 6.7e6
    """Mult-adds of the median network of your job."""
    validation: int = 0
    """Images of your job that are evaluated after each training."""
    json: bool = False
    """Print one JSON object on standard output."""

    def __post_init__(self) -> None:
        for field in ("workers", "images", "epochs"):
            require_whole("budget", field, getattr(self, field), most=10**12)
        require_whole("budget", "validation", self.validation, least=0, most=10**12)
        for field in ("latency_us", "compile_minutes"):
            require_at_least("budget", field, getattr(self, field), 0)
        require_positive("budget", "madds", self.madds)
        require_positive("budget", "busy", self.busy, most=1)
        require_positive("budget", "together", self.together, most=self.workers)
        if self.samples is not None:
            require_whole("budget", "samples", self.samples, most=10**12)
        if self.images_per_second is not None:
            require_positive("budget", "images_per_second", self.images_per_second)

    def machines(self) -> Sequence[Machine]:
        """Return the user's machine, or those of the table."""
        if self.images_per_second is None:
            return MACHINES
        network = find(self.network)
        if self.resolution is not None:
            network = network.replace(resolution=self.resolution)
        madds = network_cost(network).mult_adds
        seconds = 1 / self.images_per_second - 1e-6 * self.latency_us
        if seconds <= 0:
            raise UsageError(
                f"budget: latency_us = {self.latency_us:g} is longer than the "
                f"{1e6 / self.images_per_second:.3g} microseconds that an image takes; accepted: "
                "less"
            )
        return [
            Machine(
                *("your machine", self.workers, madds / seconds / 1e9),
                *(self.latency_us, self.busy, self.together, self.compile_minutes),
            )
        ]

    def jobs(self) -> Sequence[Job]:
        """Return the user's job, or those of the table."""
        if self.samples is None:
            return JOBS
        extent = (self.samples, self.images, self.epochs, self.madds, self.validation)
        return [Job("your job", *extent)]


def main(flags: list[str]) -> int:
    """Print the table; return the exit status."""
    arguments = parse(Arguments, "mnas.experiments.performance.budget", flags, Arguments())
    machines, jobs = arguments.machines(), arguments.jobs()
    table = [[hours(job, machine) for machine in machines] for job in jobs]
    if arguments.json:
        described = [
            {"job": dataclasses.asdict(job), "hours": row}
            for job, row in zip(jobs, table, strict=True)
        ]
        print(json.dumps({"machines": list(map(dataclasses.asdict, machines)), "jobs": described}))
        return 0
    rows = [[job.name, *map(duration, row)] for job, row in zip(jobs, table, strict=True)]
    plain_console().print(rows_table(["", *(machine.name for machine in machines)], rows))
    return 0


if __name__ == "__main__":
    sys.exit(run_command("mnas.experiments.performance.budget", lambda: main(sys.argv[1:])))
