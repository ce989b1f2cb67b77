"""`mnas train --init`: weights taken, what is frozen, identity on resumption, mistakes."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from mnas.__main__ import main
from mnas.architecture.spec import from_spec
from mnas.nn.network import init_variables
from mnas.nn.weights import save_weights

SPEC = {
    **{"format": "mnas-spec/1", "name": "tiny", "resolution": 8, "stem": 8, "head": 0},
    **{"blocks": ["r1_k3_s22_e1_i8_o8"], "classes": 10, "activation": "relu"},
}


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return arguments of a training on three classes from weights of ten, in the directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.json").write_text(json.dumps(SPEC))
    write_weights(1)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), np.uint8)
    np.savez("x.npz", x_train=pixels, y_train=np.arange(24) % 3)
    flags = ["--data", "x.npz", "--epochs", "1", "--batch-size", "8", "--out", "out"]
    return ["train", "tiny.json", *flags, "--init", "w.safetensors"]


def write_weights(seed):
    network = from_spec(SPEC, "spec")
    statistics = ([100.0, 110.0, 120.0], [50.0, 60.0, 70.0])
    save_weights("w.safetensors", network, init_variables(network, seed), statistics)


def last_line(capsys) -> str:
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    return err.splitlines()[-1]


def test_frozen_blocks_keep_weights_and_statistics(command, capsys):
    assert main([*command, "--freeze", "stem"]) == 0
    line = "15 arrays taken, classifier.bias, classifier.weight initialised anew"
    line += " (the weights have 10 classes); 1 of 3 blocks frozen\n"
    assert f"init: {line}" in capsys.readouterr().err
    before, after = load_file("w.safetensors"), load_file("out/weights.safetensors")
    assert before.keys() == after.keys()
    for name, array in after.items():
        kept = name.startswith(("conv_stem", "bn1")) or name.endswith("num_batches_tracked")
        assert np.array_equal(array, before[name]) == kept, name
    assert after["classifier.weight"].shape == (3, 8)


def test_a_resumed_training_needs_the_same_weights_and_rates(command, capsys):
    assert main(command) == 0
    assert main(command) == 0
    capsys.readouterr()
    assert main([*command, "--layer-decay", "0.5"]) == 2
    line = "rates.stem was 1.0 and is 0.25 now; accepted: 1.0, or another directory"
    assert last_line(capsys).endswith(line)
    assert main(command[:-2]) == 2
    assert ": initial was " in last_line(capsys)
    write_weights(2)
    assert main(command) == 2
    assert ": initial was " in last_line(capsys)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--freeze", "2"], "freeze = '2': '2'; accepted: stem, head, stages 1 to 1 as in"),
        (["--freeze", "head"], "freezes the head, whose classifier is new"),
        (["--layer-decay", "0"], "layer_decay = 0.0; accepted: a factor above 0, at most 1"),
        (["--init", "none.safetensors"], "none.safetensors can't be read"),
        (["--init", "x.npz"], "x.npz is not a .safetensors file"),
    ],
)
def test_mistakes_are_named_before_training(command, flags, named, capsys):
    assert main([*command, *flags]) == 2
    assert named in last_line(capsys)


def test_freezing_needs_initial_weights(command, capsys):
    assert main([*command[:-2], "--freeze", "stem"]) == 2
    assert "freeze = 'stem'; accepted: with initial weights (--init)" in last_line(capsys)
