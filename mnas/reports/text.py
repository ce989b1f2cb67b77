"""Numbers as text, and text that every page can hold."""

import math
import os
import re
from pathlib import Path


def plus_minus(mean: float, spread: float, digits: int = 4) -> str:
    """Return mean ± spread; the table says which spread it is."""
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, "5:07", or with hours, "1:02:03"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def duration(seconds: float) -> str:
    """Return a duration with its two largest units: "0.4 s", "12 s", "5 min 7 s", "3 h 20 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"


def magnitude(value: float) -> str:
    """Return a count with four digits and k, M or G: "299.1M", "5.289M", "400M", "1.827G"."""
    for factor, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            scaled = value / factor
            digits = max(0, 3 - math.floor(math.log10(abs(scaled))))
            text = f"{scaled:,.{digits}f}"
            return (text.rstrip("0").rstrip(".") if "." in text else text) + suffix
    return f"{value:g}"


def short_count(count: float) -> str:
    """Return a count with three significant digits and a suffix: "5.69M", "386M", "1.83G"."""
    for suffix, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * unit:
            scaled = count / unit
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            return f"{scaled:.{digits}f}{suffix}"
    return f"{count:.0f}"


def printable(text: str) -> str:
    """Return text without what UTF-8 or HTML cannot hold: lone surrogates, control characters."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", text)


def named_path(path: str | os.PathLike[str]) -> str:
    """Return a path as text, as it is given; of "." and "..", which name nothing, the name."""
    given = Path(path)
    return str(given) if given.name not in ("", "..") else Path(os.path.abspath(given)).name or "/"
