"""Warm-up: afterwards no child of the space compiles anything."""

import concurrent.futures
import multiprocessing
import os
import types
from functools import partial

import pytest

from mnas.data.images import DataConfig
from mnas.engines.config import EngineConfig
from mnas.engines.environment import process_environment
from mnas.evaluation import evaluate_safely
from mnas.evaluators.proxy import ProxyConfig
from mnas.preparation.space_blocks import space_blocks
from mnas.preparation.warmup import LostWorker, compile_ahead
from mnas.runtime.compile_stats import Compilations
from mnas.training.config import TrainingConfig
from tests.preparation.spaces import TINY

# With all settings that add programs, or arguments to them.
PROXY = ProxyConfig(
    data=DataConfig(train_images=32, validation=20),
    training=TrainingConfig(
        epochs=1,
        batch_size=16,
        ema_decay=0.9,
        drop_path=0.2,
        dropout=0.2,
        flip=True,
        crop_padding=1,
        calibration_batches=2,
    ),
    measure_latency=True,
)
ENGINE = EngineConfig(workers=2)


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """Blocks of the tiny space compiled into a cache, compilations by block, and the total."""
    by_block: list[Compilations] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        blocks, _ = space_blocks(TINY)
        total = compile_ahead(blocks, PROXY, ENGINE, by_block.append)
        yield blocks, by_block, total


def test_children_compile_nothing_after_a_warm_up(warm):
    blocks, by_block, total = warm
    assert len(by_block) == len(blocks)
    assert total.compiles > 4 * (len(blocks) - 1)
    children = [TINY.decode([a, b]) for a in (0, 1) for b in (0, 1)]
    context = multiprocessing.get_context("spawn")
    # In a new process, as an engine starts it.
    with process_environment(ENGINE), concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        evaluations = list(pool.map(partial(evaluate_safely, PROXY.build()), children, range(4)))
    assert [evaluation.error for evaluation in evaluations] == [None] * len(children)
    timings = [evaluation.timings for evaluation in evaluations]
    assert [t["compiles"] for t in timings] == [0] * len(children)
    assert timings[0]["cache_reads"] > 10
    assert sum(t["cache_reads"] for t in timings) == total.compiles - len(blocks)  # but latency's


def test_a_second_warm_up_reads_all_programs_from_the_cache(warm):
    blocks, _, total = warm
    again = compile_ahead(blocks[:1], PROXY, ENGINE)
    assert again.compiles == 0
    assert 0 < again.cache_reads < total.compiles


def test_an_error_in_a_compiling_process_is_raised():
    blocks, _ = space_blocks(TINY)
    with pytest.raises(ValueError, match=r"nowhere\.npz: no such file"):
        compile_ahead(blocks[:1], ProxyConfig(data=DataConfig(source="nowhere.npz")), ENGINE)


def unbuildable():
    raise RuntimeError("no licence for this simulator")


def test_an_exception_of_an_evaluators_build_is_raised():
    blocks, _ = space_blocks(TINY)
    config = types.SimpleNamespace(build=unbuildable)
    with pytest.raises(RuntimeError, match=r"^no licence for this simulator$") as raised:
        compile_ahead(blocks[:1], config, ENGINE)
    assert "unbuildable" in str(raised.value.__cause__)  # the traceback in the process


def test_a_killed_process_is_reported_in_one_line(monkeypatch):
    blocks, _ = space_blocks(TINY)
    monkeypatch.setattr("mnas.preparation.warmup.available_bytes", lambda: 1 << 40)
    dies = types.SimpleNamespace(build=partial(os._exit, 9))
    monkeypatch.setattr("mnas.preparation.warmup.usable_cores", lambda: 2)
    with pytest.raises(
        LostWorker, match=r"^one of 2 compiling processes was killed.*--engine\.workers 1 "
    ):
        compile_ahead(blocks, dies, ENGINE)


def test_no_more_processes_start_than_fit_into_memory(monkeypatch):
    blocks, _ = space_blocks(TINY)
    monkeypatch.setattr("mnas.preparation.warmup.available_bytes", lambda: 1 << 29)
    dies = types.SimpleNamespace(build=partial(os._exit, 9))
    with pytest.raises(LostWorker, match=r"^one of 1 compiling processes .*0\.5 GiB"):
        compile_ahead(blocks, dies, ENGINE)
