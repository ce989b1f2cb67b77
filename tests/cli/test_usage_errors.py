"""Usage errors of the verbs about networks and runs: one line that names the mistake."""

import json

import pytest

from mnas.__main__ import main
from tests.cli.commands import assert_one_line

MISTAKES = [
    ("cost efficientnet-bo", ["efficientnet-bo", "did you mean efficientnet-b0"]),
    ("cost r1_k4_s11_e1_i32_o16", ["kernel = 4", "odd"]),
    ("cost r1_k3_s11_e1_i32_o16;r1_k3_s22_e6_i24_o40", ["i24", "i16"]),
    ("cost efficientnet-b0 --resolution 0", ["resolution = 0", "at least 1"]),
    ("export r1_k3_s11_e1_i32_o16_poolskip --format tf", ["skip = 'pool'", "TF"]),
    ("export mobilenet-v1 --format tf", ["blocks[0]", "op = 'separable'", "TF"]),
    ("export resnet-50 --format tf", ["blocks[0]", "op = 'bottleneck'", "TF"]),
    ("export resnet-50 --format timm", ["stem_pool = True", "timm"]),
    ("cost resnet_50", ["resnet_50", "did you mean resnet50"]),
    ("export efficientnet-b0 --format onnyx", ["onnyx", "json, tf, timm"]),
    ("report nowhere", ["nowhere", "holds no run"]),
    ("compare efficientnet-bo", ["efficientnet-bo", "did you mean efficientnet-b0"]),
    ("compare mnasnet-a1 nowhere", ["'nowhere'", "accepted", "a run's directory"]),
    ("compare mnasnet-a1 --resolution 0", ["resolution = 0", "at least 1"]),
    ("rescore", ["rescore", "Directory of a run"]),
    ("rescore nowhere", ["nowhere", "holds no run"]),
    ("rescore RUN --reward sofft", ["sofft", "--reward", "soft"]),
    ("rescore RUN --cost seconds", ["seconds", "--cost", "latency_ms"]),
    ("rescore RUN --w 0.1", ["w = 0.1", "-100 to 0"]),
    ("rescore RUN --target-madds nan", ["target_madds = nan", "1 to 1e+18"]),
    ("rescore RUN --cost latency_ms", ["latency_ms", "did not measure", "mult_adds, params"]),
    ("rescore RUN --top 0", ["top = 0", "at least 1"]),
    ("rescore RUN --target-mads 1", ["--target-mads", "--target-madds"]),
    ("rescore RUN --out RUN", ["can't be written", "directory"]),
]


@pytest.mark.parametrize(("line", "expected"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_usage_error_is_one_line(line, expected, finished, capsys):
    assert main(line.replace("RUN", str(finished)).split()) == 2
    assert_one_line(capsys, f"mnas {line.split()[0]}: ", *expected)


def test_a_damaged_spec_is_named_in_one_line(run, capsys):
    best = run / "best.json"
    spec = json.loads(best.read_text())
    best.write_text(best.read_text()[:40])
    assert main(["cost", str(run)]) == 2
    assert_one_line(capsys, "best.json", "not JSON")
    spec["params"] += 1
    best.write_text(json.dumps(spec))
    assert main(["cost", str(run)]) == 2
    assert_one_line(capsys, "best.json", "params", str(spec["params"] - 1))
