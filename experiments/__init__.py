"""The experiments and studies that ship with mnas, one subject a file.

Each is a constant, registered by name in `pyproject.toml` (entry points `mnas.experiments`); its file's docstring
gives paper, command, cost and expected result. `performance/` has measurements of mnas itself.
"""
