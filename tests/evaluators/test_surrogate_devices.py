"""Predicted latency and throughput on the six devices."""

import numpy as np
import pytest

from mnas.architecture.cost import network_cost
from mnas.errors import UsageError
from mnas.evaluators.surrogate_devices import DEVICES, latency_ms, throughput
from tests.evaluators.surrogate_networks import B0, sample


@pytest.mark.parametrize("device", DEVICES)
def test_larger_networks_are_slower_on_average(device):
    mult_adds = np.array([network_cost(architecture).mult_adds for architecture in sample()])
    latency, images = latency_ms(sample(), device), throughput(sample(), device)
    assert (latency > 0).all() and (images > 0).all()
    order = np.argsort(mult_adds)
    small, large = order[:100], order[-100:]
    assert np.log(latency[large]).mean() > np.log(latency[small]).mean() + 0.2
    assert np.log(images[large]).mean() < np.log(images[small]).mean() - 0.2


@pytest.mark.parametrize("device", DEVICES)
def test_latency_of_a_single_image_on_fpgas_and_the_batch_average_elsewhere(device):
    ratio = latency_ms(sample(), device) / (1000 / throughput(sample(), device))
    if device in ("vck190", "zcu102"):  # pipelined: throughput counts several images in flight
        assert (ratio > 1.2).all() and ratio.std() > 0.01
    else:
        assert np.allclose(ratio, 1, rtol=1e-12)


def test_b0_on_every_device():
    images = {device: throughput([B0], device)[0] for device in DEVICES}
    assert {device: round(float(value)) for device, value in images.items()} == {
        "a100": 7635, "rtx3090": 5167, "tpuv2": 882, "tpuv3": 1233, "vck190": 2295, "zcu102": 230,
    }  # fmt: skip
    assert latency_ms([B0], "vck190")[0] == pytest.approx(3.819, abs=1e-3)
    assert latency_ms([B0], "zcu102")[0] == pytest.approx(9.114, abs=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_an_empty_batch_has_empty_predictions(device):
    assert throughput([], device).shape == latency_ms([], device).shape == (0,)


@pytest.mark.parametrize("function", [throughput, latency_ms])
def test_an_unknown_device_is_a_usage_error(function):
    with pytest.raises(UsageError, match=r"^surrogate: device = 'cpu'; accepted: a100, .*02$"):
        function([B0], "cpu")
