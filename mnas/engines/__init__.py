"""Engines evaluate the trials of a search: each a function `run(search, evaluator, config)`."""
