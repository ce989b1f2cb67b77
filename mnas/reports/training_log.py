"""Files about a training in its directory: a row, events and a picture of its epochs.

history.csv                     a row for each epoch, rewritten whole after every epoch
curves.svg                      training loss and validation accuracy by epoch
events.out.tfevents.*.training  the same for TensorBoard

All follow from the training's own history, so a resumed training has the files of an uninterrupted
one; of the epochs before, times are those that `history.csv` holds.
"""

import contextlib
import csv
import dataclasses
import io
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mnas.errors import UsageError
from mnas.files import read_text, write_csv
from mnas.reports.figures import default_style, drawable, label, line_style, write_svg
from mnas.reports.tensorboard import EventFile

EpochTimes = tuple[float | None, float | None]
"""Images per second, and seconds."""
EVENTS = ".training"  # end of the name of an event file
DRAWING_SECONDS = 60.0  # at least between two pictures of a running training


@dataclasses.dataclass(frozen=True)
class EpochRow:
    """An epoch of a training.

    epoch                from 1
    step                 updates of the weights up to its end
    loss                 mean training loss
    validation_accuracy  top-1 on the validation images, 0 to 1
    learning_rate        of its last step
    images_per_second    training images, without validation, with compilation; None where it isn't
                         known
    seconds              with validation; None where they aren't known
    """

    epoch: int
    step: int
    loss: float
    validation_accuracy: float
    learning_rate: float
    images_per_second: float | None
    seconds: float | None

    @property
    def scalars(self) -> dict[str, float | None]:
        """Return the values by their tags in TensorBoard."""
        return {
            "train/loss": self.loss,
            "train/learning_rate": self.learning_rate,
            "train/images_per_second": self.images_per_second,
            "validation/accuracy": self.validation_accuracy,
        }


class TrainingLog:
    """Writer of the files of one training, a context manager around it.

    title  of the picture

    The files are brought up to date with `rows`, the epochs that are trained already. All methods
    raise UsageError where a file can't be written, but for events, which are then left out.
    """

    def __init__(self, directory: Path, title: str, rows: Sequence[EpochRow] = ()) -> None:
        self._directory, self._title = directory, title
        times = _times(directory / "history.csv")
        self.rows = [_with_times(row, times) for row in rows]
        self._drawn = time.monotonic()
        before = list(directory.glob(f"events.out.tfevents.*{EVENTS}"))
        self._events = EventFile(directory, f".{time.time_ns() % 10**9}{EVENTS}")
        for row in self.rows:
            self._events.write(row.scalars, row.step, time.time())
        self._events.flush()
        for path in before:
            path.unlink(missing_ok=True)
        if self.rows:
            self._write_csv()

    def append(self, row: EpochRow) -> None:
        """Add an epoch to all files; to the picture, if the last one was drawn a while ago."""
        self.rows.append(row)
        self._write_csv()
        self._events.write(row.scalars, row.step, time.time())
        self._events.flush()
        if time.monotonic() - self._drawn > DRAWING_SECONDS:
            self.draw()

    def add_scores(self, scores: Mapping[str, float | None]) -> None:
        """Add values that are not None to the events, after the last epoch, by their tags."""
        if self.rows:
            self._events.write(scores, self.rows[-1].step, time.time())

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        """Close the events and draw the picture."""
        self._events.close()
        # What ended the training is to be told, not what follows from it: a full disk, say.
        with contextlib.nullcontext() if kind is None else contextlib.suppress(UsageError):
            self.draw()

    def draw(self) -> None:
        """Write the picture, where there is an epoch to draw."""
        if not self.rows:
            return
        path = self._directory / "curves.svg"
        try:
            with default_style():
                write_svg(path, curves(self.rows, self._title))
        except OSError as error:
            raise _not_writable(path, error) from None
        self._drawn = time.monotonic()

    def _write_csv(self) -> None:
        path = self._directory / "history.csv"
        try:
            write_csv(path, [dataclasses.asdict(row) for row in self.rows])
        except OSError as error:
            raise _not_writable(path, error) from None


def _not_writable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} can't be written: {error.strerror}")


def curves(rows: Sequence[EpochRow], title: str) -> Figure:
    """Return the figure of training loss and validation accuracy by epoch."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    epochs = [row.epoch for row in rows]
    marker = "." if len(rows) < 50 else None  # which also shows a single epoch
    upper.plot(epochs, drawable(row.loss for row in rows), marker=marker, **line_style(0))
    accuracies = drawable(100 * row.validation_accuracy for row in rows)
    lower.plot(epochs, accuracies, marker=marker, **line_style(1))
    upper.set_title(label(title), loc="left", fontsize="medium")
    upper.set_ylabel("training loss")
    lower.set(xlabel="epoch", ylabel="validation accuracy, %")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    return figure


def _times(path: Path) -> dict[tuple[str, str], EpochTimes]:
    """Return the times in a history.csv by epoch and loss; nothing of what can't be read."""
    if not path.is_file():
        return {}
    try:
        lines = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    except (UsageError, csv.Error):
        return {}
    return {
        (line.get("epoch") or "", line.get("loss") or ""): (
            _number(line.get("images_per_second")),
            _number(line.get("seconds")),
        )
        for line in lines
    }


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _with_times(row: EpochRow, times: dict[tuple[str, str], EpochTimes]) -> EpochRow:
    """Return an epoch with the times of an earlier process, where it has none."""
    rate, seconds = times.get((str(row.epoch), str(row.loss)), (None, None))
    if row.seconds is not None:
        return row
    return dataclasses.replace(row, images_per_second=rate, seconds=seconds)
