"""Tables of networks with known accuracy: CSV files, also compressed (`.csv.gz`).

    decisions,accuracy,accuracy_1,accuracy_2        blocks,accuracy,resolution,classes
    02011120,0.9211,0.9208,0.9214                   r1_k3_s22_e1_i32_o16;r2_k5_...,0.764,32,10

Columns; others are ignored.

    blocks        block strings joined by `;`, or
    decisions     those of a named search space: digits, or whole numbers separated by spaces
    accuracy      accuracy of full training; without it, the mean of the following
    accuracy_1, accuracy_2, ...  accuracy of each seed's training
    name          label for people
    resolution, stem, head, activation and further fields of `Architecture`, with `blocks` only;
                  without the column, or where a cell is empty, the field's default

Accuracies are fractions; in a table with one above 1, all are percentages.
"""

import csv
import dataclasses
import gzip
import io
import math
import re
import statistics
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.errors import UsageError, cause_of, printable, shown
from mnas.files import MAX_TEXT, read_text

Decode = Callable[[list[int]], Architecture]

GZIP = b"\x1f\x8b"
SEEDS = re.compile(r"accuracy_(\d{1,4})")
# Fields of `Architecture` that a column may have, with the type of a cell.
FIELDS: dict[str, type] = {
    field.name: type(field.default)
    for field in dataclasses.fields(Architecture)
    if field.name not in ("name", "blocks", "timm_stages")
}
BOOLEANS = {"true": True, "false": False}


@dataclasses.dataclass(frozen=True)
class TableRow:
    """A network of a table.

    accuracy  of full training, 0 to 1
    seeds     accuracies of single trainings, 0 to 1; empty where the table has none
    """

    architecture: Architecture
    accuracy: float
    seeds: tuple[float, ...] = ()


def read_network_table(path: Path, decode: Decode | None = None) -> list[TableRow]:
    """Return the rows of a table, in its order.

    decode  network of a vector of decisions, for tables with the column `decisions`; raises
            ValueError for an invalid vector

    Raises UsageError, which names file and line, for a table that can't be read or has no rows,
    cells that are invalid, and a network that occurs twice.
    """
    rows: list[TableRow] = []
    lines: dict[str, int] = {}
    records = read_records(path)
    columns = list(records[0][1])
    described = "blocks" if "blocks" in columns else "decisions"
    if described not in columns:
        raise UsageError(
            f"{path}: columns {shown(columns)}; accepted: one of blocks, decisions among them"
        )
    if described == "decisions" and decode is None:
        raise UsageError(
            f"{path}: decisions of an unknown space; accepted: with --space (--evaluator.space)"
        )
    seeds = sorted((int(m[1]), m[0]) for m in map(SEEDS.fullmatch, columns) if m)
    if "accuracy" not in columns and not seeds:
        raise UsageError(f"{path}: columns {shown(columns)}; accepted: accuracy among them")
    for line, record in records:
        where = f"{path}, line {line}"
        try:
            if decode is None or described == "blocks":
                architecture = _network(record)
            else:
                architecture = _decoded(record["decisions"], decode)
        except ValueError as error:
            raise UsageError(f"{where}: {printable(str(error), 300)}") from None
        label = record["decisions"] if described == "decisions" else f"line {line}"
        name = printable(record.get("name") or label, 80)
        of_seeds = tuple(_accuracy(where, key, record[key]) for _, key in seeds if record[key])
        if record.get("accuracy"):
            accuracy = _accuracy(where, "accuracy", record["accuracy"])
        elif of_seeds:
            accuracy = statistics.fmean(of_seeds)
        else:
            raise UsageError(f"{where}: no accuracy; accepted: a number")
        other = lines.setdefault(architecture.canonical_hash(), line)
        if other != line:
            raise UsageError(f"{where}: the network of line {other}; accepted: each network once")
        rows.append(TableRow(architecture.replace(name=name), accuracy, of_seeds))
    return _as_fractions(rows)


def read_records(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return (line, cells by column) of every row of a CSV file, compressed or not.

    Raises UsageError for a file that is no CSV with a header and at least one row, or whose rows
    have another number of cells.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    records: list[tuple[int, dict[str, str]]] = []
    header: list[str] | None = None
    try:
        for cells in reader:
            if not cells:
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                if len(set(header)) < len(header):
                    raise UsageError(f"{path}: a column twice in {shown(header)}; accepted: once")
                continue
            if len(cells) != len(header):
                raise UsageError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells; accepted: {len(header)}"
                )
            values = (cell.strip() for cell in cells)
            records.append((reader.line_num, dict(zip(header, values, strict=True))))
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: {error}; accepted: CSV") from None
    if not records:
        raise UsageError(f"{path} has no rows; accepted: a CSV file with a header and rows")
    return records


def _text(path: Path) -> str:
    """Return the text of a file, decompressed where it is gzip's."""
    try:
        with open(path, "rb") as file:
            compressed = file.read(2) == GZIP
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    if not compressed:
        return read_text(path)
    try:
        with gzip.open(path) as file:
            content = file.read(MAX_TEXT + 1)
        if len(content) > MAX_TEXT:
            raise UsageError(f"{path} holds more than {MAX_TEXT:,} bytes; accepted: a table")
        return content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} can't be decompressed: {cause_of(error)}") from None


def _network(record: Mapping[str, str]) -> Architecture:
    """Return the network of a row with block strings."""
    settings: dict[str, Any] = {}
    for field, kind in FIELDS.items():
        cell = record.get(field, "")
        if cell:
            settings[field] = _setting(field, kind, cell)
    strings = [part.strip() for part in record["blocks"].split(";") if part.strip()]
    return Architecture.from_dict({**settings, "blocks": strings})


def _setting(field: str, kind: type, cell: str) -> Any:
    if kind is bool:
        return BOOLEANS.get(cell.lower(), cell)  # rejected by Architecture
    if kind is int and re.fullmatch(r"\d{1,18}", cell, re.ASCII):
        return int(cell)
    if kind is float:
        try:
            return float(cell)
        except ValueError:
            return cell
    return cell


def _decoded(cell: str, decode: Decode) -> Architecture:
    """Return the network of a row with decisions."""
    words: Sequence[str] = cell.split() if " " in cell else cell
    if not all(re.fullmatch(r"\d{1,9}", word, re.ASCII) for word in words):
        raise UsageError(
            f"decisions = {shown(cell)}; accepted: digits, or whole numbers separated by spaces"
        )
    return decode([int(word) for word in words])


def _accuracy(where: str, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise UsageError(f"{where}: {column} = {shown(cell)}; accepted: 0 to 1, or 0 to 100%")
    return value


def _as_fractions(rows: list[TableRow]) -> list[TableRow]:
    """Return the rows with percentages as fractions."""
    if all(value <= 1 for row in rows for value in (row.accuracy, *row.seeds)):
        return rows
    return [
        TableRow(row.architecture, row.accuracy / 100, tuple(value / 100 for value in row.seeds))
        for row in rows
    ]
