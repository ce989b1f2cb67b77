"""A search as a process that can be killed.

python -m tests.engines.search_process KIND JOURNAL [SETTINGS]

SETTINGS are those of the search, as JSON.
"""

import json
import sys
from pathlib import Path

from mnas.engines.config import EngineConfig
from mnas.engines.drive import drive
from mnas.loop.remeasuring import Remeasuring
from tests.engines.evaluators import TableConfig
from tests.engines.searches import build_search

if __name__ == "__main__":
    kind, journal, *settings = sys.argv[1:]
    search = build_search(Path(journal), **json.loads(*settings or ["{}"]))
    config = EngineConfig(kind=kind, workers=None if kind == "inline" else 2)
    drive(Remeasuring(search), TableConfig(seconds=0.05), config)
