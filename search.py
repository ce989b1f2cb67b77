"""Run a search from a checkout: `python search.py ...` is `mnas search ...`."""

import sys

from mnas.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["search", *sys.argv[1:]]))
