"""A search as a program, to be killed: `python drive.py ENGINE JOURNAL`."""

import sys
from pathlib import Path

from engine_fixtures import TableConfig, build_search

from mnas.engines.config import EngineConfig
from mnas.engines.drive import drive

if __name__ == "__main__":
    kind, journal = sys.argv[1:]
    config = EngineConfig(kind=kind, workers=None if kind == "inline" else 2)
    drive(build_search(Path(journal)), TableConfig(seconds=0.05), config)
