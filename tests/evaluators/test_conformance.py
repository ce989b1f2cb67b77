"""Every registered evaluator satisfies the contract of `mnas.evaluation`."""

import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.published import PUBLISHED
from mnas.data.images import DataConfig
from mnas.evaluators.bank_zero_cost import BankZeroCostConfig
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.proxy import ProxyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.evaluators.table import TableConfig
from mnas.evaluators.weight_bank import WeightBankConfig
from mnas.evaluators.zero_cost import ZeroCostConfig
from mnas.testing import check_evaluator
from mnas.training.config import TrainingConfig
from tests.parts import registered

B0 = PUBLISHED["efficientnet-b0"]
TINY = Architecture(
    (Block(kernel=3, stride=2, filters=8),), resolution=8, stem=8, head=8, classes=10
)
PROXY = ProxyConfig(
    data=DataConfig(validation=64, train_images=64),
    training=TrainingConfig(epochs=2, batch_size=32),
)
CASES = {
    "proxy": (PROXY, TINY),
    "surrogate": (SurrogateConfig(fit="ridge", device="a100"), B0),
    "noisy surrogate": (NoisyConfig(), B0),
    "noisy proxy": (NoisyConfig(PROXY), TINY),
}


@pytest.mark.parametrize(("config", "architecture"), CASES.values(), ids=CASES)
def test_evaluators_conform(config, architecture):
    check_evaluator(config, architecture)


def test_every_registered_evaluator_is_covered():
    covered = {type(config) for config, _ in CASES.values()}
    # A weight bank is trained first, also with a score, a table is a file, and a score is one of
    # several: test_weight_bank.py, test_bank_zero_cost.py, test_table.py, test_zero_cost.py.
    covered |= {WeightBankConfig, BankZeroCostConfig, TableConfig, ZeroCostConfig}
    assert covered == set(registered("evaluator").values())
