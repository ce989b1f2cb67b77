"""Start of a training: variables of all blocks, and groups of blocks by learning rate."""

import hashlib
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.errors import is_finite, shown
from mnas.nn.network import Variables, init_variables
from mnas.training.step import Groups


def starting_variables(
    architecture: Architecture,
    seed: int,
    initial: Mapping[str, Variables] | None = None,
    *,
    zero_residual: bool = False,
) -> dict[str, Variables]:
    """Return {block: {'params', 'batch_stats'}} as NumPy arrays: `initial`, or drawn from the seed.

    zero_residual  of drawn ones, residual branches start at 0

    Raises ValueError where `initial` has other blocks, or arrays of other shapes or types, than the
    network.
    """
    drawn = init_variables(architecture, seed, zero_residual=zero_residual)
    if initial is None:
        return drawn
    if different := drawn.keys() ^ initial.keys():
        raise ValueError(f"initial: {min(different)}; accepted: exactly the blocks of the network")
    for name in drawn:
        given, own = (_kinds(variables[name]) for variables in (initial, drawn))
        if given != own:
            raise ValueError(f"initial: {name} has {shown(given)}; accepted: {shown(own)}")
    return {name: jax.tree.map(np.array, dict(initial[name])) for name in drawn}


def _kinds(variables: Variables) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and type of each array by its path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(variables)
    return {
        jax.tree_util.keystr(path): (np.shape(leaf), str(np.asarray(leaf).dtype))
        for path, leaf in leaves
    }


def variables_digest(variables: Mapping[str, Variables]) -> str:
    """Return the SHA-256 of variables, whatever their memory order."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(dict(variables))[0]:
        array = np.ascontiguousarray(leaf)
        name = jax.tree_util.keystr(path)
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def rate_groups(blocks: Sequence[str], rates: Mapping[str, float]) -> Groups:
    """Return (factor, blocks) for each factor on the learning rate; frozen blocks, of 0, left out.

    Raises ValueError for an unknown block, a factor below 0, and if nothing is left to train.
    """
    if unknown := [name for name in rates if name not in blocks]:
        raise ValueError(f"rates: {unknown[0]!r}; accepted: {', '.join(blocks)}")
    for name, rate in rates.items():
        if not is_finite(rate) or rate < 0:
            raise ValueError(f"rates: {name} = {rate!r}; accepted: a number of at least 0")
    groups: dict[float, list[str]] = {}
    for name in blocks:
        groups.setdefault(float(rates.get(name, 1)), []).append(name)
    trained = tuple((factor, tuple(names)) for factor, names in groups.items() if factor)
    if not trained:
        raise ValueError("rates: 0 for all blocks; accepted: a rate above 0 for one at least")
    return trained
