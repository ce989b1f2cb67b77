"""Damaged journals: each is rejected with the number of a line, or continued to the same end.

python -m tests.chaos.damage NUMBER
"""

import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mnas.engines import inline
from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
from tests.engines.evaluators import TableConfig
from tests.engines.searches import build_search, facts

Lines = list[bytes]


def cut(lines: Lines, chance: random.Random) -> Lines:
    """Cut the file within a line, as a crash does."""
    text = b"".join(lines)
    return [text[: chance.randrange(1, len(text))]]


def tear(lines: Lines, chance: random.Random) -> Lines:
    """Cut one line, and keep those behind it."""
    index = chance.randrange(len(lines) - 1)
    line = lines[index][: chance.randrange(len(lines[index]) - 1)]
    return [*lines[:index], line + b"\n", *lines[index + 1 :]]


def delete(lines: Lines, chance: random.Random) -> Lines:
    """Delete a line that is not the last one."""
    index = chance.randrange(len(lines) - 1)
    return [*lines[:index], *lines[index + 1 :]]


def double(lines: Lines, chance: random.Random) -> Lines:
    """Double a line."""
    index = chance.randrange(len(lines))
    return [*lines[:index], lines[index], *lines[index:]]


def exchange(lines: Lines, chance: random.Random) -> Lines:
    """Exchange two lines."""
    first, second = chance.sample(range(len(lines)), 2)
    changed = list(lines)
    changed[first], changed[second] = lines[second], lines[first]
    return changed


def flip(lines: Lines, chance: random.Random) -> Lines:
    """Flip a bit."""
    text = bytearray(b"".join(lines))
    text[chance.randrange(len(text))] ^= 1 << chance.randrange(8)
    return [bytes(text)]


def change(lines: Lines, chance: random.Random) -> Lines:
    """Change the value of a field."""
    index = chance.randrange(1, len(lines))
    record = json.loads(lines[index])
    name = chance.choice(list(record))
    record[name] = chance.choice([None, 0, 1, -1, 0.5, "x", [], {}])
    line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
    return [*lines[:index], line, *lines[index + 1 :]]


DAMAGES: tuple[Callable[[Lines, random.Random], Lines], ...] = (
    *(cut, tear, delete, double, exchange, flip, change),
)


def outcomes(number: int, directory: Path, seed: int = 0) -> dict[str, Counter[str]]:
    """Damage a journal in `number` ways and continue it; return the outcomes of each damage.

    rejected  UsageError that names a line
    same      continued to the facts of the undamaged journal
    wrong     continued to others, or rejected without a line
    """
    chance = random.Random(seed)
    run(directory / "whole.jsonl")
    expected = facts(directory / "whole.jsonl")
    whole = (directory / "whole.jsonl").read_bytes().splitlines(keepends=True)
    found: dict[str, Counter[str]] = {damage.__name__: Counter() for damage in DAMAGES}
    for _ in range(number):
        damage = chance.choice(DAMAGES)
        lines = damage(whole[: chance.randrange(4, len(whole) + 1)], chance)
        path = directory / "damaged.jsonl"
        path.write_bytes(b"".join(lines))
        try:
            run(path)
        except UsageError as error:
            outcome = "rejected" if f"{path}" in str(error) and "line" in str(error) else "wrong"
        else:
            outcome = "same" if facts(path) == expected else "wrong"
        found[damage.__name__][outcome] += 1
    return found


def run(path: Path) -> None:
    """Run the search of a journal to its end."""
    search = build_search(path)
    try:
        inline.run(search, TableConfig(), EngineConfig(kind="inline"))
    finally:
        search.journal.close()


def main() -> int:
    """Print the table of outcomes."""
    found = outcomes(int(sys.argv[1]), Path(tempfile.mkdtemp(prefix="chaos-")))
    print(
        "| damage | journals | rejected by line | continued, same | wrong |\n|---|---|---|---|---|"
    )
    for name, counts in found.items():
        row = [name, counts.total(), counts["rejected"], counts["same"], counts["wrong"]]
        print("|", " | ".join(map(str, row)), "|")
    return int(any(counts["wrong"] for counts in found.values()))


if __name__ == "__main__":
    sys.exit(main())
