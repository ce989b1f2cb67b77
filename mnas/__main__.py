"""The `mnas` command: `mnas VERB`, or `python -m mnas VERB`."""

import importlib
import sys

from mnas.cli.arguments import report_mistakes
from mnas.errors import unknown

# Each verb is a function of that name in `mnas/cli/VERB.py`, imported when it is called.
VERBS = (
    *("search", "list", "resume"),
    *("cost", "compare", "scale", "rescore", "export", "report", "train", "benchmark"),
)
# Short forms of `mnas search`.
SEARCHES = {"list": "--list", "resume": "--resume"}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    verb = arguments[0] if arguments else ""

    def run() -> int | None:
        if verb in ("-h", "--help"):
            print(f"{__doc__}\nverbs: {', '.join(VERBS)}; mnas VERB --help tells more")
            return 0
        if verb not in VERBS:
            raise unknown("verb", verb, VERBS)
        rest = arguments[1:]
        name, rest = ("search", [SEARCHES[verb], *rest]) if verb in SEARCHES else (verb, rest)
        return getattr(importlib.import_module(f"mnas.cli.{name}"), name)(rest)

    return report_mistakes("mnas", run)


if __name__ == "__main__":
    sys.exit(main())
