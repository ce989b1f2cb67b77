"""A space, a controller, an evaluator, an experiment and a study for mnas."""
