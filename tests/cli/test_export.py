"""`mnas export`: text formats, and networks with weights."""

import errno
import json
import os

import numpy as np
import pytest
from safetensors import safe_open

from mnas.__main__ import main
from mnas.architecture.sources import find_source
from mnas.architecture.text_forms import from_block_strings
from mnas.export.text import to_json
from mnas.nn.network import init_variables
from mnas.nn.weights import load_weights, save_weights
from tests.cli.commands import assert_one_line

SPEC = "r1_k3_s11_e1_i8_o8_se0.25;r1_k3_s22_e3_i8_o16"
NETWORK = from_block_strings(SPEC.split(";"), resolution=8, classes=4)
FLAGS = ["--resolution", "8", "--classes", "4"]


def export(*arguments: str) -> int:
    return main(["export", SPEC, *FLAGS, *arguments])


def test_text_formats_of_published_networks(capsys):
    assert main(["export", "efficientnet-b0", "--format", "tf"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "r2_k3_s22_e6_i16_o24_se0.25"
    assert main(["export", "efficientnet-b0", "--format", "timm"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["arch_def"][0] == ["ds_r1_k3_s1_e1_c16_se0.25"]
    assert (result["pad_type"], result["bn_eps"]) == ("same", 1e-3)
    assert main(["export", "mobilenet-v1", "--format", "timm"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["arch_def"][:2] == [["dsa_r1_k3_s1_c64"], ["dsa_r2_k3_s2_c128"]]
    assert result["num_features"] == 0


def test_an_exported_resnet_is_read_back(tmp_path, capsys):
    path = tmp_path / "resnet.json"
    assert main(["export", "resnet-50", "--out", str(path)]) == 0
    spec = json.loads(path.read_text())
    assert spec["blocks"][0] == "r3_k3_s11_e4_i64_o256_bottleneck_projectionskip"
    assert (spec["stem_kernel"], spec["stem_pool"], spec["arch_def"]) == (7, True, None)
    assert main(["cost", str(path), "--json", "--verify"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert counted["params"] == counted["model"]["params"] == 25_557_032
    assert counted["mult_adds"] == counted["model"]["mult_adds"] == 4_089_184_256


def test_random_weights_depend_on_the_seed_only(tmp_path):
    out = tmp_path / "weights.safetensors"
    assert export("--format", "safetensors", "--random-weights", "3", "--out", str(out)) == 0
    loaded, expected = load_weights(out, NETWORK), init_variables(NETWORK, 3)
    for name in ("stem", "head"):
        kernel = expected[name]["params"]["conv"]["kernel"]
        np.testing.assert_array_equal(loaded[name]["params"]["conv"]["kernel"], kernel)


@pytest.mark.parametrize("kind", ["stablehlo", "onnx"])
def test_a_network_with_weights_is_written(kind, tmp_path, capsys):
    if kind == "onnx":
        pytest.importorskip("onnx")
    weights, out = tmp_path / "weights.safetensors", tmp_path / "network"
    save_weights(weights, NETWORK, init_variables(NETWORK, 0))
    assert export("--format", kind, "--weights", str(weights), "--out", str(out)) == 0
    assert out.stat().st_size > 10_000
    assert capsys.readouterr() == ("", f"written: {out}\n")


def test_an_exported_run_keeps_its_origin_in_every_format(finished, tmp_path, capsys):
    best = json.loads((finished / "best.json").read_text())
    out = tmp_path / "exported"
    for kind in ("json", "tf", "timm"):
        assert main(["export", str(finished), "--format", kind, "--out", str(out)]) == 0
        found, provenance = find_source(str(out))
        assert provenance == {"search": best["search"]}
        assert found.to_dict()["blocks"] == best["blocks"]
        assert main(["cost", str(out), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["params"] == best["params"]
    flags = ["--format", "safetensors", "--random-weights", "0", "--classes", "2"]
    assert main(["export", str(finished), *flags, "--out", str(out)]) == 0
    with safe_open(out, framework="np") as file:
        search = json.loads(file.metadata()["mnas_provenance"])["search"]
    assert search == {**best["search"], "changed": {"classes": 2}}


def test_onnx_models_keep_the_origin(tmp_path, capsys):
    onnx = pytest.importorskip("onnx")
    path, out = tmp_path / "spec.json", tmp_path / "network.onnx"
    path.write_text(to_json(NETWORK, {"search": {"trial": 7}}))
    flags = ["--format", "onnx", "--random-weights", "0", "--out", str(out)]
    assert main(["export", str(path), *flags]) == 0
    (entry,) = onnx.load(out).metadata_props
    assert (entry.key, json.loads(entry.value)) == ("mnas_provenance", {"search": {"trial": 7}})


@pytest.fixture
def training(tmp_path):
    """Return a training's directory: spec, and weights with the statistics of their images."""
    directory = tmp_path / "trained"
    directory.mkdir()
    (directory / "spec.json").write_text(to_json(NETWORK, {}))
    statistics = ([1.0, 2.0, 3.0], [50.0, 60.0, 70.5])
    variables = init_variables(NETWORK, 5)
    save_weights(directory / "weights.safetensors", NETWORK, variables, statistics)
    return directory


@pytest.mark.parametrize("kind", ["safetensors", "onnx"])
def test_a_training_is_exported_with_its_weights_and_statistics(kind, training, capsys):
    if kind == "onnx":
        onnx = pytest.importorskip("onnx")
    out = training / "network"
    assert main(["export", str(training), "--format", kind, "--out", str(out)]) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"written: {out}",
        "images: (pixels of 0 to 255 - [1, 2, 3]) / [50, 60, 70.5], by channel",
    ]
    if kind == "safetensors":
        assert out.read_bytes() == (training / "weights.safetensors").read_bytes()
    else:
        metadata = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
        assert metadata == {"pixel_mean": "[1.0, 2.0, 3.0]", "pixel_std": "[50.0, 60.0, 70.5]"}


def test_random_weights_of_a_training_have_no_statistics(training, capsys):
    out = training / "network"
    flags = ["--format", "safetensors", "--random-weights", "0", "--out", str(out)]
    assert main(["export", str(training), *flags]) == 0
    assert capsys.readouterr().err == f"written: {out}\n"


def test_a_run_has_no_weights_to_export(run, tmp_path, capsys):
    (run / "weights.safetensors").write_text("other")  # nobody's
    flags = ["--format", "safetensors", "--out", str(tmp_path / "network")]
    assert main(["export", str(run), *flags]) == 2
    assert_one_line(capsys, "needs weights; accepted", "a training's directory as SPEC")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "best.json is not JSON"),
        ('{"format": "mnas-spec/1"', "best.json is not JSON"),
        ("[]", "best.json: list; accepted: a JSON object"),
        ('{"format": "mnas-spec/1"}', "best.json: architecture: blocks = None"),
        (
            '{"format": "mnas-spec/1", "blocks": ["r1_k3_s11_e1_i8_o8"], "search": []}',
            "best.json: spec: search = []; accepted: an object, or null",
        ),
    ],
)
def test_a_damaged_spec_of_a_run_is_rejected_by_name(content, expected, run, capsys):
    (run / "best.json").write_text(content)
    assert main(["export", str(run)]) == 2
    assert_one_line(capsys, expected)


def test_networks_too_large_for_a_file_are_rejected_before_any_weights(tmp_path, capsys):
    strings = "r1_k3_s11_e1_i32_o9000000"
    flags = ["--format", "onnx", "--random-weights", "0", "--out", str(tmp_path / "out")]
    assert main(["export", strings, *flags]) == 2
    assert_one_line(capsys, "network: params = ", "at most 500,000,000")


@pytest.mark.parametrize("kind", ["safetensors", "stablehlo", "onnx"])
def test_a_full_disk_keeps_the_file_that_was_there(kind, tmp_path, monkeypatch, capsys):
    if kind == "onnx":
        pytest.importorskip("onnx")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "network"
    out.write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    assert export("--format", kind, "--random-weights", "0", "--out", str(out)) == 2
    assert_one_line(capsys, f"{out} can't be written: No space left on device")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("network", "before")]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--format onnx --out F", ["needs weights", "--weights", "--random-weights SEED"]),
        ("--format onnx --out F --weights W --random-weights 1", ["needs weights", "one of"]),
        ("--format safetensors --random-weights 1", ["is not text", "--out FILE"]),
        ("--format safetensors --random-weights -1 --out F", ["random_weights = -1", "at least 0"]),
        ("--format stablehlo --random-weights 1 --out no/F", ["no/F", "no such directory"]),
        ("--format safetensors --random-weights 1 --out .", [". can't be written", "a directory"]),
        ("--format json --out .", [". can't be written", "Is a directory"]),
        ("--format tf --out no/F", ["no/F can't be written", "No such file"]),
        ("--format tf --out /dev/full", ["/dev/full can't be written: No space left"]),
        (
            "--format safetensors --random-weights 1 --out /dev/full",
            ["/dev/full can't be written: No space left"],
        ),
        ("--format tf --classes 1000000000", ["classes = 1000000000", "at most 10,000,000"]),
        ("--format stablehlo --random-weights 1 --platforms gpu --out F", ["'gpu'", "cuda"]),
        ("--format stablehlo --weights nowhere --out F", ["nowhere", "can't be read"]),
        ("--format json --random-weights 1", ["'json' contains no weights"]),
        ("--format onnx --random-weights 1 --platforms cuda --out F", ["--platforms", "stablehlo"]),
    ],
)
def test_a_usage_error_is_one_line_and_writes_nothing(
    flags, expected, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert export(*flags.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert all(text in err for text in expected), err
    assert list(tmp_path.iterdir()) == []
