"""Drawing of a network that notebooks show. Imports no JAX."""

import dataclasses
from pathlib import Path

from mnas.errors import UsageError
from mnas.files import write_text


@dataclasses.dataclass(frozen=True, repr=False)
class Drawing:
    """Drawing of a network, as `mnas draw` makes it.

    svg  a document in SVG
    """

    svg: str

    def save(self, path: Path | str) -> None:
        """Write the drawing as *.svg; UsageError for another name or where that is impossible."""
        path = Path(path)
        if path.suffix.lower() != ".svg":
            raise UsageError(f"{path}: accepted: a file named *.svg")
        try:
            write_text(path, self.svg + "\n")
        except OSError as error:
            raise UsageError(f"{path} can't be written: {error.strerror}") from None

    def __repr__(self) -> str:
        return f"<Drawing: {len(self.svg):,} characters of SVG>"

    def _repr_svg_(self) -> str:
        return self.svg
