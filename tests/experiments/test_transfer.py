"""The transfer study: its table by hand, and a short study on two small data sets."""

import csv
import json

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.spec import to_spec
from mnas.errors import UsageError
from mnas.experiments import transfer
from mnas.experiments.transfer import Row, summary
from mnas.nn.network import init_variables
from mnas.nn.weights import save_weights

NETWORK = Architecture(
    (Block(kernel=3, stride=2, filters=8),), resolution=8, stem=8, head=0, classes=4, name="tiny"
)


def test_means_and_intervals_by_hand():
    # Means .4, .6; s = .1 each. Pairs differ by .1, .2, .3: mean .2, s = .1. Student's t with two
    # degrees of freedom is 4.303: 4.303 · .1 / √3 = .2484.
    accuracies = {"scratch": (0.3, 0.4, 0.5), "weights": (0.4, 0.6, 0.8)}
    rows = [
        Row(name, start, seed, 3, 100, 1234, values[seed], 50)
        for name in ("birds", "cars")
        for seed in range(3)
        for start, values in accuracies.items()
    ]
    line, other = summary(rows)
    assert other == {**line, "data": "cars"} and line["data"] == "birds"
    assert line["scratch"] == pytest.approx(0.4)
    assert line["scratch_half_interval"] == pytest.approx(0.2484, abs=1e-4)
    assert line["weights_half_interval"] == pytest.approx(0.4969, abs=1e-4)
    assert line["difference"] == pytest.approx(0.2)
    assert line["difference_half_interval"] == pytest.approx(0.2484, abs=1e-4)
    assert [line[key] for key in ("seeds", "test_images", "params")] == [3, 50, 1234]
    (single,) = summary(rows[:2])
    assert single["difference"] == pytest.approx(0.1)
    assert single["difference_half_interval"] is None


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Change to a directory with a spec, weights of four classes, and data of two."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.json").write_text(json.dumps(to_spec(NETWORK)))
    save_weights("w.safetensors", NETWORK, init_variables(NETWORK, 1))
    images = np.random.default_rng(2).integers(0, 256, (30, 8, 8, 3), np.uint8)
    labels = np.arange(30) % 2
    np.savez("two", x_train=images, y_train=labels, x_test=images[:9], y_test=labels[:9])
    return ["tiny.json", "--init", "w.safetensors", "--out", "out", "--epochs", "1"]


def test_short_study_trains_pairs_and_is_continued(files, capsys):
    flags = [*files, "--data", "two.npz", "--seeds", "2", "--batch-size", "9"]
    assert transfer.main([*flags, "--freeze", "stem", "--json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)["rows"]
    # Stem 216 + 16, block 72 + 16 + 64 + 16, classifier 8 · 2 + 2.
    assert (line["data"], line["classes"], line["params"]) == ("two", 2, 418)
    with open("out/transfer.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["start"], row["seed"]) for row in rows] == [
        *[(start, "0") for start in transfer.STARTS],
        *[(start, "1") for start in transfer.STARTS],
    ]
    assert {(row["train_images"], row["n"]) for row in rows} == {("27", "9")}
    frozen = frozen_stem("out/two/weights-0")
    np.testing.assert_array_equal(
        frozen, init_variables(NETWORK, 1)["stem"]["params"]["conv"]["kernel"]
    )
    assert (frozen_stem("out/two/scratch-0") != frozen).any()
    # The same command goes on; other settings in the directory are named.
    assert transfer.main([*flags, "--freeze", "stem"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split()[:2] == ["data", "classes"]
    assert "two: 15 arrays taken, classifier.bias, classifier.weight initialised anew" in err
    with pytest.raises(UsageError, match=r"rates\.stem was 0"):
        transfer.main(flags)


def frozen_stem(directory):
    from safetensors.numpy import load_file

    return load_file(f"{directory}/weights.safetensors")["conv_stem.weight"].transpose(2, 3, 1, 0)


def test_data_that_cannot_be_compared_are_named_before_training(files):
    np.savez("none", x_train=np.zeros((30, 8, 8), np.uint8), y_train=np.arange(30) % 2)
    with pytest.raises(UsageError, match=r"none\.npz has no test images; accepted: data with some"):
        transfer.main([*files, "--data", "two.npz", "none.npz"])
    with pytest.raises(UsageError, match=r"data = two\.npz, \./two\.npz; accepted: one or more"):
        transfer.main([*files, "--data", "two.npz", "./two.npz"])
    with pytest.raises(UsageError, match="freeze = '9': '9'; accepted: stem, head, stages 1 to 1"):
        transfer.main([*files, "--data", "two.npz", "--freeze", "9"])
