"""After a warm-up no child of the space compiles anything; its blocks are all there are."""

import concurrent.futures
import itertools
import multiprocessing
import os
import types
from functools import partial

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.signatures import block_keys
from mnas.data.images import DataConfig
from mnas.engines.config import EngineConfig
from mnas.engines.environment import child_environment, process_environment
from mnas.evaluation import evaluate_safely
from mnas.evaluators.proxy import ProxyConfig
from mnas.nn.network import block_shapes, network_blocks
from mnas.preparation.space_blocks import space_blocks
from mnas.preparation.warmup import LostWorker, compile_ahead
from mnas.runtime.compile_stats import Compilations
from mnas.space import OneOf, Space
from mnas.training.config import TrainingConfig

TINY = Space(
    "tiny",
    partial(
        Architecture,
        resolution=8,
        classes=10,
        stem=4,
        head=8,
        blocks=(
            partial(Block, kernel=3, stride=2, filters=OneOf(4, 8)),
            partial(Block, kernel=3, stride=1, filters=8, repeats=OneOf(1, 2)),
        ),
    ),
)
# With everything that adds programs, or arguments to them.
PROXY = ProxyConfig(
    data=DataConfig(train_images=32, validation=20),
    training=TrainingConfig(
        **{"epochs": 1, "batch_size": 16, "ema_decay": 0.9, "drop_path": 0.2, "dropout": 0.2},
        **{"flip": True, "crop_padding": 1, "calibration_batches": 2},
    ),
    measure_latency=True,
)
ENGINE = EngineConfig(workers=2)


def shared_and_open() -> Space:
    """Everything a block may depend on is open; one choice stands in two places."""
    cell = OneOf("identity", "pool", "none")
    return Space(
        "open",
        partial(
            Architecture,
            resolution=OneOf(16, 32),
            blocks=(
                partial(
                    Block,
                    op=OneOf("mbconv", "conv"),
                    kernel=3,
                    expand_ratio=OneOf(1, 3, when={"op": ("mbconv",)}),
                    stride=OneOf(1, 2),
                    filters=OneOf(16, 32),
                    skip=cell,
                ),
                Block(kernel=3, stride=1, filters=24),
                OneOf(Block(kernel=3, stride=1, filters=24), Block(kernel=5, stride=2, filters=32)),
                partial(Block, kernel=3, stride=1, filters=32, repeats=OneOf(1, 2), skip=cell),
            ),
            activation=OneOf("swish", "relu"),
        ),
    )


def whole_choice() -> Space:
    stages = [(Block(kernel=k, stride=2, filters=16),) for k in (3, 5)]
    return Space("whole", partial(Architecture, resolution=32, blocks=OneOf(*stages)))


@pytest.mark.parametrize("space", [TINY, shared_and_open(), whole_choice()], ids=lambda s: s.name)
def test_the_blocks_are_those_of_all_networks(space, monkeypatch):
    monkeypatch.setattr("mnas.preparation.space_blocks.SAMPLES", 1)  # chance shall not find them
    blocks, complete = space_blocks(space)
    found = [block_keys(block.architecture)[block.index] for block in blocks]
    vectors = map(np.array, itertools.product(*map(range, space.sizes)))
    every = {key for vector in vectors for key in block_keys(space.decode(vector))}
    assert complete
    assert len(found) == len(set(found))
    assert set(found) == every


def test_keys_are_equal_where_modules_are():
    base = Architecture(
        (
            Block(kernel=3, stride=1, filters=32, repeats=2),
            Block(kernel=3, stride=2, filters=32, op="basic", skip="projection"),
        ),
        resolution=32,
    )
    changes = ("stem_kernel", 7), ("stem_pool", True), ("padding", "symmetric"), ("head", 0)
    changes += ("bn_epsilon", 1e-5), ("activation", "relu6"), ("classes", 7), ("stem", 16)
    keys, modules = {}, {}
    for changed in [base, *(base.replace(**{field: value}) for field, value in changes)]:
        places = zip(block_keys(changed), network_blocks(changed), strict=True)
        shape = (1, changed.resolution, changed.resolution, 3)
        for index, (key, (_, module)) in enumerate(places):
            keys[changed, index], modules[changed, index] = key, (module, shape)
            shape = block_shapes(module, shape)[1]
    assert len(set(keys.values())) == len(set(modules.values())) > 12
    assert len(set(zip(keys.values(), modules.values(), strict=True))) == len(set(keys.values()))


def test_blocks_come_by_how_often_they_are_used():
    blocks, _ = space_blocks(TINY)
    uses = [block.uses for block in blocks]
    assert uses == sorted(uses, reverse=True)
    assert sum(uses) == pytest.approx(1)
    # Every network has a stem and a head; and, on average, one layer from 8 to 8 filters: the first
    # of the last stage in half of the networks, the second in half.
    assert uses[:3] == pytest.approx([1 / 4.5] * 3, abs=0.02)
    assert uses[3:] == pytest.approx([0.5 / 4.5] * 3, abs=0.02)  # both first stages; from 4 to 8


def test_a_stage_with_too_many_choices_is_sampled():
    blocks, complete = space_blocks(shared_and_open(), most=5)
    assert not complete
    assert blocks


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """The cache of the tiny space, compiled ahead, and what `compile_ahead` told."""
    told: list[Compilations] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        blocks, _ = space_blocks(TINY)
        total = compile_ahead(blocks, PROXY, ENGINE, told.append)
        yield blocks, told, total


def test_children_compile_nothing_afterwards(warm):
    blocks, told, total = warm
    assert len(told) == len(blocks)
    assert total.compiles > 4 * (len(blocks) - 1)
    children = [TINY.decode([a, b]) for a in (0, 1) for b in (0, 1)]
    context = multiprocessing.get_context("spawn")
    # A new process, such as engines start.
    with process_environment(ENGINE), concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        evaluations = list(pool.map(partial(evaluate_safely, PROXY.build()), children, range(4)))
    assert [evaluation.error for evaluation in evaluations] == [None] * len(children)
    timings = [evaluation.timings for evaluation in evaluations]
    assert [t["compiles"] for t in timings] == [0] * len(children)
    assert timings[0]["cache_reads"] > 10
    assert sum(t["cache_reads"] for t in timings) == total.compiles - len(blocks)  # but latency's


def test_a_second_warm_up_finds_all_in_the_cache(warm):
    blocks, _, total = warm
    again = compile_ahead(blocks[:1], PROXY, ENGINE)
    assert again.compiles == 0
    assert 0 < again.cache_reads < total.compiles


def test_the_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("NPROC", "7")
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with process_environment(ENGINE):
        inside = {name: os.environ.get(name) for name in child_environment(ENGINE)}
    assert inside == child_environment(ENGINE)
    assert os.environ["NPROC"] == "7"
    assert "MALLOC_TRIM_THRESHOLD_" not in os.environ


def test_what_goes_wrong_in_a_worker_is_raised_here():
    blocks, _ = space_blocks(TINY)
    with pytest.raises(ValueError, match=r"no file nowhere\.npz"):
        compile_ahead(blocks[:1], ProxyConfig(data=DataConfig(source="nowhere.npz")), ENGINE)


def test_a_killed_process_is_named_and_told_of_in_one_line(monkeypatch):
    blocks, _ = space_blocks(TINY)
    monkeypatch.setattr("mnas.runtime.machine.available_bytes", lambda: 1 << 40)
    dies = types.SimpleNamespace(build=partial(os._exit, 9))
    monkeypatch.setattr("mnas.preparation.warmup.os.cpu_count", lambda: 2)
    with pytest.raises(LostWorker, match=r"^one of 2 processes .* killed.*--engine\.workers 1 "):
        compile_ahead(blocks, dies, ENGINE)


def test_no_more_processes_than_there_is_memory_for(monkeypatch):
    blocks, _ = space_blocks(TINY)
    monkeypatch.setattr("mnas.runtime.machine.available_bytes", lambda: 1 << 29)
    dies = types.SimpleNamespace(build=partial(os._exit, 9))
    with pytest.raises(LostWorker, match=r"^one of 1 processes .*0\.5 GiB"):
        compile_ahead(blocks, dies, ENGINE)
