import dataclasses
import math

import numpy as np
import pytest

from mnas.errors import UsageError
from mnas.evaluation import (
    ArchitectureCheck,
    BlockCompiler,
    ClassSource,
    ContentDependent,
    DataDescription,
    Evaluation,
    WrapperConfig,
    evaluate_safely,
    unwrapped,
)
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.proxy import ProxyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.evaluators.surrogate_fits import top1
from tests.evaluators.surrogate_networks import B0, sample


@dataclasses.dataclass(frozen=True)
class CurveConfig:
    """Evaluator that reports three epochs, without optional hooks."""

    fails: bool = False

    def build(self):
        return self.evaluate

    def evaluate(self, architecture, seed, report=None):
        if self.fails:
            return Evaluation(error="out of memory")
        accuracy, epoch = 0.0, 0
        for epoch, accuracy in ((1, 0.5), (2, 0.6), (3, 0.7)):
            if report is not None and report(epoch, accuracy) == "stop":
                break
        return Evaluation(accuracy=accuracy, epochs=epoch)


def test_noise_depends_on_the_seed_alone():
    config = NoisyConfig(SurrogateConfig())
    exact = top1(sample()[:20]).mean
    added = [[config.build()(a, seed).accuracy for seed in range(5)] for a in sample()[:20]]
    noise = np.array(added) - exact[:, None]
    assert np.allclose(noise, noise[0], atol=1e-12)
    assert len(set(noise[0])) == 5
    evaluate = config.build()
    assert [evaluate(sample()[0], seed).accuracy for seed in range(5)] == added[0]


def test_noise_is_the_first_normal_sample_of_the_seed():
    sample = np.random.default_rng(7).standard_normal()
    evaluation = NoisyConfig(CurveConfig(), std_points=2.0).build()(B0, 7)
    assert evaluation.accuracy == 0.7 + 0.02 * sample


@pytest.mark.parametrize("points", [0.31, 2.0])
def test_noise_has_the_configured_standard_deviation(points):
    evaluate = NoisyConfig(SurrogateConfig(), std_points=points).build()
    exact = 100 * top1([B0]).mean[0]
    noise = np.array([100 * evaluate(B0, seed).accuracy for seed in range(2000)]) - exact
    # Four standard errors of the mean and of the standard deviation.
    assert abs(noise.mean()) < 4 * points / math.sqrt(2000)
    assert abs(noise.std() - points) < 4 * points / math.sqrt(4000)


def test_a_standard_deviation_of_0_changes_nothing():
    evaluation = NoisyConfig(CurveConfig(), std_points=0.0).build()(B0, 3)
    assert evaluation == Evaluation(accuracy=0.7, epochs=3)


def test_reports_and_accuracy_have_the_same_noise():
    evaluate = NoisyConfig(CurveConfig(), std_points=1.0).build()
    evaluation = evaluate_safely(evaluate, B0, 3, lambda epoch, accuracy: None)
    noise = evaluation.accuracy - 0.7
    assert noise != 0
    accuracies = [accuracy - noise for _, accuracy in evaluation.history]
    assert accuracies == pytest.approx([0.5, 0.6, 0.7])


def test_an_evaluation_can_be_stopped():
    evaluate = NoisyConfig(CurveConfig()).build()
    evaluation = evaluate_safely(evaluate, B0, 3, lambda epoch, accuracy: "stop")
    assert evaluation.stopped and evaluation.epochs == 1


def test_failed_evaluations_are_unchanged():
    evaluation = NoisyConfig(CurveConfig(fails=True)).build()(B0, 3)
    assert evaluation.error == "out of memory" and math.isnan(evaluation.accuracy)


def test_latency_is_that_of_the_inner_evaluator():
    inner = SurrogateConfig(device="a100")
    assert NoisyConfig(inner).build()(B0, 5).latency_ms == inner.build()(B0, 0).latency_ms


def test_optional_hooks_are_forwarded(tmp_path):
    images = np.zeros((4, 8, 8), np.uint8)
    np.savez(tmp_path / "images.npz", train_images=images, train_labels=np.arange(4))
    source = str(tmp_path / "images.npz")
    proxy = ProxyConfig(data=dataclasses.replace(ProxyConfig().data, source=source))
    noisy = NoisyConfig(proxy)
    assert isinstance(noisy, ContentDependent) and isinstance(noisy, ArchitectureCheck)
    assert noisy.contents() == {"evaluator.data.source": proxy.contents()["data.source"]}
    assert isinstance(noisy, DataDescription)
    assert noisy.describe_data() == proxy.describe_data()
    assert isinstance(noisy, ClassSource) and noisy.data_classes() == 4
    assert isinstance(noisy.build(), BlockCompiler)
    with pytest.raises(UsageError, match=r"classes = 10 of .* was never measured"):
        NoisyConfig(SurrogateConfig()).check(B0.replace(classes=10))


def test_hooks_that_the_inner_evaluator_lacks_are_empty():
    noisy = NoisyConfig(CurveConfig())
    assert noisy.contents() == {} and noisy.describe_data() is None
    assert noisy.data_classes() is None
    noisy.check(B0)
    assert not isinstance(noisy.build(), BlockCompiler)


def test_wrappers_can_be_removed():
    inner = SurrogateConfig(fit="ridge")
    noisy = NoisyConfig.around(NoisyConfig.around(inner))
    assert isinstance(noisy, WrapperConfig) and not isinstance(inner, WrapperConfig)
    assert unwrapped(noisy) is inner and unwrapped(inner) is inner


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "0.3"])
def test_bad_settings_are_named(value):
    with pytest.raises(UsageError, match=r"^noisy: std_points = .*; accepted: 0 to 100$"):
        NoisyConfig(std_points=value)
