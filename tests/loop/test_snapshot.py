"""A search resumed with a snapshot of the controller's state equals the one without."""

import functools
import os
import shutil

import jax
import numpy as np
import pytest

from mnas.controllers.dyna import Dyna
from mnas.controllers.evolution import Evolution
from mnas.controllers.reinforce import Reinforce
from mnas.files import ArrayFile, write_arrays
from mnas.loop import snapshot
from mnas.loop.config import SearchConfig
from mnas.loop.journal import Journal, read
from mnas.loop.search import Search
from mnas.loop.snapshot import Snapshots
from tests.loop.searches import (
    ACCURACY,
    accuracy,
    evaluate,
    facts,
    finish,
    hashing,
    scripted,
    tiny_space,
)

TRIALS, BATCH, CUT = 28, 4, 14  # The cut is within the fourth batch.
# Of 90 networks, so that few proposals are duplicates.
LARGE = tiny_space(tuple(range(3, 63, 2)))
SMALL_DYNA = Dyna(members=4, steps=2, samples=4, candidates=16, observations=16)
CONFIGS = {
    "dyna": SMALL_DYNA,
    "reinforce": Reinforce(),
    "evolution": Evolution(population=6, tournament=2),
}
# Settings under which the tests of files run a controller that compiles nothing, and whose
# proposals depend on every bit of its state.
HASHING = Evolution(population=7, tournament=2)


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


@pytest.fixture
def due(monkeypatch):
    """Have a snapshot written after every update."""
    monkeypatch.setattr(snapshot, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(snapshot, "LEAST_RATIO", 0.0)


@functools.cache
def built(config):
    """Build each controller once, since compiling takes seconds."""
    return hashing() if config == HASHING else config.build(LARGE)


def search_on(path, config, controller=None, trials=TRIALS, with_snapshots=True):
    """Return a search, and a list to which each update that is computed adds an item."""
    updates = []
    controller = controller or built(config)

    def tell(*arguments):
        updates.append(len(updates))
        return controller.tell(*arguments)

    journal = Journal(path)
    kept = Snapshots(journal, config) if with_snapshots else None
    counted = controller._replace(tell=tell)
    settings = SearchConfig(trials=trials, batch=BATCH, seed=3, failed_batches=0)
    return Search(LARGE, counted, ACCURACY, settings, journal, (), kept), updates


def ended(search):
    """Finish and close a search; return its state's leaves as bytes."""
    finish(search)
    search.journal.close()
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(search.state)]


@pytest.fixture
def whole(tmp_path):
    """Return a function from settings to the facts and final state of the uninterrupted search."""

    def run(config):
        path = tmp_path / "whole.jsonl"
        state = ended(search_on(path, config, with_snapshots=False)[0])
        return facts(path), state

    return run


@pytest.fixture
def interrupted(tmp_path, due):
    """Return a function from settings to the journal of a search that ended after CUT results."""

    def run(config, name="journal"):
        path = tmp_path / f"{name}.jsonl"
        search, _ = search_on(path, config)
        while len(search.results) < CUT:
            while (trial := search.ask()) is not None and len(search.results) < CUT:
                search.tell(trial, evaluate(trial))
        search.journal.close()
        assert CUT // BATCH <= search.batches_done < 6 and kept_at(path).exists()
        return path

    return run


def kept_at(path):
    return path.with_name(f"{path.stem}.snapshot.npz")


def test_resumed_search_is_equal_with_and_without_snapshot(config, whole, interrupted, tmp_path):
    expected = whole(config)
    path = interrupted(config)
    without = tmp_path / "without.jsonl"
    shutil.copy(path, without)
    done = sum(record.kind == "update" for record in read(path))
    for journal, spared in ((path, done), (without, 0)):
        search, updates = search_on(journal, config)
        state = ended(search)
        assert (facts(journal), state) == expected
        assert len(updates) == 7 - spared


def test_snapshot_of_an_earlier_update_spares_the_updates_before_it(whole, interrupted):
    path = interrupted(HASHING)
    early = kept_at(path).read_bytes()
    ended(search_on(path, HASHING)[0])
    kept_at(path).write_bytes(early)
    search, updates = search_on(path, HASHING)
    assert search.done and len(updates) == 7 - 3
    state = ended(search)
    assert (facts(path), state) == whole(HASHING)


def test_resuming_at_a_snapshot_leaves_journal_and_records_unchanged(interrupted):
    path = interrupted(HASHING)
    before = path.read_bytes()
    search, updates = search_on(path, HASHING)
    search.journal.close()
    assert not updates and path.read_bytes() == before and search.batches_done == 3


# --- snapshots that don't match ---


def _remove(kept):
    kept.unlink()


def _empty(kept):
    kept.write_bytes(b"")


def _truncate(kept):
    kept.write_bytes(kept.read_bytes()[:-40])


def _pipe(kept):
    kept.unlink()
    os.mkfifo(kept)


def _directory(kept):
    kept.unlink()
    kept.mkdir()


def _changed(kept, **arrays):
    file = ArrayFile(kept)
    write_arrays(kept, {**{name: file.read(name) for name in file.names}, **arrays})


def _other_state(kept):
    _changed(kept, **{"0": ArrayFile(kept).read("0") + 1})


def _other_record(kept):
    _changed(kept, record=np.array(int(ArrayFile(kept).read("record")) - BATCH - 2))


def _record_beyond_the_end(kept):
    _changed(kept, record=np.array(10**6))


def _negative_record(kept):
    _changed(kept, record=np.array(-1))


def _other_shape(kept):
    _changed(kept, **{"0": np.zeros((2, 2), np.float32)})


def _additional_array(kept):
    _changed(kept, more=np.zeros(1))


def _huge(kept):
    arrays = {name: ArrayFile(kept).read(name) for name in ArrayFile(kept).names}
    np.savez_compressed(kept, **{**arrays, "0": np.zeros(20_000_000)})


DAMAGES = [
    *(_remove, _empty, _truncate, _pipe, _directory, _other_state, _other_record),
    *(_record_beyond_the_end, _negative_record, _other_shape, _additional_array, _huge),
]


def assert_replayed(path, config, expected):
    """Check that a resumed search repeats all updates, and equals the uninterrupted one."""
    search, updates = search_on(path, config)
    state = ended(search)
    assert len(updates) == 7
    assert (facts(path), state) == expected


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_snapshot_is_ignored(damage, whole, interrupted):
    path = interrupted(HASHING)
    damage(kept_at(path))
    assert_replayed(path, HASHING, whole(HASHING))


def test_no_changed_byte_of_a_snapshot_changes_the_search(interrupted):
    path = interrupted(HASHING)
    written = kept_at(path).read_bytes()
    with Journal(path) as journal:
        initial = hashing().init(jax.random.key(0))
        good, updates = Snapshots(journal, HASHING).restore(initial)
        assert updates == 3
        for position in range(0, len(written), 7):
            changed = bytearray(written)
            changed[position] ^= 1 << position % 8
            kept_at(path).write_bytes(changed)
            restored = Snapshots(journal, HASHING).restore(initial)
            # Some bytes of an archive have no meaning.
            if restored is not None:
                assert restored[1] == 3
                jax.tree.map(np.testing.assert_array_equal, restored[0], good)


def test_snapshot_of_another_journal_is_ignored(whole, interrupted, tmp_path):
    path = interrupted(HASHING)
    other = tmp_path / "other.jsonl"
    search, _ = search_on(other, HASHING)
    finish(search, evaluate=lambda trial: accuracy(0.25))
    search.journal.close()
    shutil.copy(kept_at(other), kept_at(path))
    assert_replayed(path, HASHING, whole(HASHING))


def test_snapshot_of_a_controller_with_other_settings_is_ignored(interrupted):
    path = interrupted(HASHING)
    other = Evolution(population=7, tournament=3)
    search, updates = search_on(path, other, hashing())
    search.journal.close()
    assert len(updates) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user_key", lambda: b"l" * 32),  # written by another user
        ("user_key", lambda: None),
        ("package_versions", lambda: ("jax 0.0.1",)),
        ("processor_features", lambda: ("another processor",)),
        ("_sources", lambda kind: "other sources"),
        ("_sources", lambda kind: None),
    ],
)
def test_snapshot_of_another_origin_is_ignored(name, value, whole, interrupted, monkeypatch):
    path = interrupted(HASHING)
    monkeypatch.setattr(snapshot, name, value)
    assert_replayed(path, HASHING, whole(HASHING))


# --- writing ---


def test_short_search_writes_no_snapshot(tmp_path):
    path = tmp_path / "journal.jsonl"
    ended(search_on(path, HASHING)[0])
    assert not kept_at(path).exists()


def test_snapshot_is_written_once_updates_took_long(tmp_path, monkeypatch):
    with Journal(tmp_path / "journal.jsonl") as journal:
        kept = Snapshots(journal, HASHING)
        state = hashing().init(jax.random.key(0))
        kept.restore(state)
        for seconds, written in ((100.0, False), (1.5, False), (0.4, False), (0.2, True)):
            kept.spent(seconds)  # The first one compiles.
            kept.write_if_due(state, *journal.last)
            assert kept.path.exists() == written
        kept.path.unlink()
        kept.spent(1.9)
        kept.write_if_due(state, *journal.last)
        assert not kept.path.exists()


@pytest.mark.parametrize("make", [_pipe, _directory, lambda kept: _link(kept)])
def test_nothing_is_written_through_what_is_no_regular_file(make, interrupted, tmp_path):
    path = interrupted(HASHING)
    (tmp_path / "target").write_text("of somebody else")
    make(kept_at(path))
    ended(search_on(path, HASHING)[0])
    assert not kept_at(path).is_file() or kept_at(path).is_symlink()
    assert (tmp_path / "target").read_text() == "of somebody else"


def _link(kept):
    kept.unlink()
    kept.symlink_to(kept.with_name("target"))


def test_search_goes_on_where_no_snapshot_can_be_written(whole, due, tmp_path, monkeypatch):
    def full(path, arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "write_arrays", full)
    path = tmp_path / "journal.jsonl"
    state = ended(search_on(path, HASHING)[0])
    assert (facts(path), state) == whole(HASHING) and not kept_at(path).exists()


def test_state_that_holds_other_than_plain_arrays_is_not_kept(due, tmp_path):
    path = tmp_path / "journal.jsonl"
    batches = [[[0, 0, 0]] * BATCH] * 7
    ended(search_on(path, HASHING, scripted(*batches))[0])
    for state in ((jax.random.key(0),), (1.0,), (jax.numpy.zeros(2, jax.numpy.bfloat16),)):
        assert snapshot._layout(state) is None
    assert not kept_at(path).exists()


def test_temporary_files_of_killed_writers_are_removed(interrupted, tmp_path):
    path = interrupted(HASHING)
    left = tmp_path / f".{kept_at(path).name}.0123abcd.tmp"
    other = tmp_path / ".report.html.0123abcd.tmp"
    for file in (left, other):
        file.write_bytes(b"incomplete")
    search_on(path, HASHING)[0].journal.close()
    assert not left.exists() and other.exists()
