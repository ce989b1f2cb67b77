"""Log records of mnas as lines or JSON objects on standard error.

The library logs by Python's `logging`, below the logger "mnas": INFO what a run does, DEBUG each
trial, WARNING what the user should know. A program that uses mnas as a library shows as much as it
has set up; a command shows them by `shown`. A record's `fields` hold its figures for `--log-json`:

    log.info("6/48 trials", extra={"fields": {"trials": 6, "total": 48}})

Loads nothing outside the standard library.
"""

import contextlib
import dataclasses
import datetime
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

ROOT = "mnas"


@dataclasses.dataclass(frozen=True)
class LogConfig:
    """What a command shows of its log.

    level  least level of the records that are shown
    json   one JSON object per record in place of lines, bars and tables
    """

    level: int = logging.INFO
    json: bool = False


DEFAULT = LogConfig()
_current = DEFAULT


def current() -> LogConfig:
    """Return the configuration of the command that runs; the default outside of commands."""
    return _current


@contextlib.contextmanager
def shown(config: LogConfig, program: str) -> Iterator[None]:
    """Show the records of mnas on standard error within the context, as a command named `program`.

    Warnings and errors begin with the program's name. With `config.json`, Python's warnings are
    records too.
    """
    global _current
    logger, handler, before = logging.getLogger(ROOT), _Handler(), _current
    formatter = _JsonFormatter(program) if config.json else _LineFormatter(program)
    handler.setFormatter(formatter)
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(config.level)
    logger.propagate = False
    _current = config
    try:
        with _warnings_as_records(logger) if config.json else contextlib.nullcontext():
            yield
    finally:
        _current = before
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


@contextlib.contextmanager
def _warnings_as_records(logger: logging.Logger) -> Iterator[None]:
    """Log what `warnings.warn` would print."""
    original = warnings.showwarning

    def show(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
        logger.warning("%s: %s", category.__name__, message)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = original


class LogLines(io.TextIOBase):
    """Text stream whose lines become records, for consoles of a command that logs JSON."""

    def __init__(self) -> None:
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(str.strip, lines):
            logging.getLogger(ROOT).info("%s", line.rstrip())
        return len(text)


class _Handler(logging.Handler):
    """Writes to the standard error of the moment: a bar of rich replaces it while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")
        sys.stderr.flush()


class _LineFormatter(logging.Formatter):
    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        return f"{self._program}: {message}" if record.levelno >= logging.WARNING else message


class _JsonFormatter(logging.Formatter):
    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        head = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "program": self._program,
            "logger": record.name,
            "message": record.getMessage().strip(),
        }
        # NaN and infinities, which JSON lacks, as text: a log must not end a run.
        return json.dumps(_plain({**head, **getattr(record, "fields", {})}), default=str)


def _plain(value: Any) -> Any:
    """Return a value with NaN and infinities as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return value
