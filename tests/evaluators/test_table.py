"""Table evaluator: accuracies by network and seed, missing networks, checks."""

import pytest

from mnas.errors import UsageError
from mnas.evaluators.table import TableConfig, decoder
from mnas.testing import check_evaluator

TEXT = "decisions,accuracy,accuracy_1,accuracy_2\n00110000,0.8,0.7,0.9\n22222222,0.95,0.94,0.96\n"
SPACE = decoder("nas-bench-macro")


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text(TEXT)
    return str(file)


def network(name):
    return SPACE([int(choice) for choice in name])


def test_conforms(path):
    check_evaluator(TableConfig(path, "nas-bench-macro", seeds="one"), network("22222222"))


def test_networks_are_found_by_what_they_build(path):
    evaluate = TableConfig(path, "nas-bench-macro").build()
    assert evaluate(network("00110000"), 0).accuracy == 0.8
    assert evaluate(network("00101000"), 7).accuracy == 0.8  # the same layers in another order


def test_missing_network_is_a_failed_evaluation(path):
    evaluation = TableConfig(path, "nas-bench-macro").build()(network("00000000"), 0)
    assert evaluation.error == "table.csv has no such network"


def test_seed_selects_one_training(path):
    evaluate = TableConfig(path, "nas-bench-macro", seeds="one").build()
    found = [evaluate(network("00110000"), seed).accuracy for seed in range(4)]
    assert found == [0.7, 0.9, 0.7, 0.9]


def test_check_rejects_other_resolutions_and_classes(path):
    config = TableConfig(path, "nas-bench-macro")
    config.check(network("00000000"))
    with pytest.raises(UsageError, match=r"space: resolution = 64.* have 32"):
        config.check(network("00000000").replace(resolution=64))
    with pytest.raises(UsageError, match=r"space: classes = 100.* have 10"):
        config.check(network("00000000").replace(classes=100))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": ""}, r"table: path = ''; accepted: a CSV file \(--evaluator.path\)"),
        ({"space": None}, "accepted: with --space"),
        ({"space": "nas-bench-micro"}, "did you mean nas-bench-macro"),
        ({"path": "none.csv"}, "can't be read"),
    ],
)
def test_mistakes_are_named(path, settings, message):
    config = TableConfig(**{"path": path, "space": "nas-bench-macro", **settings})
    with pytest.raises(UsageError, match=message):
        config.build()


def test_content_identifies_the_table(path, tmp_path):
    copy = tmp_path / "copy.csv"
    copy.write_text(TEXT)
    assert TableConfig(path).contents() == TableConfig(str(copy)).contents()
    copy.write_text(TEXT.replace("0.95", "0.94"))
    assert TableConfig(path).contents() != TableConfig(str(copy)).contents()
    with pytest.raises(UsageError, match="table: seeds = 'all'; accepted: mean, one"):
        TableConfig(path, seeds="all")
