"""Weight bank: the blocks of all networks of a space, whose weights they share.

A network is a chain of blocks, and in a bank each block is kept by its key: its signature with its
place within the stage (`mnas.architecture.signatures.placed_signatures`). Networks with equal
blocks at equal places have these blocks in common ('single-path one-shot', arXiv 1904.00420). A
block has its initial values until a step updates it; they depend on the bank's seed and the key
alone, whichever networks come first.

A file holds arrays only, the values of each block joined to one float32 vector:

    head           JSON as uint8: format, identity, steps, whether finished, processor time, keys
    <n>.params     params of the block of the n-th key
    <n>.optimizer  state of its optimizer; only while the bank is in training
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from mnas.architecture.architecture import Architecture
from mnas.architecture.signatures import placed_signatures
from mnas.errors import UsageError, is_finite, shown
from mnas.files import ArrayFile, parse_json, write_arrays
from mnas.nn.network import (
    Shape,
    Variables,
    block_shapes,
    blocks_with_inputs,
    init_block,
    init_variables,
)
from mnas.training.child import BlockState
from mnas.training.optimizer import Optimizer

FORMAT = "mnas-weight-bank/1"


class BankFile:
    """A bank's file, whose arrays are mapped into memory: processes that read it share them.

    identity     settings on which the weights depend, by dotted names
    steps        steps of training done
    finished     whether the training has ended
    cpu_seconds  processor time of these steps
    vectors      params of each block, and the state of its optimizer or None, by key

    Raises UsageError, which names the file, where it is missing, damaged or no weight bank.
    """

    def __init__(self, path: Path) -> None:
        arrays = ArrayFile(path).mapped()
        content = arrays.get("head", np.zeros(0))
        if content.dtype != np.uint8 or content.ndim != 1:
            raise UsageError(f"{path} is no weight bank: it has no head")
        try:
            text = content.tobytes().decode()
        except UnicodeDecodeError:
            raise UsageError(f"{path} is no weight bank: its head is no text") from None
        head = parse_json(text, str(path))
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise UsageError(f"{path} is no weight bank; accepted: a file of the format {FORMAT}")
        identity, steps, finished, cpu_seconds, keys = (
            head.get(name) for name in ("identity", "steps", "finished", "cpu_seconds", "keys")
        )
        if (
            not isinstance(identity, dict)
            or not isinstance(steps, int)
            or isinstance(steps, bool)
            or steps < 0
            or not isinstance(finished, bool)
            or not isinstance(cpu_seconds, int | float)
            or not is_finite(cpu_seconds)
            or cpu_seconds < 0
            or not isinstance(keys, list)
            or not all(isinstance(key, str) for key in keys)
        ):
            raise UsageError(f"{path} is no weight bank: its head lacks a field")
        self.path, self.finished = path, finished
        self.identity: dict[str, Any] = identity
        self.steps: int = steps
        self.cpu_seconds = float(cpu_seconds)
        self.vectors: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
        for number, key in enumerate(keys):
            params, optimizer = (arrays.get(f"{number}.{part}") for part in BlockState._fields)
            for vector in (params, optimizer):
                if vector is not None and (vector.dtype != np.float32 or vector.ndim != 1):
                    raise UsageError(f"{path} is damaged: {shown(key)} is no vector of float32")
            if params is None or (optimizer is None) != self.finished:
                raise UsageError(f"{path} is damaged: values of {shown(key)} are missing")
            self.vectors[key] = params, optimizer

    def digest(self) -> str:
        """Return the SHA-256 digest of settings, steps and params, in hexadecimal."""
        content = hashlib.sha256(json.dumps([self.identity, self.steps], sort_keys=True).encode())
        for key, (params, _) in sorted(self.vectors.items()):
            content.update(json.dumps([key, len(params)]).encode())
            content.update(params.tobytes())
        return content.hexdigest()

    def require_finished(self) -> None:
        """Raise UsageError for a bank in training."""
        if not self.finished:
            raise UsageError(f"{self.path} is in training; accepted: a trained weight bank")

    def require_identity(
        self,
        identity: Mapping[str, Any],
        without: str | None = None,
        only: Sequence[str] | None = None,
    ) -> None:
        """Raise UsageError that names the first setting in which the bank differs.

        without  prefix of settings of the bank that are not compared
        only     the settings that are; by default all others
        """
        for name in sorted(self.identity.keys() | identity.keys()) if only is None else only:
            before, now = self.identity.get(name), identity.get(name)
            if before != now and not (without and name.startswith(without)):
                raise UsageError(
                    f"{self.path} is the weight bank of other settings: {name} was "
                    f"{shown(before)} and is {shown(now)} now; accepted: the settings of the "
                    "bank, or another file"
                )


class WeightBank:
    """Blocks by key: new ones, or those of a file.

    blocks  params and optimizer state of the blocks that `states` has returned, on the device
    """

    def __init__(
        self,
        optimizer: Optimizer,
        seed: int,
        *,
        zero_residual: bool = False,
        file: BankFile | None = None,
    ) -> None:
        self.blocks: dict[str, BlockState] = {}
        self._optimizer, self._seed, self._zero_residual = optimizer, seed, zero_residual
        self._stored = {} if file is None else file.vectors

    def states(self, architecture: Architecture) -> list[BlockState]:
        """Return the blocks of a network in training, which `update` replaces."""
        states = []
        for key, block, shape in _placed(architecture):
            if key not in self.blocks:
                params, optimizer = self._values(key, block, shape)
                if optimizer is None:
                    optimizer = self._optimizer.init(params)
                # Copied: a step deletes what it gets, and values of a file are mapped.
                self.blocks[key] = jax.device_put(
                    jax.tree.map(np.array, BlockState(params, optimizer))
                )
            states.append(self.blocks[key])
        return states

    def update(self, architecture: Architecture, states: Sequence[BlockState]) -> None:
        """Replace the blocks of a network."""
        self.blocks.update(zip(placed_signatures(architecture), states, strict=True))

    def trained(self, architecture: Architecture) -> list[BlockState]:
        """Return the params of a network's blocks as the file has them, which are not kept here.

        A block that no step has updated has its initial values.
        """
        return [BlockState(self._values(*placed)[0], None) for placed in _placed(architecture)]

    def write(
        self,
        path: Path,
        identity: Mapping[str, Any],
        steps: int,
        *,
        finished: bool = False,
        cpu_seconds: float = 0.0,
    ) -> None:
        """Write the bank after a number of steps.

        identity     the settings on which the weights depend, by dotted names
        finished     leave out the optimizers' states
        cpu_seconds  processor time of the steps
        """
        vectors = dict(self._stored)
        for key, state in jax.device_get(self.blocks).items():
            vectors[key] = _joined(state.params), _joined(state.optimizer)
        keys = sorted(vectors)
        head = {
            "format": FORMAT,
            "identity": dict(identity),
            "steps": steps,
            "finished": finished,
            "cpu_seconds": cpu_seconds,
            "keys": keys,
        }
        arrays = {"head": np.frombuffer(json.dumps(head).encode(), np.uint8)}
        for number, key in enumerate(keys):
            params, optimizer = vectors[key]
            arrays[f"{number}.params"] = params
            if not finished:
                assert optimizer is not None  # of a file of a bank in training
                arrays[f"{number}.optimizer"] = optimizer
        write_arrays(path, arrays)

    def _values(self, key: str, block: nn.Module, shape: Shape) -> tuple[Any, Any]:
        """Return a block's params, and its optimizer state where a file has it, else None."""
        if key not in self._stored:
            seed = [self._seed, *key.encode()]
            initial = init_block(block, shape, seed, zero_residual=self._zero_residual)
            return initial["params"], None
        params, optimizer = self._stored[key]
        shapes = block_shapes(block, shape)[0]["params"]
        split = _split(key, params, shapes)
        if optimizer is None:
            return split, None
        return split, _split(key, optimizer, self._optimizer.shapes(shapes))


class Inherited(NamedTuple):
    """A new network some of whose blocks are those of a bank.

    variables  {block: {'params', ...}}, NumPy arrays: of the bank, or initial values
    blocks     number of blocks of the bank
    new        number of blocks that it lacks
    """

    variables: dict[str, Variables]
    blocks: int
    new: int


def inherited(
    file: BankFile, architecture: Architecture, seed: int, *, zero_residual: bool = False
) -> Inherited:
    """Return a network with the blocks that a bank has; the others as `init_variables`."""
    variables = init_variables(architecture, seed, zero_residual=zero_residual)
    blocks = 0
    for name, (key, block, shape) in zip(variables, _placed(architecture), strict=True):
        if key in file.vectors:
            shapes = block_shapes(block, shape)[0]["params"]
            params = _split(key, file.vectors[key][0], shapes)
            # Copied: values of a file are mapped, and a step deletes what it gets.
            variables[name] = {**variables[name], "params": jax.tree.map(np.array, params)}
            blocks += 1
    return Inherited(variables, blocks, len(variables) - blocks)


def bank_bytes(architectures: Sequence[Architecture], optimizer: Optimizer) -> tuple[int, int]:
    """Return the number of blocks that networks have together, and their bytes in training."""
    shapes = {key: (block, shape) for a in architectures for key, block, shape in _placed(a)}
    values = 0
    for block, shape in shapes.values():
        params = block_shapes(block, shape)[0]["params"]
        values += _size(params) + _size(optimizer.shapes(params))
    return len(shapes), 4 * values


def _placed(architecture: Architecture) -> list[tuple[str, nn.Module, Shape]]:
    """Return key, module and shape of the input of every block."""
    blocks = blocks_with_inputs(architecture, images=1)
    return [
        (key, block, shape)
        for key, (_, block, shape) in zip(placed_signatures(architecture), blocks, strict=True)
    ]


def _joined(tree: Any) -> np.ndarray:
    """Return all values of a tree as one vector, in the order of its leaves; their bits, if int."""
    leaves = [np.ravel(leaf).view(np.float32) for leaf in jax.tree.leaves(tree)]
    return np.concatenate([np.zeros(0, np.float32), *leaves])


def _split(key: str, vector: np.ndarray, shapes: Any) -> Any:
    """Return the tree of which `_joined` has made the vector; UsageError for another size."""
    leaves, tree = jax.tree.flatten(shapes)
    if len(vector) != _size(shapes):
        raise UsageError(
            f"weight bank: {len(vector):,} values of {shown(key)}; accepted: {_size(shapes):,}"
        )
    parts = np.split(vector, np.cumsum([math.prod(leaf.shape) for leaf in leaves])[:-1])
    return jax.tree.unflatten(
        tree,
        [
            part.view(leaf.dtype).reshape(leaf.shape)
            for part, leaf in zip(parts, leaves, strict=True)
        ],
    )


def _size(shapes: Any) -> int:
    """Return the number of values of a tree of shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
