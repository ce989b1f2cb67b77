"""Progress of a search in a notebook: one display that is updated, without widgets."""

import html
import sys
import time
from typing import Any

from mnas.loop.records import Record, RemeasuredRecord, RemeasureRecord, ResultRecord, UpdateRecord
from mnas.loop.search import Search
from mnas.reports.text import short_count
from mnas.reports.time_left import TimeLeft

UPDATE_SECONDS = 0.5  # between updates within a batch


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook. Imports nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookProgress:
    """Observer of a search that shows its progress; use it as a context manager around the run.

    accuracy  what an accuracy is called: "predicted" where it is a prediction

    Its last state remains in the notebook.
    """

    def __init__(self, accuracy: str = "accuracy") -> None:
        self._accuracy = accuracy
        self._search: Search | None = None
        self._failed = 0
        self._left = TimeLeft(0)
        self._handle: Any = None
        self._shown = 0.0  # time of the last update

    def follow(self, search: Search) -> "NotebookProgress":
        """Begin with a search, new or resumed; records before this call are ignored."""
        self._search = search
        evaluations = [result.evaluation for result in search.results.values()]
        self._failed = sum(evaluation.error is not None for evaluation in evaluations)
        self._left = TimeLeft(search.trials, len(search.results))
        return self

    def prepare(self, done: int, total: int, line: str) -> None:
        """Show the progress of what the evaluator needs before the first trial."""
        self._show(done, total, f"preparing: {line}", at_once=done == total)
        if done == total and self._search is not None:
            self._left = TimeLeft(self._search.trials, len(self._search.results))

    def __enter__(self) -> "NotebookProgress":
        return self

    def __exit__(self, *_: object) -> None:
        self._show_search(at_once=True)

    def __call__(self, record: Record) -> None:
        search = self._search
        if search is None:
            return
        if isinstance(record, ResultRecord):
            self._failed += record.error is not None
        if isinstance(record, ResultRecord | UpdateRecord):
            self._left.note(len(search.results))
            self._show_search(at_once=isinstance(record, UpdateRecord))
        elif isinstance(record, RemeasureRecord | RemeasuredRecord):
            self._show_search(at_once=not search.rounds.missing())

    def _show_search(self, at_once: bool) -> None:
        search = self._search
        if search is None:
            return
        done, total = len(search.results), search.trials
        parts = [f"{done:,}/{total:,} trials"]
        if found := search.best:
            parts.append(
                f"best {found.reward:.4f}: {self._accuracy} {found.evaluation.accuracy:.3f}, "
                f"{short_count(found.cost.mult_adds)} mult-adds"
            )
        parts += [f"failed {self._failed}"] if self._failed else []
        parts += [self._left.text()] if done < total else []
        if search.rounds.all:
            last, missing = search.rounds.all[-1], len(search.rounds.missing())
            of_round = len(last.trials) * last.seeds
            parts.append(f"measured again {of_round - missing:,}/{of_round:,}")
        self._show(done, total, " · ".join(filter(None, parts)), at_once)

    def _show(self, done: int, total: int, text: str, at_once: bool) -> None:
        """Show a bar with a line, at most every `UPDATE_SECONDS` unless at once."""
        if not at_once and time.monotonic() - self._shown < UPDATE_SECONDS:
            return
        from IPython.display import display

        self._shown = time.monotonic()
        bar = f'<progress value="{done}" max="{total}" style="width: 14em"></progress>'
        content = {"text/plain": text, "text/html": f"{bar} {html.escape(text)}"}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
