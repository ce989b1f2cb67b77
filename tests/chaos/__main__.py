"""Campaigns of random kills and their table.

python -m tests.chaos --kills 200 --kinds inline,study --seconds 600 --directory DIR

Prints one line per kill, then a table in Markdown; the status is 1 where anything was found.
"""

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

from tests.chaos.campaign import Campaign, Findings
from tests.chaos.kinds import KINDS


def table(findings: dict[str, Findings]) -> str:
    """Return the table of all kinds."""
    head = "| kind | kills | of which | runs | lost | evaluated again | unequal | other | end, s |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    for name, found in findings.items():
        modes = ", ".join(f"{mode} {count}" for mode, count in sorted(found.kills.items()))
        lines.append(
            f"| {name} | {found.total} | {modes} | {found.runs} | {found.lost} | {found.repeated} "
            f"| {found.unequal} | {len(found.wrong)} | {found.slowest_end:.1f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the campaigns that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="number of kills, of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds, separated by commas")
    parser.add_argument("--modes", help="disturbances, separated by commas; default: of the kind")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="limit for each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directory", type=Path, help="keeps references and wrong runs")
    options = parser.parse_args()
    directory = options.directory or Path(tempfile.mkdtemp(prefix="chaos-"))
    findings = {}
    for name in options.kinds.split(","):
        kind = KINDS[name]
        if options.modes:
            kind = dataclasses.replace(kind, modes=tuple(options.modes.split(",")))
        campaign = Campaign(kind, directory / name, options.seed)
        findings[name] = campaign.run(options.kills, options.seconds)
    print(table(findings))
    return int(any(f.lost or f.repeated or f.unequal or f.wrong for f in findings.values()))


if __name__ == "__main__":
    sys.exit(main())
