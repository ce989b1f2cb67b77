"""Parts of an experiment that are exchanged by name, and `--data`."""

import pytest

from mnas.cli.named_experiment import exchange, parts_description
from mnas.errors import UsageError
from mnas.evaluators.proxy import ProxyConfig
from mnas.evaluators.weight_bank import WeightBankConfig
from tests.registered import EXPERIMENTS


@pytest.mark.parametrize("words", [["--data", "x.npz"], ["--data=x.npz"]])
def test_data_is_short_for_the_source_of_the_evaluator_s_images(words):
    _, rest = exchange(EXPERIMENTS["digits"], [*words, "--seed", "1"])
    assert rest == ["--seed", "1", "--evaluator.data.source=x.npz"]
    _, rest = exchange(EXPERIMENTS["digits"], [*words, "--evaluator", "noisy"])
    assert rest == ["--evaluator.evaluator.data.source=x.npz"]
    assert "--data SOURCE is short for --evaluator.data.source." in parts_description()


def test_data_for_an_evaluator_without_images_is_rejected():
    with pytest.raises(UsageError, match="--data with SurrogateConfig, which has no images"):
        exchange(EXPERIMENTS["b0-imagenet"], ["--data", "x.npz"])


def test_proxy_training_and_a_weight_bank_replace_each_other():
    words = ["--evaluator", "proxy"]
    assert type(exchange(EXPERIMENTS["cifar10"], words)[0].evaluator) is ProxyConfig
    assert exchange(EXPERIMENTS["digits"], words)[0] == EXPERIMENTS["digits"]
    banked, _ = exchange(EXPERIMENTS["digits"], ["--evaluator", "weight-bank"])
    assert type(banked.evaluator) is WeightBankConfig
