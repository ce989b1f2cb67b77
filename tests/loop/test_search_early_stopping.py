"""Early stopping within a search: thresholds, the best result, resumption."""

import numpy as np

from mnas.evaluation import Evaluation, evaluate_safely
from mnas.loop.early_stopping import StoppingConfig, StoppingRule
from mnas.loop.journal import read
from mnas.loop.records import ResultRecord
from tests.loop.searches import (
    BATCH,
    TRIALS,
    A,
    B,
    C,
    D,
    E,
    ask_all,
    assert_same,
    facts,
    finish,
    hashing,
    scripted,
)

MEDIAN = StoppingConfig(quantile=0.5, min_curves=4)


def train(trial) -> Evaluation:
    """Return an evaluation of three epochs of rising accuracy, or a failure."""
    number = int(trial.hash, 16)

    def curve(architecture, seed, report=None):
        if number % 5 == 0:
            raise RuntimeError("unlucky")
        final = np.random.default_rng([number, seed]).random()
        for epoch in (1, 2, 3):
            if report is not None and report(epoch, final * epoch / 3) == "stop":
                break
        return Evaluation(final * epoch / 3, epochs=epoch)

    return evaluate_safely(curve, trial.architecture, trial.seed, trial.report)


def history(*accuracies, stopped=False) -> Evaluation:
    curve = tuple(enumerate(accuracies, start=1))
    return Evaluation(accuracies[-1], epochs=len(curve), history=curve, stopped=stopped)


def test_thresholds_come_from_earlier_batches(start):
    batches = [A, B, C], [D, E, A]
    settings = {"trials": 6, "batch": 3, "stopping": StoppingConfig(0.5, min_curves=3)}
    search = start(scripted(*batches), **settings)
    for value, trial in zip((0.3, 0.1, 0.2), ask_all(search), strict=True):
        assert trial.report == StoppingRule()  # Reports history, stops nothing.
        search.tell(trial, history(value, 2 * value))
    first, second = ask_all(search)
    assert first.report == second.report == StoppingRule(((1, 0.2),))
    search.tell(first, history(0.9, 0.95))
    # The same in a search resumed within the batch.
    (again,) = ask_all(start(scripted(*batches), **settings))
    assert (again.number, again.report) == (second.number, second.report)


def test_without_early_stopping_trials_have_no_report_and_no_history(start, tmp_path):
    search = start(scripted([A, B]), trials=2, batch=2)
    for trial in ask_all(search):
        assert trial.report is None
        search.tell(trial, train(trial))
    results = [r for r in read(tmp_path / "journal.jsonl") if isinstance(r, ResultRecord)]
    assert len(results) == 2
    assert all(result.history == () and not result.stopped for result in results)


def test_stopped_child_is_best_only_without_complete_ones(start):
    search = start(scripted([A, B, C], [A]), trials=4, batch=3, stopping=MEDIAN)
    first, second, third = ask_all(search)
    search.tell(first, history(0.9, stopped=True))
    assert search.best.trial.number == 0 and search.best.reward == 0.9
    search.tell(second, history(0.2, 0.3))
    search.tell(third, history(0.1, 0.2))
    assert search.best.trial.number == 1
    search.ask()
    assert search.results[3].evaluation == search.results[0].evaluation  # A duplicate.
    resumed = start(scripted([A, B, C], [A]), trials=4, batch=3, stopping=MEDIAN)
    assert resumed.best.trial.number == 1
    assert [r.evaluation for r in resumed.results.values()] == [
        r.evaluation for r in search.results.values()
    ]


def test_early_stopping_is_the_same_in_any_order_and_after_resuming(start, tmp_path):
    stopping = StoppingConfig(quantile=0.9, min_curves=2)
    settings = {"trials": TRIALS, "batch": BATCH, "failed_batches": 0, "stopping": stopping}
    path = tmp_path / "stopping.jsonl"
    expected = finish(start(hashing(), path=path, **settings), evaluate=train)
    evaluations = [r.evaluation for r in expected.results.values() if r.duplicate_of is None]
    stopped = [evaluation.epochs for evaluation in evaluations if evaluation.stopped]
    assert len(stopped) > 1 and set(stopped) <= {1, 2}
    assert any(e.error for e in evaluations) and expected.best.evaluation.epochs == 3
    lines, reference = path.read_bytes().splitlines(keepends=True), facts(path)
    for count in range(len(lines) + 1):
        cut = tmp_path / "cut.jsonl"
        cut.write_bytes(b"".join(lines[:count]))
        search = start(hashing(), path=cut, **settings)
        assert_same(finish(search, np.random.default_rng(count), train), expected)
        assert facts(cut) == reference
