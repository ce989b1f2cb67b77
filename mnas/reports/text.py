"""Numbers as text."""


def plus_minus(mean: float, spread: float, digits: int = 4) -> str:
    """Return mean ± spread; the table says which spread it is."""
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, "5:07", or with hours, "1:02:03"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
