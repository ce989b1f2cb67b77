"""Conformance of a search space (`mnas.space`). Shapes: V vectors, D decisions."""

import numpy as np

from mnas.space import Space


def check_space(space: Space, vectors: int = 60, seed: int = 0) -> None:
    """Check a space on random decision vectors, and on the vectors of all first and last choices.

    Raises AssertionError naming the decision or vector that violates the contract.
    """
    rng = np.random.default_rng(seed)
    random = rng.integers(0, space.sizes, (vectors, len(space.sizes)))
    raw = np.concatenate([random, np.zeros_like(random[:1]), [space.sizes - 1]])
    check_decisions(space)
    check_canonical(space, raw)
    check_condition_arrays(space, raw)
    check_round_trip(space, raw)
    check_inactive_decisions(space, raw, rng)
    check_active_decisions(space, raw)
    check_samples(space, rng)
    check_cardinality(space)


def check_decisions(space: Space) -> None:
    """Check that names are unique and the choices of a decision differ."""
    names = [decision.name for decision in space.decisions]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    assert not duplicates, f"decisions with the same name: {', '.join(duplicates)}"
    for decision, size in zip(space.decisions, space.sizes, strict=True):
        assert len(set(decision.choices)) == len(decision.choices) == size, (
            f"{decision.name} has equal choices, or sizes disagree with its choices: "
            f"{decision.choices}"
        )


def check_canonical(space: Space, raw: np.ndarray) -> None:
    """Check that canonical vectors are 0 where inactive, and their own canonical form."""
    canonical, active = space.canonical(raw), space.active(raw)
    assert canonical.dtype == np.int32 and canonical.shape == raw.shape, (
        f"canonical vectors are {canonical.dtype} {canonical.shape}; int32 {raw.shape} expected"
    )
    assert active.dtype == bool and active.shape == raw.shape, (
        f"active is {active.dtype} {active.shape}; bool {raw.shape} expected"
    )
    _none(space, canonical.astype(bool) & ~active, "is inactive, but not 0 in canonical vectors")
    _none(space, (canonical != raw) & active, "is active, but changed by canonical")
    _none(space, space.canonical(canonical) != canonical, "changes when canonical is repeated")


def check_condition_arrays(space: Space, raw: np.ndarray) -> None:
    """Check that `parents` and `accepted` describe the same conditions as `active`."""
    canonical = space.canonical(raw)
    rows, columns = np.indices(space.parents.shape)
    by_arrays = space.accepted[rows, columns, canonical[:, space.parents]].all(-1)
    _none(space, by_arrays != space.active(raw), "is active according to parents and accepted only")
    conditions = [
        [all(v[parent] in ok for parent, ok in d.conditions) for d in space.decisions]
        for v in canonical
    ]
    by_conditions = np.array(conditions)
    _none(space, by_conditions != space.active(raw), "has conditions that disagree with active")


def check_round_trip(space: Space, raw: np.ndarray) -> None:
    """Check that `encode` inverts `decode`, and that different vectors are different networks."""
    vectors_by_hash: dict[str, list[int]] = {}
    for vector in space.canonical(raw):
        architecture = space.decode(vector)
        encoded = space.encode(architecture)
        assert encoded.tolist() == vector.tolist(), (
            f"encode(decode(v)) is {encoded.tolist()} for v = {vector.tolist()}"
        )
        same = vectors_by_hash.setdefault(architecture.canonical_hash(), vector.tolist())
        assert same == vector.tolist(), (
            f"two canonical vectors decode to one network: {same} and {vector.tolist()}"
        )


def check_inactive_decisions(space: Space, raw: np.ndarray, rng: np.random.Generator) -> None:
    """Check that values of inactive decisions have no effect on the network."""
    for vector in raw:
        other = np.where(space.active(vector), vector, rng.integers(0, space.sizes))
        assert space.decode(other).canonical_hash() == space.decode(vector).canonical_hash(), (
            f"inactive decisions change the network: {vector.tolist()} and {other.tolist()}"
        )


def check_active_decisions(space: Space, raw: np.ndarray) -> None:
    """Check on a few vectors that every change of an active decision changes the network."""
    for vector in raw[-12:]:
        neighbours = list(space.neighbours(vector))
        expected = (space.sizes - 1)[space.active(vector)].sum()
        assert len(neighbours) == expected, (
            f"{len(neighbours)} neighbours of {vector.tolist()}; {expected} expected"
        )
        own = space.decode(vector).canonical_hash()
        for neighbour in neighbours:
            assert space.decode(neighbour).canonical_hash() != own, (
                f"an active decision has no effect: {space.canonical(vector).tolist()} and "
                f"{neighbour.tolist()} decode to one network"
            )


def check_samples(space: Space, rng: np.random.Generator) -> None:
    """Check that samples are canonical."""
    samples = np.array([space.sample(rng) for _ in range(20)])
    _none(space, space.canonical(samples) != samples, "is not canonical in samples")


def check_cardinality(space: Space) -> None:
    """Check the number of networks against the product of sizes."""
    product = int(np.prod(space.sizes.astype(object)))
    count = space.cardinality()
    if any(decision.conditions for decision in space.decisions):
        assert 0 < count < product, f"cardinality is {count}; fewer than {product} expected"
    else:
        assert count == product, f"cardinality is {count}; {product} expected"


def _none(space: Space, wrong: np.ndarray, what: str) -> None:
    """Raise AssertionError naming the decisions at which `wrong`, bool [V, D], is true."""
    names = [space.decisions[d].name for d in np.flatnonzero(np.any(wrong, axis=0))]
    assert not names, f"{', '.join(names)} {what}"
