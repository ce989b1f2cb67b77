"""Ablations: each varies one part of the search."""

import dataclasses

import pytest

from mnas.evaluators.noisy import NoisyConfig
from mnas.experiment.study import Study
from mnas.experiments import ablations
from tests.registered import STUDIES


def test_every_ablation_is_registered():
    defined = [value for value in vars(ablations).values() if isinstance(value, Study)]
    assert {study.name for study in defined} <= set(STUDIES)


def test_noise_has_the_standard_deviation_of_the_real_training():
    assert NoisyConfig(ablations.EXACT, std_points=0.31) == ablations.NOISY
    for study in (ablations.CONTROLLER, ablations.BATCH):
        for name, variant in study.variants.items():
            noisy = name.endswith(", noisy")
            assert variant.evaluator == (ablations.NOISY if noisy else ablations.EXACT)
            assert noisy or f"{name}, noisy" in study.variants


@pytest.mark.parametrize(
    "study, varied",
    [
        (ablations.CONTROLLER, {"controller", "evaluator", "search"}),
        (ablations.POLICY, {"controller"}),
        (ablations.REWARD, {"reward"}),
        (ablations.SPACE, {"space"}),
        (ablations.BATCH, {"search", "evaluator"}),
        (ablations.NOISE, {"controller", "evaluator"}),
        (ablations.SPACE_TRAINED, {"space"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_varies_only_the_part_it_is_named_after(study, varied):
    first, *others = study.variants.values()
    fields = [field.name for field in dataclasses.fields(first)]
    differing = {f for f in fields for e in others if getattr(e, f) != getattr(first, f)}
    assert differing == varied
