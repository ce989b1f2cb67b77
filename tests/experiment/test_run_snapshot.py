"""A run keeps the state of its controller, and a resumed one takes it from there."""

import dataclasses

from mnas.controllers.evolution import Evolution
from mnas.engines.config import EngineConfig
from mnas.experiment import run
from mnas.experiments.b0_imagenet import EXPERIMENT
from mnas.loop import snapshot
from mnas.loop.search import Search


def test_resumed_run_computes_no_update_again(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(snapshot, "LEAST_RATIO", 0.0)
    experiment = dataclasses.replace(
        EXPERIMENT,
        controller=Evolution(population=8, tournament=2),
        search=dataclasses.replace(EXPERIMENT.search, trials=24, batch=8),
        engine=EngineConfig(kind="inline"),
    )
    run.create(experiment, tmp_path)
    with run.opened(experiment, tmp_path) as search:
        run.drive(experiment, search)
    assert (tmp_path / "journal.snapshot.npz").exists()

    def opened_again() -> tuple[Search, list[float]]:
        seconds: list[float] = []
        monkeypatch.setattr(snapshot.Snapshots, "spent", lambda _, spent: seconds.append(spent))
        with run.opened(experiment, tmp_path) as search:
            return search, seconds

    with_snapshot, computed = opened_again()
    assert not computed
    (tmp_path / "journal.snapshot.npz").unlink()
    without, computed = opened_again()
    assert len(computed) == without.batches_done == with_snapshot.batches_done == 3
    assert without.results.keys() == with_snapshot.results.keys()
    for name in without.state._fields:
        kept, replayed = getattr(with_snapshot.state, name), getattr(without.state, name)
        assert kept.tolist() == replayed.tolist()
