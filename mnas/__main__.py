"""The `mnas` command: `mnas VERB ...`, or `python -m mnas VERB ...`."""

import importlib
import importlib.metadata
import logging
import platform
import sys
from collections.abc import Collection

from mnas.cli.command import run_command
from mnas.cli.verbs import GLOBAL_FLAGS, VERBS
from mnas.errors import UsageError, unknown
from mnas.reports.log import LogConfig
from mnas.runtime.cache_directory import replace_shared_cache
from mnas.runtime.signals import end_of_program


def main(arguments: list[str] | None = None) -> int:
    """Run one command, by default that of the process, and return its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    # Wherever they stand: for every verb, and for mistakes in the words around them.
    given = {word for word in words if word in GLOBAL_FLAGS}
    verb, *rest = [word for word in words if word not in GLOBAL_FLAGS] or [""]
    if verb == "help" and rest:
        verb, rest = rest[0], [*rest[1:], "--help"]

    def command() -> int | None:
        if {"-q", "--quiet"} & given and {"-v", "--verbose"} & given:
            raise UsageError("both -q and -v; accepted: one of them")
        if verb in ("-h", "--help", "help"):
            print(help_text())
            return 0
        if "--version" in given:
            print(version_text())
            return 0
        if not verb:
            raise UsageError(f"no verb given; accepted: {', '.join(VERBS)} (mnas --help)")
        if verb not in VERBS:
            raise unknown("verb", verb, VERBS)
        replace_shared_cache()  # before the verb imports JAX, which reads the variable
        module = importlib.import_module(f"mnas.cli.{verb.replace('-', '_')}")
        return module.main(rest)

    program = f"mnas {verb}" if verb in VERBS else "mnas"
    status = run_command(program, command, "--traceback" in given, log_config(given))
    if arguments is None:
        end_of_program()
    return status


def log_config(given: Collection[str]) -> LogConfig:
    """Return what the flags among `GLOBAL_FLAGS` say of the log."""
    level = logging.INFO
    if {"-q", "--quiet"} & set(given):
        level = logging.WARNING
    elif {"-v", "--verbose"} & set(given):
        level = logging.DEBUG
    return LogConfig(level, json="--log-json" in given)


def help_text() -> str:
    """Return the text of `mnas --help`."""
    verbs = "\n".join(f"  {verb:13}  {line}" for verb, line in VERBS.items())
    flags = "\n".join(f"  {flag:13}  {line}" for flag, line in GLOBAL_FLAGS.items() if line)
    return (
        "usage: mnas VERB ...\n\n"
        "Neural architecture search for MBConv networks.\n\n"
        f"{verbs}\n\n"
        f"Flags of every verb:\n{flags}\n\n"
        "Arguments of a verb: mnas VERB --help\n"
        "Example: mnas search b0-imagenet --seed 1"
    )


def version_text() -> str:
    """Return the versions of mnas, Python, the libraries that compute, and the system."""
    names = ("mnas", "jax", "jaxlib", "flax", "ray", "numpy")
    versions = [f"{name} {_version(name)}" for name in names]
    return "\n".join([*versions, f"Python {platform.python_version()}", platform.platform()])


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
