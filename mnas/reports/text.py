"""Numbers as text."""


def plus_minus(mean: float, spread: float, digits: int = 4) -> str:
    """Return mean ± spread; the table says which spread it is."""
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"
