import io
import re
from types import SimpleNamespace

import numpy as np
from rich.console import Console

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.cli.run import print_summary
from mnas.evaluation import Evaluation
from mnas.experiments import digits
from mnas.loop.journal import FORMAT, Journal
from mnas.loop.trial import Result, Trial
from mnas.reports.run_report import write_report


def result(trial, reward, epochs, **others) -> dict:
    return {
        "kind": "result", "trial": trial, "duplicate_of": None, "error": None, "reward": reward,
        "accuracy": reward, "params": 1, "mult_adds": 1, "seconds": 1.0, "epochs": epochs,
    } | others  # fmt: skip


def page(directory, *results) -> str:
    directory.mkdir()
    settings = {"reward": {"cost": "params"}}
    with Journal(directory / "journal.jsonl") as journal:
        journal.append({"kind": "experiment", "format": FORMAT, "name": "x", "settings": settings})
        for record in results:
            journal.append(record)
    write_report([directory], directory / "report.html")
    return (directory / "report.html").read_text()


def rows(html: str) -> list[list[str]]:
    lines = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [re.findall(r"<td>(.*?)</td>", line) for line in lines]


def test_stopped_children_are_counted_and_not_among_the_best(tmp_path):
    cut = {"stopped": True, "history": [[1, 0.9]]}
    results = [
        result(0, 0.4, 5), result(1, 0.9, 1, **cut), result(2, 0.6, 5), result(3, 0.3, 2, **cut),
        result(4, 0.9, 1, duplicate_of=1, **cut),
    ]  # fmt: skip
    found = rows(page(tmp_path / "stopped", *results))
    assert ["stopped early", "2"] in found
    assert ["epochs trained", "13"] in found and ["epochs spared", "7"] in found
    assert [row[0] for row in found if row and row[0].startswith("trial ")] == [
        "trial 2",
        "trial 0",
    ]


def test_where_none_is_stopped_the_page_does_not_speak_of_it(tmp_path):
    assert "stopped early" not in page(tmp_path / "whole", result(0, 0.4, 5), result(1, 0.5, 5))


def test_the_command_tells_how_many_were_stopped(tmp_path):
    found = [(Evaluation(0.9, epochs=4), None), (Evaluation(0.1, epochs=1, stopped=True), None)]
    found.append((found[1][0], 1))
    network = PUBLISHED["efficientnet-b0"]
    results = {
        number: Result(
            Trial(
                number,
                np.zeros(1, int),
                network,
                network.canonical_hash(),
                network_cost(network),
                number,
            ),
            evaluation,
            evaluation.accuracy,
            duplicate_of,
        )
        for number, (evaluation, duplicate_of) in enumerate(found)
    }
    finished = SimpleNamespace(results=results, config=digits.EXPERIMENT.search)
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    print_summary(digits.EXPERIMENT, finished, tmp_path, console)
    assert "best: trial 0, reward 0.9000" in shown.getvalue()
    expected = "3 trials, 2 networks evaluated, 1 stopped early, which saved 3 of 8 epochs"
    assert expected in shown.getvalue()
