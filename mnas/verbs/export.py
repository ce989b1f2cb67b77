"""`mnas export`: an architecture in another form."""

import dataclasses
from typing import Annotated

import tyro

from mnas.cli import parse
from mnas.export import FORMATS
from mnas.spec import find
from mnas.verbs import Changes, Spec, write


@dataclasses.dataclass(frozen=True)
class ExportArguments:
    """An architecture in another form."""

    spec: Spec
    """A published name, a spec file, a run's directory (its best), or block strings joined by ;."""
    format: str = "json"
    """json (a spec), tf (block strings) or timm (arch_def)."""
    changes: Annotated[Changes, tyro.conf.arg(name="")] = Changes()
    out: str | None = None
    """File to write; standard output where not given."""


def export(arguments: list[str]) -> None:
    """`mnas export`."""
    chosen = parse(ExportArguments, "mnas export", arguments, tyro.MISSING_NONPROP)
    if chosen.format not in FORMATS:
        raise ValueError(f"format = {chosen.format!r}; accepted: {', '.join(FORMATS)}")
    text = FORMATS[chosen.format](chosen.changes.apply(find(chosen.spec)))
    if chosen.out is None:
        print(text)
        return
    write(chosen.out, text)
