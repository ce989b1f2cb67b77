"""Contenders of the benchmarks by name, and how their failures are handled."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_FILES = Path(__file__).parent / "contenders"


@dataclasses.dataclass(frozen=True)
class ContenderSpec:
    """One contender.

    title          name in tables
    file           Python file with the class `Contender` that `mnas.benchmark.worker` describes
    torch          runs under the interpreter that has PyTorch
    compiles       compiles a child before training it
    reuses_blocks  programs compiled for one child serve others with the same blocks
    """

    title: str
    file: Path
    torch: bool = False
    compiles: bool = True
    reuses_blocks: bool = False

    def interpreter(self, torch_python: str | None) -> str:
        """Return the path of the Python interpreter of the contender's workers."""
        return (torch_python if self.torch else None) or sys.executable


OURS = "ours"
TRAINING_CONTENDERS = {
    OURS: ContenderSpec("ours", _FILES / "ours.py", reuses_blocks=True),
    "flax": ContenderSpec("plain Flax", _FILES / "plain_flax.py"),
    "torch": ContenderSpec("PyTorch eager", _FILES / "torch_eager.py", torch=True, compiles=False),
    "torch-compile": ContenderSpec("torch.compile", _FILES / "torch_eager.py", torch=True),
}
INFERENCE_CONTENDERS = {
    OURS: ContenderSpec("ours", _FILES / "inference_ours.py"),
    "torch": ContenderSpec(
        "PyTorch eager", _FILES / "inference_torch.py", torch=True, compiles=False
    ),
}


class ContenderFailed(Exception):
    """A contender cannot be measured: not installed, raised, or died; the message has one line."""


@contextlib.contextmanager
def dropping_failed_peer(
    name: str, title: str, report: Callable[[str], None], drop: Callable[[str], None]
) -> Iterator[None]:
    """Drop a contender that raises ContenderFailed, so that the benchmark goes on without it.

    report  shows a line to the user
    drop    called with the reason; removes the contender

    Raises RuntimeError if the contender is our own.
    """
    try:
        yield
    except ContenderFailed as error:
        if name == OURS:
            raise RuntimeError(f"{title}: {error}") from error
        report(f"{title}: {error}")
        drop(str(error))
