"""A search as a process that can be killed.

python -m tests.engines.search_process KIND JOURNAL
"""

import sys
from pathlib import Path

from mnas.engines.config import EngineConfig
from mnas.engines.drive import drive
from tests.engines.evaluators import TableConfig
from tests.engines.searches import build_search

if __name__ == "__main__":
    kind, journal = sys.argv[1:]
    config = EngineConfig(kind=kind, workers=None if kind == "inline" else 2)
    drive(build_search(Path(journal)), TableConfig(seconds=0.05), config)
