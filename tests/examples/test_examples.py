"""The notebooks of the tutorials run from the first cell to the last, by Jupyter.

They print what their pages promise. Their code is that of `examples/`, as
`tests/test_docs_notebooks.py` shows.
"""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.engines.searches import facts
from tests.notebooks import execute, script, streams

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = script().notebooks()
# Warnings become errors in this process; those of Jupyter are not ours.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def output(tmp_path, monkeypatch):
    """Return a function that runs the notebook of a tutorial and returns what it prints."""

    def run(name):
        notebook = nbformat.reads(NOTEBOOKS[name], as_version=4)
        printed = streams(execute(notebook, tmp_path, monkeypatch))
        assert "Warning" not in printed["stderr"]
        return printed["stdout"]

    return run


@pytest.fixture
def printed_by_program(tmp_path_factory, monkeypatch, capsys):
    """Return a function that runs an example as a program and returns what it prints."""

    def run(name):
        monkeypatch.chdir(tmp_path_factory.mktemp("program"))
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_the_notebook_of_every_tutorial_is_run_here():
    run = re.findall(r'output\("([a-z-]+)"\)', Path(__file__).read_text())
    assert sorted(run) == sorted(NOTEBOOKS)


def numbers(text):
    return [float(number) for number in re.findall(r"\d+\.?\d*", text)]


def test_own_evaluator_decides_the_reward(output, printed_by_program):
    printed = output("own-evaluator")
    assert printed == printed_by_program("own_evaluator")
    assert "64 trials" in printed
    assert 0.5 < numbers(printed)[1] < 1.5


def test_own_space_counts_networks_and_rejects_others(output, printed_by_program):
    printed = output("own-space")
    assert printed == printed_by_program("own_space")
    # Per stage: 3 kernels × 3 depths × (3 expand ratios of mbconv + 1 of separable).
    assert f"{(3 * 3 * (3 + 1)) ** 3:,} networks" in printed
    assert "active: [ True  True False  True]" in printed
    assert "one network: True" in printed
    assert "resolution = 64 (accepted: 32)" in printed


def test_own_controller_is_better_than_random_search(output):
    climber, random = output("own-controller").splitlines()
    assert climber.startswith("HillClimber") and random.startswith("RandomSearch")
    assert numbers(climber)[0] > numbers(random)[0]


def test_budgets_are_kept_and_larger_ones_give_more_accuracy(output):
    rows = [numbers(line) for line in output("budgets").splitlines()]
    assert [budget for budget, *_ in rows] == [200, 300, 400]
    assert all(0.9 * budget < mult_adds <= budget for budget, mult_adds, *_ in rows)
    accuracies = [accuracy for *_, accuracy, _ in rows]
    assert accuracies == sorted(accuracies)


def test_latency_is_the_cost_of_each_device(output):
    lines = output("latency").splitlines()
    assert [line.split(":")[0] for line in lines] == ["zcu102", "vck190"]
    for line in lines:
        latency, target = numbers(line.split(":")[1])[:2]
        assert 0.5 * target < latency < 2 * target


def test_a_killed_search_ends_as_the_undisturbed_one(output):
    printed = output("resume-and-rescore")
    assert "the same search: True" in printed
    assert re.search(r"killed after \d+ results", printed)
    costs = [float(cost) for cost in re.findall(r", (\d+)M mult-adds", printed)]
    assert costs[0] > costs[1]  # of a larger and a smaller target


def test_noise_biases_the_highest_accuracy_upwards(output):
    luckiest, exported, again = output("noise").splitlines()
    _, measured, exact = numbers(luckiest)
    assert measured > exact + 0.01
    assert exported.startswith("exported: trial")
    mean, half = numbers(again)[1:3]
    assert abs(mean - numbers(exported)[2]) < 3 * half


@pytest.mark.slow
@pytest.mark.parametrize("form", ["notebook", "program"])
def test_a_killed_node_changes_no_line_of_the_journal(form, output, tmp_path):
    if form == "notebook":
        printed = output("many-machines")
    else:  # in a process of its own, whose main module holds the evaluator
        program = [sys.executable, str(EXAMPLES / "many_machines.py")]
        done = subprocess.run(program, cwd=tmp_path, check=True, capture_output=True, text=True)
        printed = done.stdout
    assert "48 trials, 0 failed, 1 node killed\nthe same search: True\n" in printed
    journals = [tmp_path / "runs" / name / "journal.jsonl" for name in ("killed", "undisturbed")]
    killed, undisturbed = map(facts, journals)
    assert len(killed) > 48 and killed == undisturbed


def test_own_data_give_the_classes_of_the_space(output):
    printed = output("own-data")
    assert printed.startswith("3 classes, 8 trials\nbest: accuracy ")
    assert numbers(printed)[2] > 0.5  # 1/3 by chance
