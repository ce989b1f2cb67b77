"""Coverage-guided fuzzing of the readers of files, with the contract of `tests.fuzz.contract`.

    pip install atheris                                  # Linux, as far as there are wheels
    python -m tests.fuzz.guided spec --seconds 300 --corpus corpus/spec

`--corpus` keeps the inputs that reach new code. An input that breaks the contract is written to the
current directory, as `crash-*`, with its traceback on standard error.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["mnas", "zipfile", "numpy.lib._format_impl"]):
    from mnas.architecture.sources import find
    from mnas.architecture.spec import read_spec, to_spec
    from mnas.architecture.text_forms import from_arch_def
    from mnas.data.images import DataConfig
    from mnas.evaluators.latency_table import LatencyTable
    from mnas.experiment import run
    from mnas.loop.journal import Journal
    from mnas.loop.journal import read as read_journal

from tests.data.sets import save_files
from tests.fuzz import test_data, test_latency_table, test_sources
from tests.fuzz.contract import read
from tests.registered import EXPERIMENTS
from tests.runs import head, network, proposals, result

DIRECTORY = Path(tempfile.mkdtemp(prefix="fuzz-"))


@dataclasses.dataclass(frozen=True)
class Target:
    """A reader of a file `name`, and valid contents of that file."""

    name: str
    reader: Callable[[Path], Any]
    seeds: tuple[bytes, ...]


def journal() -> bytes:
    path = DIRECTORY / "valid.jsonl"
    with Journal(path, head()) as written:
        written.append(proposals([[0, 1], [1, 0]]))
        written.append(result(0))
        written.append(result(1, error="diverged", accuracy=None))
    return path.read_bytes()


def experiment(name: str) -> bytes:
    chosen = EXPERIMENTS[name]
    data = {"name": name, "kinds": chosen.kinds(), **chosen.settings()}
    return json.dumps(data).encode()


def images(path: Path) -> Any:
    return test_data.everything(DataConfig(source=str(path), validation=1))


def picture(suffix: str) -> Callable[[Path], Any]:
    """Return a reader of a folder with valid images and the file as another one."""
    folder = DIRECTORY / "images"
    for name in ("cat", "dog"):
        test_data.put(folder / name / f"valid{suffix}", test_data.PICTURES[suffix])

    def read_folder(path: Path) -> Any:
        (folder / "cat" / f"fuzzed{suffix}").write_bytes(path.read_bytes())
        return images(folder)

    return read_folder


LABELS = "emnist-letters-train-labels-idx1-ubyte"


def idx_set() -> Callable[[Path], Any]:
    """Return a reader of the set of idx files around labels."""
    files = {name: content for name, content in test_sources.MNIST.items() if name != LABELS}
    save_files(DIRECTORY, files)
    return lambda path: images(path.with_name(LABELS.replace("labels-idx1", "images-idx3")))


SPEC = json.dumps(to_spec(network())).encode()
TARGETS = {
    "text": Target("text", lambda path: find(decoded(path)), (b"r1_k3_s11_e1_i32_o16_se0.25;",)),
    "arch-def": Target(
        "text", lambda path: from_arch_def([decoded(path).split(";")]), (b"ir_r2_k3_s2_e6_c24",)
    ),
    "spec": Target("spec.json", read_spec, (SPEC,)),
    "journal": Target("journal.jsonl", read_journal, (journal(),)),
    "experiment": Target(
        "experiment.json",
        lambda path: run.read_experiment(path.parent),
        (experiment("digits"), experiment("b0-imagenet")),
    ),
    "latency": Target(
        "table.json", LatencyTable.read, (json.dumps(test_latency_table.TABLE).encode(),)
    ),
    "npz": Target("images.npz", images, (test_data.npz(test_data.ARRAYS),)),
    "cifar": Target("cifar.tar", images, (test_sources.ARCHIVE,)),
    "idx": Target(LABELS, idx_set(), (test_sources.MNIST[LABELS],)),
    **{
        f"image{suffix}": Target("content", picture(suffix), (test_data.PICTURES[suffix],))
        for suffix in (".png", ".jpg", ".gif", ".bmp", ".webp", ".ppm", ".tiff")
    },
}


def decoded(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path)
    arguments = parser.parse_args()
    target = TARGETS[arguments.target]
    path = DIRECTORY / target.name
    corpus = arguments.corpus or DIRECTORY / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)

    def one_input(data: bytes) -> None:
        path.write_bytes(data)
        read(lambda: target.reader(path), "")

    options = [f"-max_total_time={arguments.seconds}", "-max_len=8192", "-rss_limit_mb=8192"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
