"""Numbers as text."""


def plus_minus(mean: float, std: float, digits: int = 4) -> str:
    """Return mean ± sample standard deviation."""
    return f"{mean:.{digits}f} ± {std:.{digits}f}"
