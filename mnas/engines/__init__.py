"""Engines evaluate the trials of a search: each a function `run(search, evaluator, config)`.

All drive the same `mnas.loop.search.Search`; none changes what it finds. Modules are imported where an
engine is chosen, so that Ray is needed only by those who use it.
"""

import importlib
import os
import socket
from pathlib import Path
from typing import Any

from mnas.engines.config import EngineConfig, UnusableEngine
from mnas.evaluation import EvaluatorConfig
from mnas.loop.search import Search
from mnas.runtime import memory
