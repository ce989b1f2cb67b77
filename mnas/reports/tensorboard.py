"""TensorBoard events of a search, the same from every engine."""

from pathlib import Path

from tensorboardX import SummaryWriter

from mnas.loop.records import Record, ResultRecord, UpdateRecord


class TensorBoard:
    """Observer of a search that writes TensorBoard events into a directory.

    The file is created with the first event, so that a search that never begins leaves none.

    child/accuracy, child/madds   at each trial
    controller/reward, log_prob, and the controller's summary   at the number of trials so far
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writer: SummaryWriter | None = None
        self._trials = 0

    def __call__(self, record: Record) -> None:
        if isinstance(record, ResultRecord):
            self._trials = max(self._trials, record.trial + 1)
            self._add("child/accuracy", record.accuracy, record.trial, record.time)
            self._add("child/madds", record.mult_adds, record.trial, record.time)
        elif isinstance(record, UpdateRecord):
            values = {"reward": record.mean_reward, "log_prob": record.mean_log_prob}
            for name, value in {**record.controller, **values}.items():
                self._add(f"controller/{name}", value, self._trials, record.time)

    def _add(self, tag: str, value: float | None, step: int, seconds: float) -> None:
        if value is not None:
            if self._writer is None:
                self._writer = SummaryWriter(str(self._directory), max_queue=1000)
            self._writer.add_scalar(tag, value, step, walltime=seconds)

    def close(self) -> None:
        """Write outstanding events and close the file."""
        if self._writer is not None:
            self._writer.close()
