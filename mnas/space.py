"""The contract of a search space: an architecture's own type with some values left open.

A space is a *template*: `functools.partial(Architecture, ...)` in which any value, at any depth,
may be a `OneOf`. Decoding walks the template and substitutes one choice for each `OneOf`; encoding
walks template and architecture side by side. (The idea is PyGlove's, arXiv 2101.08809.)

    Space("tiny", partial(Architecture, resolution=32, blocks=(
        partial(Block, kernel=OneOf(3, 5), stride=2, filters=OneOf(16, 24, 32)),
        partial(Block, kernel=OneOf(3, 5), stride=2, filters=40, repeats=OneOf(1, 2, 3)))))

Traversal order: depth first, keywords and tuple items in the order in which they are written. A
decision is named by its path in the template, `blocks[1].kernel`. A `OneOf` object that occurs at
several paths is one decision, named by the first of them (so a cell can be shared by all stages).

Some decisions matter only for certain values of others (`when`). One that does not matter is
*inactive*: it is left out of probabilities, entropies and mutations, and its canonical value is 0,
the first choice. If a template declares every such condition, different canonical vectors build
different networks, and `cardinality` counts networks.

Shapes: D decisions, P conditions of one decision at most, M choices of one decision at most.
Errors: a malformed template or decision vector is a ValueError; a network that the space cannot
represent is a UsageError.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import KEPT_STAGES
from mnas.errors import UsageError


@dataclasses.dataclass(frozen=True, init=False, eq=False)
class OneOf:
    """An open choice. Compared by identity: two `OneOf(3, 5)` are two decisions.

    choices  plain values, all different
    when     {sibling: accepted values}: the choice is active only if every named sibling (a keyword
             of the same `partial`, written before this one) has one of the accepted values;
             otherwise the first choice applies

    Raises ValueError if choices are missing or equal.
    """

    choices: tuple[Any, ...]
    when: Mapping[str, tuple[Any, ...]]

    def __init__(self, *choices: Any, when: Mapping[str, Sequence[Any]] | None = None) -> None:
        if not choices or len(set(choices)) != len(choices):
            raise ValueError(f"OneOf{choices!r}; accepted: one choice or more, all different")
        object.__setattr__(self, "choices", choices)
        conditions = {name: tuple(accepted) for name, accepted in (when or {}).items()}
        object.__setattr__(self, "when", conditions)


@dataclasses.dataclass(frozen=True)
class Decision:
    """A `OneOf` at its path in a template.

    name        the path, such as `blocks[1].kernel`
    choices     the values to choose from
    conditions  (index of an earlier decision, indices of its accepted choices); the decision is
                active if all of them hold
    """

    name: str
    choices: tuple[Any, ...]
    conditions: tuple[tuple[int, frozenset[int]], ...] = ()


class Space:
    """Search space built from a template of `Architecture`.

    name       for people and messages
    template   `functools.partial(Architecture, ...)` with `OneOf` values inside
    decisions  the open choices in traversal order (D of them)
    sizes      int32 [D], number of choices of each
    parents, accepted   the `when` conditions as arrays, for policies that run under jit:
               decision d is active if and only if, for a canonical vector v,
               all(accepted[d, p, v[parents[d, p]]] for p); int32 [D, P] and bool [D, P, M]

    Raises ValueError for a malformed template.
    """

    def __init__(self, name: str, template: functools.partial[Architecture]) -> None:
        self.name = name
        self.template = template
        self._indices: dict[OneOf, int] = {}  # of the decisions
        self._used: dict[functools.partial[Any], tuple[int, ...]] = {}  # decisions of each part
        self._collected: list[Decision] = []
        self._collect(template, "", {})
        if not self._collected:
            raise ValueError(f"space {name}: no choice is open; accepted: one OneOf or more")
        self.decisions = tuple(self._collected)
        self.sizes = np.array([len(d.choices) for d in self.decisions], np.int32)
        self.parents, self.accepted = self._condition_arrays()
        self.decode(np.zeros(len(self.sizes), np.int32))  # the template must build at all

    def __repr__(self) -> str:
        return f"Space({self.name!r}, {len(self.decisions)} decisions)"

    # --- reading the template ---

    def _collect(self, node: Any, path: str, siblings: dict[str, Any]) -> None:
        if isinstance(node, functools.partial):
            if node.args:
                raise ValueError(
                    f"space {self.name}: {path or 'the template'} has unnamed arguments "
                    f"{node.args!r}; accepted: keywords"
                )
            earlier: dict[str, Any] = {}
            for key, value in node.keywords.items():
                self._collect(value, f"{path}.{key}".lstrip("."), earlier)
                earlier[key] = value
        elif isinstance(node, tuple | list):
            for index, item in enumerate(node):
                self._collect(item, f"{path}[{index}]", {})
        elif isinstance(node, OneOf):
            self._collect_choice(node, path, self._conditions(node, path, siblings))

    def _collect_choice(
        self, node: OneOf, path: str, conditions: tuple[tuple[int, frozenset[int]], ...]
    ) -> None:
        if node not in self._indices:
            self._indices[node] = len(self._collected)
            self._collected.append(Decision(path, node.choices, conditions))
            return
        first = self._collected[self._indices[node]]
        if conditions != first.conditions:
            raise ValueError(
                f"space {self.name}: {path} is the same decision as {first.name}, but depends "
                "on others; accepted: a OneOf whose siblings of `when` are shared with it"
            )

    def _conditions(
        self, node: OneOf, path: str, siblings: dict[str, Any]
    ) -> tuple[tuple[int, frozenset[int]], ...]:
        conditions = []
        for key, accepted in node.when.items():
            if key not in siblings:
                raise ValueError(
                    f"space {self.name}: {path} depends on {key!r}; "
                    f"accepted: a sibling written before it ({', '.join(siblings) or 'none'})"
                )
            sibling = siblings[key]
            choices = sibling.choices if isinstance(sibling, OneOf) else (sibling,)
            indices = frozenset(i for i, choice in enumerate(choices) if choice in accepted)
            if not indices:
                raise ValueError(
                    f"space {self.name}: {path} is never active: "
                    f"{key} can't be any of {', '.join(map(str, accepted))}"
                )
            if len(indices) < len(choices):  # otherwise the condition always holds
                conditions.append((self._indices[sibling], indices))
        return tuple(conditions)

    def _condition_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        count, most = len(self.decisions), int(self.sizes.max())
        width = max(1, *(len(decision.conditions) for decision in self.decisions))
        parents = np.zeros((count, width), np.int32)
        accepted = np.ones((count, width, most), bool)
        for d, decision in enumerate(self.decisions):
            for p, (parent, indices) in enumerate(decision.conditions):
                parents[d, p] = parent
                accepted[d, p] = [index in indices for index in range(most)]
        return parents, accepted

    def decisions_in(self, node: Any) -> list[int]:
        """Return the indices of all decisions in a part of the template, with their parents.

        node  any value of the template: a `partial`, a tuple, a `OneOf`, a plain value
        """
        indices: set[int] = set()

        def walk(node: Any) -> None:
            if isinstance(node, functools.partial):
                walk(tuple(node.keywords.values()))
            elif isinstance(node, tuple | list):
                for item in node:
                    walk(item)
            elif isinstance(node, OneOf):
                d = self._indices[node]
                indices.update([d], (parent for parent, _ in self.decisions[d].conditions))

        walk(node)
        return sorted(indices)

    # --- decision vectors ---

    def _checked(self, decisions: Any) -> np.ndarray:
        """Return a copy as int32 [..., D]. Raises ValueError for another shape or type."""
        vector = np.asarray(decisions)
        if vector.shape[-1:] != (len(self.sizes),) or vector.dtype.kind not in "iu":
            raise ValueError(
                f"space {self.name}: decisions of shape {vector.shape} and type {vector.dtype}; "
                f"accepted: whole numbers [..., {len(self.sizes)}]"
            )
        wrong = np.argwhere((vector < 0) | (vector >= self.sizes))
        if len(wrong):
            d = wrong[0][-1]
            raise ValueError(
                f"space {self.name}: {self.decisions[d].name} = choice {vector[tuple(wrong[0])]}; "
                f"accepted: 0 to {self.sizes[d] - 1}"
            )
        return vector.astype(np.int32)

    def canonical(self, decisions: Any) -> np.ndarray:
        """Return vectors [..., D] with 0 at every inactive decision, int32 [..., D]."""
        vector = self._checked(decisions)
        for d, decision in enumerate(self.decisions):
            if decision.conditions:  # on earlier decisions, which are canonical by now
                values = vector[..., self.parents[d]]
                active = self.accepted[d][np.arange(values.shape[-1]), values].all(-1)
                vector[..., d] = np.where(active, vector[..., d], 0)
        return vector

    def active(self, decisions: Any) -> np.ndarray:
        """Return whether each decision of vectors [..., D] is active, bool [..., D]."""
        vector = self.canonical(decisions)
        rows = np.arange(len(self.sizes))[:, None]
        columns = np.arange(self.parents.shape[1])
        return self.accepted[rows, columns, vector[..., self.parents]].all(-1)

    def decode(self, decisions: Any) -> Architecture:
        """Return the architecture of one vector [D]."""
        vector = self.canonical(decisions)
        if vector.ndim != 1:
            raise ValueError(f"space {self.name}: decode takes one vector, not {vector.shape}")
        choices = dict(enumerate(vector.tolist()))
        keywords = self.template.keywords.items()
        return self.template.func(**{key: self._fill(value, choices) for key, value in keywords})

    def _fill(self, node: Any, choices: Mapping[int, int]) -> Any:
        """Return the value of a part of the template for the choices of its decisions."""
        if isinstance(node, functools.partial):
            used = self._used.get(node)
            if used is None:
                used = self._used[node] = tuple(self.decisions_in(node))
            return _filled(self, node, tuple([(d, choices[d]) for d in used]))
        if isinstance(node, tuple | list):
            return tuple([self._fill(item, choices) for item in node])
        if isinstance(node, OneOf):
            return node.choices[choices[self._indices[node]]]
        return node

    def encode(self, architecture: Architecture) -> np.ndarray:
        """Return the canonical vector int32 [D] of a network; its name is ignored.

        Raises UsageError naming every field whose value the space cannot represent.
        """
        values, mismatches = self._read(architecture)
        vector = np.zeros(len(self.sizes), np.int32)
        for d, decision in enumerate(self.decisions):
            active = all(vector[parent] in indices for parent, indices in decision.conditions)
            if not active or d not in values:
                continue
            if values[d] in decision.choices:
                vector[d] = decision.choices.index(values[d])
            else:
                mismatches.append(_mismatch(decision.name, values[d], decision.choices))
        if mismatches:
            raise self._unrepresentable(architecture, mismatches)
        # Where a template declares a decision inactive that does matter, the first choice applies,
        # and the network may be another one.
        if self.decode(vector).canonical_hash() != architecture.canonical_hash():
            for d in np.flatnonzero(~self.active(vector)).tolist():
                decision = self.decisions[d]
                if values[d] != decision.choices[0]:
                    mismatches.append(_mismatch(decision.name, values[d], decision.choices[:1]))
            raise self._unrepresentable(architecture, mismatches)
        return vector

    def _read(self, architecture: Architecture) -> tuple[dict[int, Any], list[str]]:
        """Return the network's value of each decision, and its differences from the fixed parts."""
        values: dict[int, Any] = {}
        mismatches: list[str] = []

        def read(node: Any, value: Any, path: str) -> None:
            if isinstance(node, functools.partial):
                dataclass: Any = node.func
                for field in dataclasses.fields(dataclass):
                    if path or field.name != "name":
                        inner = node.keywords.get(field.name, field.default)
                        read(inner, getattr(value, field.name), f"{path}.{field.name}".lstrip("."))
            elif isinstance(node, tuple | list):
                if len(node) != len(value):
                    mismatches.append(_mismatch(f"len({path})", len(value), (len(node),)))
                for index, (inner, item) in enumerate(zip(node, value, strict=False)):
                    read(inner, item, f"{path}[{index}]")
            elif isinstance(node, OneOf):
                first = values.setdefault(self._indices[node], value)
                if first != value:
                    mismatches.append(_mismatch(path, value, (first,)))
            elif node != value:
                mismatches.append(_mismatch(path, value, (node,)))

        read(self.template, architecture, "")
        return values, mismatches

    def _unrepresentable(self, architecture: Architecture, mismatches: list[str]) -> UsageError:
        return UsageError(
            f"space {self.name} can't represent {architecture.name}: {'; '.join(mismatches)}"
        )

    # --- exploration ---

    def cardinality(self) -> int:
        """Return the exact number of networks: canonical vectors, counted without listing them.

        Dynamic programming over the decisions in order: one count for each combination of those
        earlier decisions that later ones depend on.
        """
        last_use = {}
        for d, decision in enumerate(self.decisions):
            for parent, _ in decision.conditions:
                last_use[parent] = d
        counts: dict[tuple[tuple[int, int], ...], int] = {(): 1}
        for d, decision in enumerate(self.decisions):
            after: dict[tuple[tuple[int, int], ...], int] = {}
            for known, count in counts.items():
                values = dict(known)
                active = all(values[parent] in indices for parent, indices in decision.conditions)
                needed = tuple(item for item in known if last_use[item[0]] > d)
                choices = range(len(decision.choices)) if active else range(1)
                if d in last_use:
                    for choice in choices:
                        key = (*needed, (d, choice))
                        after[key] = after.get(key, 0) + count
                else:
                    after[needed] = after.get(needed, 0) + count * len(choices)
            counts = after
        return sum(counts.values())

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """Return a random canonical vector int32 [D]; each active decision is uniform."""
        return self.canonical(rng.integers(0, self.sizes))

    def neighbours(self, decisions: Any) -> Iterator[np.ndarray]:
        """Yield all canonical vectors that differ from this one [D] in one active decision.

        Decisions that become active by the change have their first choice.
        """
        vector = self.canonical(decisions)
        for d in np.flatnonzero(self.active(vector)):
            for choice in range(self.sizes[d]):
                if choice != vector[d]:
                    changed = vector.copy()
                    changed[d] = choice
                    yield self.canonical(changed)

    def describe(self, decisions: Any) -> dict[str, Any]:
        """Return the value of every active decision of one vector [D] by its name."""
        vector = self.canonical(decisions)
        return {
            self.decisions[d].name: self.decisions[d].choices[vector[d]]
            for d in np.flatnonzero(self.active(vector))
        }


@functools.lru_cache(KEPT_STAGES)
def _filled(
    space: Space, node: functools.partial[Any], choices: tuple[tuple[int, int], ...]
) -> Any:
    """Return the value of a `partial` of the template, such as a stage, for (decision, choice)s."""
    at = dict(choices)
    return node.func(**{key: space._fill(value, at) for key, value in node.keywords.items()})


def _mismatch(path: str, value: Any, accepted: Sequence[Any]) -> str:
    return f"{path} = {value!r} (accepted: {', '.join(map(str, accepted))})"
