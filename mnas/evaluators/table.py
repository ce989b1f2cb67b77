"""Accuracies read from a table of trained networks: a tabular benchmark in place of training.

The format is that of `mnas.architecture.network_table`; networks are found by their canonical hash,
so that different decisions which build the same network have the same accuracy.
"""

import dataclasses
import importlib.metadata
import os
from pathlib import Path
from typing import ClassVar, Literal

from mnas.architecture.architecture import Architecture
from mnas.architecture.network_table import Decode, TableRow, read_network_table
from mnas.errors import UsageError, rejected, require_one_of, unknown
from mnas.evaluation import Evaluation, Report
from mnas.files import file_digest

OWNER = "table"
SPACES = "mnas.search_spaces"  # entry points
SEEDS = ("mean", "one")


@dataclasses.dataclass(frozen=True)
class TableConfig:
    """Table of trained networks. Networks that it lacks are failed evaluations."""

    accuracy_word: ClassVar[str] = "tabulated"

    path: str = ""
    """CSV file, also .csv.gz, with the columns blocks or decisions, and accuracy, accuracy_1, ...
    (mnas proxy-quality --help)."""
    space: str | None = None
    """Search space, by name, of the column decisions."""
    seeds: Literal["mean", "one"] = "mean"
    """Where the table has accuracies by seed: the column accuracy, or their 'mean' without it; or
    'one' of them, which the evaluation's seed selects, as a single training would be."""

    def __post_init__(self) -> None:
        require_one_of(OWNER, "seeds", self.seeds, SEEDS)
        if self.path:  # absolute, for a resumption from any directory
            object.__setattr__(self, "path", os.path.abspath(self.path))

    def build(self) -> "TableEvaluator":
        """Return a new evaluator. Raises UsageError if the table can't be read."""
        return TableEvaluator(self)

    def contents(self) -> dict[str, str]:
        """Return the digest of the table by setting."""
        return {"path": file_digest(self._file())} if self.path else {}

    def check(self, architecture: Architecture) -> None:
        """Raise UsageError if the table's networks have another resolution or other classes."""
        rows = self.rows()
        for field in ("resolution", "classes"):
            value = getattr(architecture, field)
            known = sorted({getattr(row.architecture, field) for row in rows})
            if value not in known:
                raise UsageError(
                    f"space: {field} = {value}, and networks of {self.path} have "
                    f"{', '.join(map(str, known[:5]))}; accepted: the same"
                )

    def rows(self) -> list[TableRow]:
        """Return the rows of the table. Raises UsageError if it can't be read."""
        decode = None if self.space is None else decoder(self.space)
        return read_network_table(self._file(), decode)

    def _file(self) -> Path:
        if not self.path:
            raise rejected(OWNER, "path", self.path, "a CSV file (--evaluator.path)")
        return Path(self.path)


class TableEvaluator:
    """Evaluator that looks accuracies up; reports are not made."""

    def __init__(self, config: TableConfig) -> None:
        self.config = config
        self._rows = {row.architecture.canonical_hash(): row for row in config.rows()}

    def __call__(
        self, architecture: Architecture, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Return the accuracy of a network; an evaluation with an error if the table lacks it."""
        row = self._rows.get(architecture.canonical_hash())
        if row is None:
            return Evaluation(error=f"{Path(self.config.path).name} has no such network")
        if self.config.seeds == "one" and row.seeds:
            return Evaluation(accuracy=row.seeds[seed % len(row.seeds)])
        return Evaluation(accuracy=row.accuracy)


def decoder(space: str) -> Decode:
    """Return the function from decisions to networks of a registered space with its defaults.

    Raises UsageError for an unknown name.
    """
    known = {entry.name: entry for entry in importlib.metadata.entry_points(group=SPACES)}
    if space not in known:
        raise unknown("space", space, known)
    decode: Decode = known[space].load()().build().decode
    return decode
