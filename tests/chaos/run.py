"""The `mnas` command with the experiments of `tests.chaos.experiments`.

python -m tests.chaos.run VERB ...
"""

import sys
from importlib.metadata import EntryPoint

from mnas.__main__ import main
from mnas.experiment import registry

EXPERIMENTS = {
    "chaos-surrogate": "SURROGATE",
    "chaos-proxy": "PROXY",
    "chaos-blocks": "BLOCKS",
    "chaos-study": "STUDY",
}

if __name__ == "__main__":
    for name, constant in EXPERIMENTS.items():
        entry = EntryPoint(
            name, f"tests.chaos.experiments:{constant}", registry.GROUPS["experiment"]
        )
        registry.entries("experiment")[name] = entry
    sys.exit(main())
