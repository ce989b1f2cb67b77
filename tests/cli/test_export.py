"""`mnas export` of networks with weights: what it writes, and what it refuses in one line."""

import numpy as np
import pytest

from mnas.__main__ import main
from mnas.architecture.text_forms import from_block_strings
from mnas.nn.network import init_variables
from mnas.nn.weights import load_weights, save_weights

SPEC = "r1_k3_s11_e1_i8_o8_se0.25;r1_k3_s22_e3_i8_o16"
NETWORK = from_block_strings(SPEC.split(";"), resolution=8, classes=4)
FLAGS = ["--resolution", "8", "--classes", "4"]


def export(*arguments: str) -> int:
    return main(["export", SPEC, *FLAGS, *arguments])


def test_random_weights_are_those_of_the_seed(tmp_path):
    out = tmp_path / "weights.safetensors"
    assert export("--format", "safetensors", "--random-weights", "3", "--out", str(out)) == 0
    loaded, expected = load_weights(out, NETWORK), init_variables(NETWORK, 3)
    for name in ("stem", "head"):
        kernel = expected[name]["params"]["conv"]["kernel"]
        np.testing.assert_array_equal(loaded[name]["params"]["conv"]["kernel"], kernel)


@pytest.mark.parametrize("kind", ["stablehlo", "onnx"])
def test_networks_of_given_weights_are_written(kind, tmp_path, capsys):
    if kind == "onnx":
        pytest.importorskip("onnx")
    weights, out = tmp_path / "weights.safetensors", tmp_path / "network"
    save_weights(weights, NETWORK, init_variables(NETWORK, 0))
    assert export("--format", kind, "--weights", str(weights), "--out", str(out)) == 0
    assert out.stat().st_size > 10_000
    assert capsys.readouterr() == ("", f"written: {out}\n")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--format onnx --out F", ["needs weights", "--weights", "--random-weights SEED"]),
        ("--format onnx --out F --weights W --random-weights 1", ["needs weights", "one of them"]),
        ("--format safetensors --random-weights 1", ["is no text", "--out FILE"]),
        ("--format safetensors --random-weights -1 --out F", ["random_weights = -1", "from 0"]),
        ("--format stablehlo --random-weights 1 --out no/F", ["no/F", "no such directory"]),
        ("--format stablehlo --random-weights 1 --platforms gpu --out F", ["'gpu'", "cuda"]),
        ("--format stablehlo --weights nowhere --out F", ["nowhere", "can't be read"]),
        ("--format json --random-weights 1", ["'json' has no weights"]),
        ("--format onnx --random-weights 1 --platforms cuda --out F", ["platforms", "stablehlo"]),
    ],
)
def test_a_mistake_costs_one_line(flags, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert export(*flags.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert all(text in err for text in expected), err
    assert list(tmp_path.iterdir()) == []
