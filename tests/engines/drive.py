"""A search as a program, to be killed: `python drive.py ENGINE JOURNAL`."""

import sys
from pathlib import Path

from engine_fixtures import TableConfig, build_search

from mnas import engines
from mnas.experiment import EngineConfig

if __name__ == "__main__":
    kind, journal = sys.argv[1:]
    config = EngineConfig(kind=kind, workers=None if kind == "inline" else 2)
    engines.run(build_search(Path(journal)), TableConfig(seconds=0.05), config)
