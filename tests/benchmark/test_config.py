"""Settings of the benchmark of training."""

import pytest

from mnas import __main__ as mnas_command
from mnas.benchmark.config import BenchmarkConfig


def test_peers_train_the_first_children_of_each_round():
    for peers in range(1, 21):
        config = BenchmarkConfig(trained=20, peer_trained=peers, rounds=6)
        ours, theirs = config.trained_by("ours", "cold"), config.trained_by("torch", "cold")
        assert sum(ours) == 20 and sum(theirs) == peers
        assert len(ours) == len(theirs) == min(6, peers)
        assert all(0 < few <= all_ for few, all_ in zip(theirs, ours, strict=True))
        assert config.trained_by("ours", "warm") == theirs
    assert BenchmarkConfig(trained=3).trained_by("torch", "cold") == [1, 1, 1]


INVALID = [
    ("--batch 0", ["batch = 0", "at least 1"]),
    ("--contenders ours,tensorflow", ["'tensorflow'", "torch-compile"]),
    ("--contenders flax", ["contenders = 'flax'", "ours"]),
    ("--torch-python nowhere/python", ["torch_python = 'nowhere/python'", "interpreter"]),
    ("--window-seconds nan", ["window_seconds = nan", "above 0"]),
    ("--images 10", ["images = 10", "one batch, 64"]),
    ("--contender ours", ["--contender", "--contenders"]),
]


@pytest.mark.parametrize(("flags", "expected"), INVALID, ids=[flags for flags, _ in INVALID])
def test_invalid_settings_are_reported_in_one_line(flags, expected, capsys):
    assert mnas_command.main(["benchmark", *flags.split()]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert all(text in err for text in expected), err
