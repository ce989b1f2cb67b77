"""Progress in a notebook: what is displayed, and when."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from mnas.controllers.random_search import RandomSearch
from mnas.evaluation import Evaluation, failure
from mnas.loop.config import SearchConfig
from mnas.loop.journal import Journal
from mnas.loop.remeasuring import Remeasuring
from mnas.loop.search import Search
from mnas.reports import notebook_progress
from mnas.reports.notebook_progress import NotebookProgress, in_notebook
from mnas.reward import RewardConfig
from mnas.search_spaces.efficientnet import EfficientNetSpace

OUTCOMES = [failure("lost"), Evaluation(0.3), Evaluation(0.5), Evaluation(0.4)]


@pytest.fixture
def shown(monkeypatch):
    """Return what IPython displays: one list of updates for each display."""
    displays = []

    def display(content, raw, display_id):
        assert raw and display_id
        updates = [content]
        displays.append(updates)
        return SimpleNamespace(update=lambda content, raw: updates.append(content))

    ipython, module = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return displays


def run(path, progress, remeasure=0):
    """Run a search of four trials in batches of two."""
    with Journal(path / "journal.jsonl") as journal:
        space = EfficientNetSpace(resolution=32).build()
        config = SearchConfig(trials=4, batch=2, failed_batches=0, remeasure=remeasure)
        controller = RandomSearch().build(space)
        search = Search(space, controller, RewardConfig(), config, journal, (progress,))
        source = Remeasuring(search)
        with progress.follow(search):
            while (trial := source.ask()) is not None:
                source.tell(trial, OUTCOMES[trial.number % 4])


def test_one_display_has_the_counts_and_the_best(shown, tmp_path):
    run(tmp_path, NotebookProgress("predicted"))
    (updates,) = shown
    last = updates[-1]["text/plain"]
    assert last.startswith("4/4 trials · best ") and last.endswith(" · failed 1")
    assert "predicted 0." in last and " mult-adds" in last
    assert '<progress value="4" max="4"' in updates[-1]["text/html"]
    # The first result, each batch and the end; the other results came within half a second.
    assert [update["text/plain"][:3] for update in updates] == ["1/4", "2/4", "4/4", "4/4"]


def test_every_result_is_shown_where_they_take_longer(shown, tmp_path, monkeypatch):
    monkeypatch.setattr(notebook_progress, "UPDATE_SECONDS", 0.0)
    run(tmp_path, NotebookProgress())
    starts = [update["text/plain"][:3] for update in shown[0]]
    assert list(dict.fromkeys(starts)) == ["1/4", "2/4", "3/4", "4/4"]


def test_further_measurements_are_counted(shown, tmp_path):
    run(tmp_path, NotebookProgress(), remeasure=2)
    assert shown[0][-1]["text/plain"].endswith("failed 1 · measured again 6/6")


def test_preparation_is_shown_and_its_text_escaped(shown, tmp_path):
    progress = NotebookProgress()
    progress.prepare(1, 3, "bank <1>")
    progress.prepare(2, 3, "bank <2>")
    progress.prepare(3, 3, "bank <3>")
    (updates,) = shown
    assert [u["text/plain"] for u in updates] == ["preparing: bank <1>", "preparing: bank <3>"]
    assert updates[-1]["text/html"].endswith(" preparing: bank &lt;3&gt;")


def test_only_the_kernel_of_a_notebook_is_one(shown, monkeypatch):
    assert in_notebook()
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: SimpleNamespace())
    assert not in_notebook()  # IPython on a terminal
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()
