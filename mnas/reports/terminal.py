"""Text for people on a terminal, printed as it is."""

from rich.console import Console


def plain_console(stderr: bool = False, width: int | None = None) -> Console:
    """Return a console without markup, emoji codes and highlighting.

    Paths, names and messages of errors are other people's text: `[/b]` and `:x:` in them mean
    nothing.
    """
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)
