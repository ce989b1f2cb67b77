"""Networks for tests: published ones, samples of every search space, and random ones."""

import dataclasses

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import OPS, SKIPS, Block
from mnas.architecture.published import PUBLISHED
from tests.parts import registered

SPACES = registered("space")

SAMPLES = 150  # of each search space, and of random architectures
WITHOUT_SE = ("basic", "bottleneck", "identity")


def random_architecture(rng: np.random.Generator) -> Architecture:
    """Return any architecture that the types allow, not only one that a search space offers."""
    blocks = []
    for _ in range(rng.integers(1, 6)):
        op = str(rng.choice(["mbconv", "mbconv", *OPS[1:]]))
        plain = op == "identity"
        expand_ratio = int(rng.integers(1, 9)) if op in ("mbconv", "bottleneck") else 1
        se_ratios = [0, 1, 0.25, 1 / 3, 1e-5, 2.5e-7, rng.random()]
        blocks.append(
            Block(
                op=op,
                kernel=1 if plain else int(rng.choice([1, 3, 5, 7, 11])),
                stride=int(rng.integers(1, 3)),
                filters=int(rng.integers(1, 400)) * (expand_ratio if op == "bottleneck" else 1),
                expand_ratio=expand_ratio,
                repeats=int(rng.integers(1, 12)),
                se_ratio=0.0 if op in WITHOUT_SE else float(rng.choice(se_ratios)),
                skip="identity" if plain else str(rng.choice(SKIPS)),
            )
        )
    cut = int(rng.integers(1, 1 + len(blocks)))
    return Architecture(
        blocks=tuple(blocks),
        timm_stages=(cut, *(1,) * (len(blocks) - cut)) if cut > 1 else None,
        resolution=int(rng.integers(1, 700)),
        stem=int(rng.integers(1, 100)),
        head=int(rng.integers(0, 3000)),
        classes=int(rng.integers(1, 2000)),
        activation=str(rng.choice(["swish", "relu", "relu6"])),
        stem_kernel=int(rng.choice([3, 5, 7])),
        stem_stride=int(rng.integers(1, 3)),
        stem_pool=bool(rng.integers(2)),
        padding=str(rng.choice(["same", "symmetric"])),
        bn_epsilon=float(rng.choice([1e-3, 1e-5, 2.5e-7])),
        name=str(rng.integers(1_000_000)),
    )


def _networks() -> list[Architecture]:
    rng = np.random.default_rng(0)
    networks = list(PUBLISHED.values())
    for config in SPACES.values():
        space = config().build()
        networks += [space.decode(space.sample(rng)) for _ in range(SAMPLES)]
    return networks + [random_architecture(rng) for _ in range(SAMPLES)]


NETWORKS = _networks()


def settings(architecture: Architecture) -> dict:
    """Return all fields of an architecture but its blocks."""
    fields = dataclasses.fields(architecture)
    return {f.name: getattr(architecture, f.name) for f in fields if f.name != "blocks"}
