"""Single dimensions against compound scaling: files of one run and of several joined."""

import csv
import dataclasses

from mnas.architecture.scaling import DIMENSIONS
from mnas.cli.command import run_command
from mnas.engines.config import EngineConfig
from mnas.evaluation import Evaluation
from mnas.experiment import run
from mnas.experiments import scaling_seeds
from mnas.experiments.scaling_dimensions import EXPERIMENT, Row, write
from mnas.experiments.scaling_seeds import read


@dataclasses.dataclass(frozen=True)
class TableEvaluator:
    def build(self):
        return self

    def __call__(self, architecture, seed, report=None):
        return Evaluation(0.5 + 0.001 * len(architecture.layers()) + (seed % 10) / 1000)


def finished_search(directory, seed: int):
    experiment = dataclasses.replace(
        EXPERIMENT,
        evaluator=TableEvaluator(),
        engine=EngineConfig(kind="inline"),
        search=dataclasses.replace(EXPERIMENT.search, seed=seed),
    )
    run.create(experiment, directory)
    with run.opened(experiment, directory) as search:
        run.drive(experiment, search)
        experiment.finish(search, directory)
        return search


def test_joins_the_files_of_several_runs(tmp_path, capsys):
    for seed in (0, 1):
        search = finished_search(tmp_path / f"seed-{seed}", seed)
    rows = read(tmp_path / "seed-1" / "scaling.csv")
    assert [(row.dimension, row.factor) for row in rows] == [
        ("base", 1), *((d, f) for f in (2, 4, 8) for d in DIMENSIONS)
    ]  # fmt: skip
    for number, row in enumerate(rows):
        result = search.results[number]
        assert (row.accuracy, row.mult_adds) == (
            result.evaluation.accuracy, result.cost.mult_adds
        )  # fmt: skip
    assert {row.seed for row in rows} == {1}
    assert (tmp_path / "seed-1" / "scaling.svg").read_text().count("<svg") == 1
    capsys.readouterr()
    joined = tmp_path / "joined"
    flags = [str(tmp_path / f"seed-{seed}") for seed in (0, 1)]
    assert scaling_seeds.main([*flags, "--out", str(joined)]) == 0
    assert len(read(joined / "scaling.csv")) == 2 * len(rows)
    assert " ± " in capsys.readouterr().err


def test_table_shows_mean_and_standard_deviation(tmp_path, capsys):
    base = Row("base", 1, 0, 8, 3, 10, 1000, 0.5)
    deep = [Row("depth", 2, seed, 8, 6, 20, 1900, 0.6 + 0.02 * seed) for seed in (0, 1)]
    write([base, *deep], tmp_path)
    shown = capsys.readouterr().err
    assert "0.610 ± 0.014 (×1.90)" in shown  # 0.02 / sqrt(2)
    assert "base 0.500 (×1.00)" in shown
    assert next(line for line in shown.splitlines() if line.startswith("width")).split()[1] == "-"


def test_mistakes_are_reported_in_one_line(tmp_path, capsys):
    def status(*flags: str) -> int:
        return run_command("scaling", lambda: scaling_seeds.main(list(flags)))

    assert status(str(tmp_path)) == 2
    assert "scaling.csv can't be read" in capsys.readouterr().err
    with open(tmp_path / "scaling.csv", "w") as file:
        csv.writer(file).writerows([["dimension", "accuracy"], ["depth", 0.5]])
    assert status(str(tmp_path)) == 2
    assert "accepted: columns dimension, factor" in capsys.readouterr().err
    assert status() == 2
