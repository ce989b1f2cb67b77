import subprocess
import sys

import pytest

from mnas.errors import UsageError
from mnas.evaluation import evaluate_safely
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.evaluators.surrogate_devices import DEVICES, latency_ms
from mnas.evaluators.surrogate_fits import top1
from tests.evaluators.surrogate_networks import B0, sample


def test_accuracy_is_the_fits_prediction_for_every_seed():
    evaluate = SurrogateConfig().build()
    evaluations = [evaluate(sample()[0], seed) for seed in (0, 1, 2**32 - 1)]
    assert {e.accuracy for e in evaluations} == {float(top1([sample()[0]]).mean[0])}
    assert all(e.latency_ms is None for e in evaluations)
    assert all(e.error is None and e.seconds > 0 for e in evaluations)
    by_ridge = SurrogateConfig(fit="ridge").build()(sample()[0], 0).accuracy
    assert by_ridge == float(top1([sample()[0]], "ridge").mean[0]) != evaluations[0].accuracy


@pytest.mark.parametrize("device", DEVICES)
def test_latency_is_predicted_if_a_device_is_set(device):
    evaluation = SurrogateConfig(device=device).build()(B0, 5)
    assert evaluation.latency_ms == float(latency_ms([B0], device)[0])


def test_check_accepts_measured_networks_and_rejects_others():
    SurrogateConfig().check(B0)
    with pytest.raises(UsageError, match=r"surrogate: classes = 10 of .* was never measured"):
        SurrogateConfig().check(B0.replace(classes=10))
    evaluation = evaluate_safely(SurrogateConfig().build(), B0.replace(classes=10), 0)
    assert "classes = 10" in evaluation.error


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"fit": "forest"}, "surrogate: fit = 'forest'; accepted: mlp, ridge"),
        (
            {"device": "cpu"},
            "surrogate: device = 'cpu'; "
            "accepted: None, a100, rtx3090, tpuv2, tpuv3, vck190, zcu102",
        ),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(UsageError) as caught:
        SurrogateConfig(**settings)
    assert str(caught.value) == message


def test_evaluating_loads_neither_jax_nor_ray():
    program = (
        "import sys; from mnas.architecture.published import PUBLISHED as p;"
        "from mnas.evaluators.noisy import NoisyConfig;"
        "NoisyConfig().build()(p['efficientnet-b0'], 0); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "mnas" in loaded and not loaded & {"jax", "flax", "optax", "ray", "scipy"}
