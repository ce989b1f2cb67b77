"""The `mnas` command: `python -m mnas VERB`, or `mnas VERB` where installed."""

import importlib
import sys

from mnas.cli import report_mistakes

# Each is a function of that name in the file of that name in `mnas/verbs`, imported when called.
VERBS = ("cost", "compare", "scale", "rescore", "export", "report", "train", "benchmark")


def main(arguments: list[str] | None = None) -> int:
    """The exit status of one call."""
    arguments = sys.argv[1:] if arguments is None else arguments

    def run() -> None:
        verb = arguments[0] if arguments else ""
        if verb in ("-h", "--help"):
            print(f"{__doc__}\nverbs: {', '.join(VERBS)}; mnas VERB --help tells more")
            return
        if verb not in VERBS:
            raise ValueError(f"unknown verb {verb!r}; accepted: {', '.join(VERBS)}")
        getattr(importlib.import_module(f"mnas.verbs.{verb}"), verb)(arguments[1:])

    return report_mistakes("mnas", run)


if __name__ == "__main__":
    sys.exit(main())
