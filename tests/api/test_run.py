"""Figures of a run, and a search as programs and notebooks call it."""

import nbformat
import pytest

import mnas
from mnas.api.run import Run, load_run
from mnas.api.search import search
from mnas.errors import UsageError
from mnas.loop.records import ResultRecord
from tests.notebooks import execute
from tests.registered import register
from tests.runs import proposals, result, write_run
from tests.studies import RANDOM


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return search(RANDOM, tmp_path_factory.mktemp("runs") / "run")


def test_figures_are_those_of_the_report(run):
    assert isinstance(run, mnas.Run) and isinstance(run, Run)
    assert {"front", "rewards", "hypervolume", "decisions"} <= set(run.plots)
    for plot in (run.plot_front(), run.plot_rewards(), run.plot_decisions()):
        assert plot == run.plots[plot.chart.name] and plot.spec["title"]["text"]
    assert [row["trial"] for row in run.plot_front().spec["datasets"]["trials"]] == [*range(8)]


def test_a_run_is_named_in_one_line(run):
    reward = run.best.reward
    assert (
        repr(run) == f"<Run of b0-imagenet in {run.directory}: 8 trials, best reward {reward:.4f}>"
    )


def test_a_figure_that_the_trials_do_not_give_is_a_usage_error(run, tmp_path):
    with pytest.raises(UsageError, match="unknown figure of this run 'time'; accepted: front"):
        run.plot_time()
    failed = [proposals([[0]]), result(0, 0.0, accuracy=None, error="lost")]
    with pytest.raises(UsageError, match="no evaluation has succeeded"):
        load_run(write_run(tmp_path, failed)).plot_rewards()


def test_the_best_network_is_drawn_beside_the_reference(run, tmp_path):
    drawing = run.draw()
    run.draw().save(tmp_path / "best.svg")
    assert (tmp_path / "best.svg").read_text() == drawing._repr_svg_() + "\n"
    assert drawing.svg.startswith("<svg") and "efficientnet-b0" in drawing.svg
    assert repr(drawing).startswith("<Drawing: ") and len(repr(drawing)) < 50
    with pytest.raises(UsageError, match=r"best.png: accepted: a file named \*.svg"):
        drawing.save("best.png")
    with pytest.raises(UsageError, match="can't be written: No such file"):
        drawing.save(tmp_path / "missing" / "best.svg")
    failed = [proposals([[0]]), result(0, 0.0, accuracy=None, error="lost")]
    with pytest.raises(UsageError, match="no evaluation has succeeded, so there is no network"):
        load_run(write_run(tmp_path, failed)).draw()


def test_progress_is_told_by_the_log(tmp_path, caplog):
    with caplog.at_level("INFO", "mnas"):
        search(RANDOM, tmp_path / "run")
        assert [line.split()[0] for line in caplog.messages] == ["4/8", "8/8"]
        caplog.clear()
        search(RANDOM, tmp_path / "silent", progress=False)
    assert caplog.messages == []


def test_a_notebook_has_a_display(tmp_path, monkeypatch):
    shown = []

    class Progress:
        def __init__(self, accuracy):
            shown.append(accuracy)

        def follow(self, opened):
            return self

        def __enter__(self):
            return self

        def __exit__(self, *_):
            shown.append("end")

        def __call__(self, record):
            shown.append(type(record))

    monkeypatch.setattr("mnas.api.search.in_notebook", lambda: True)
    monkeypatch.setattr("mnas.api.search.NotebookProgress", Progress)
    search(RANDOM, tmp_path / "run")
    assert shown[0] == "predicted" and shown[-1] == "end" and shown.count(ResultRecord) == 8
    shown.clear()
    search(RANDOM, tmp_path / "silent", progress=False)
    assert not shown


def test_a_search_is_tracked(tmp_path, monkeypatch):
    records = []

    class Tracker:
        id = address = "here"

        def __init__(self, search):
            pass

        def __call__(self, record):
            records.append(record)

        def close(self, done):
            records.append(done)

    register(monkeypatch, "tracker", "own", Tracker)
    search(RANDOM, tmp_path / "run", track=["own"])
    assert sum(isinstance(record, ResultRecord) for record in records) == 8 and records[-1] is True
    with pytest.raises(UsageError, match="unknown tracker 'owm'"):
        search(RANDOM, tmp_path / "other", track=["owm"])
    assert not (tmp_path / "other").exists()


def test_a_search_and_its_figures_leave_matplotlib_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"axes.facecolor": "black", "font.size": 40})

    def state():
        return dict(plt.rcParams), plt.get_backend(), plt.isinteractive(), plt.get_fignums()

    before = state()
    for plot in search(RANDOM, tmp_path / "run").plots.values():
        plot._repr_html_()
    assert state() == before
    plt.rcdefaults()


@pytest.mark.filterwarnings("ignore")  # of Jupyter
def test_a_notebook_shows_progress_and_figures(tmp_path, monkeypatch):
    code = [
        'import mnas; run = mnas.search("b0-imagenet", out="run", trials=32)',
        "run.plot_front()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in code])
    execute(notebook, tmp_path, monkeypatch)
    (progress,), (figure,) = (cell.outputs for cell in notebook.cells)
    assert progress.data["text/plain"].startswith("32/32 trials · best 0.")
    assert figure.data["text/html"].startswith("<figure")
