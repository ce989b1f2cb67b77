"""Search spaces: an architecture's own type with some choices left open.

A space is a *template*: `functools.partial(Architecture, ...)` in which any value, however deep,
may be a `OneOf`. Decoding walks the template and puts a choice wherever a `OneOf` stands; encoding
walks template and architecture side by side. (The idea is PyGlove's, arXiv 2101.08809.)

    Space("tiny", partial(Architecture, resolution=32, blocks=(
        partial(Block, kernel=OneOf(3, 5), stride=2, filters=OneOf(16, 24, 32)),
        partial(Block, kernel=OneOf(3, 5), stride=2, filters=40, repeats=OneOf(1, 2, 3)))))

Traversal order: depth first, keywords and tuple items in the order they are written. A decision is
named by its place, `blocks[1].kernel`. A `OneOf` object that stands in several places is one
decision, named by the first of them (so a cell can be shared by all stages).

Some decisions matter only beside others (`when`). One that does not matter is *inactive*: it counts
in no probability, entropy or mutation, and its canonical value is 0, the first choice. A template
is to say so wherever it holds: then two canonical vectors that differ build networks that differ,
and `cardinality` counts networks.

Shapes: D decisions, P conditions at most of one decision, M choices at most of one decision.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.errors import UsageError


@dataclasses.dataclass(frozen=True, init=False, eq=False)
class OneOf:
    """An open choice. Compared by identity: two equal-looking `OneOf`s are two decisions.

    choices  plain values, all different
    when     the choice matters only when every named sibling (a keyword of the same `partial`)
             has one of the given values; otherwise the first choice stands. Siblings must be
             written before this choice.
    """

    choices: tuple[Any, ...]
    when: Mapping[str, tuple[Any, ...]]

    def __init__(self, *choices: Any, when: Mapping[str, Sequence[Any]] | None = None) -> None:
        if not choices or len(set(choices)) != len(choices):
            raise UsageError(f"OneOf{choices!r}: accepted: one choice or more, all different")
        object.__setattr__(self, "choices", choices)
        conditions = {name: tuple(accepted) for name, accepted in (when or {}).items()}
        object.__setattr__(self, "when", conditions)


@dataclasses.dataclass(frozen=True)
class Decision:
    """A `OneOf` in its place.

    name        like `blocks[1].kernel`
    choices     the values it may take
    conditions  (index of an earlier decision, the choice indices of it under which this one is
                active), all of which must hold
    """

    name: str
    choices: tuple[Any, ...]
    conditions: tuple[tuple[int, frozenset[int]], ...] = ()


class Space:
    """A search space made from a template of `Architecture`.

    name       for people and messages
    template   `functools.partial(Architecture, ...)` with `OneOf` values inside
    decisions  the open choices in traversal order (D of them)
    sizes      int [D], number of choices of each
    parents, accepted   the `when` conditions as arrays, for policies that run under jit:
               decision d is active exactly where, for a canonical vector v,
               all(accepted[d, p, v[parents[d, p]]] for p); int [D, P] and bool [D, P, M]
    """

    def __init__(self, name: str, template: functools.partial) -> None:
        self.name = name
        self.template = template
        self._open: list[OneOf] = []  # the OneOf objects, in the order of `decisions`
        self._found: list[Decision] = []
        self._collect(template, "", {})
        if not self._found:
            raise UsageError(f"space {name}: no choice is open; accepted: one OneOf or more")
        self.decisions = tuple(self._found)
        self.sizes = np.array([len(d.choices) for d in self.decisions], np.int32)
        self.parents, self.accepted = self._condition_arrays()
        self.decode(np.zeros(len(self.sizes), np.int32))  # the template must build at all

    def __repr__(self) -> str:
        return f"Space({self.name!r}, {len(self.decisions)} decisions)"

    # --- the walk over the template ---

    def _collect(self, node: Any, path: str, siblings: dict[str, Any]) -> None:
        if isinstance(node, functools.partial):
            if node.args:
                raise UsageError(
                    f"space {self.name}: {path or 'the template'} has unnamed arguments "
                    f"{node.args!r}; accepted: keywords"
                )
            seen: dict[str, Any] = {}
            for key, value in node.keywords.items():
                self._collect(value, f"{path}.{key}".lstrip("."), seen)
                seen[key] = value
        elif isinstance(node, tuple | list):
            for index, item in enumerate(node):
                self._collect(item, f"{path}[{index}]", {})
        elif isinstance(node, OneOf):
            conditions = self._conditions(node, path, siblings)
            if not any(node is known for known in self._open):
                self._found.append(Decision(path, node.choices, conditions))
                self._open.append(node)
            elif conditions != (first := self._found[self._index(node)]).conditions:
                raise UsageError(
                    f"space {self.name}: {path} is the same decision as {first.name}, but depends "
                    "on others; accepted: a OneOf whose siblings of `when` are shared with it"
                )

    def _conditions(
        self, node: OneOf, path: str, siblings: dict[str, Any]
    ) -> tuple[tuple[int, frozenset[int]], ...]:
        conditions = []
        for key, accepted in node.when.items():
            if key not in siblings:
                raise UsageError(
                    f"space {self.name}: {path} depends on {key!r}; "
                    f"accepted: a sibling written before it ({', '.join(siblings) or 'none'})"
                )
            sibling = siblings[key]
            choices = sibling.choices if isinstance(sibling, OneOf) else (sibling,)
            indices = frozenset(i for i, choice in enumerate(choices) if choice in accepted)
            if not indices:
                raise UsageError(
                    f"space {self.name}: {path} is never active: "
                    f"{key} can't be any of {', '.join(map(str, accepted))}"
                )
            if len(indices) < len(choices):
                conditions.append((self._index(sibling), indices))
        return tuple(conditions)

    def _index(self, node: OneOf) -> int:
        return next(i for i, known in enumerate(self._open) if known is node)

    def decisions_in(self, node: Any) -> list[int]:
        """Indices of the decisions that a part of the template holds, and of those they depend on.

        A part is any value that stands in it: a `partial`, a tuple, a `OneOf`, a plain value.
        """
        found: set[int] = set()

        def walk(node: Any) -> None:
            if isinstance(node, functools.partial):
                walk(tuple(node.keywords.values()))
            elif isinstance(node, tuple | list):
                for item in node:
                    walk(item)
            elif isinstance(node, OneOf):
                d = self._index(node)
                found.update([d], (parent for parent, _ in self.decisions[d].conditions))

        walk(node)
        return sorted(found)

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

    # --- vectors of decisions ---

    def _check(self, decisions: Any) -> np.ndarray:
        vector = np.asarray(decisions)
        if vector.shape[-1:] != (len(self.sizes),) or vector.dtype.kind not in "iu":
            raise UsageError(
                f"space {self.name}: decisions of shape {vector.shape} and type {vector.dtype}; "
                f"accepted: whole numbers [..., {len(self.sizes)}]"
            )
        wrong = np.argwhere((vector < 0) | (vector >= self.sizes))
        if len(wrong):
            d = wrong[0][-1]
            raise UsageError(
                f"space {self.name}: {self.decisions[d].name} = choice {vector[tuple(wrong[0])]}; "
                f"accepted: 0 to {self.sizes[d] - 1}"
            )
        return vector.astype(np.int32)

    def canonical(self, decisions: Any) -> np.ndarray:
        """int32 [..., D]: the same vectors with 0 at every inactive decision."""
        vector = self._check(decisions)
        for d, decision in enumerate(self.decisions):
            if decision.conditions:  # parents come earlier, so they are canonical by now
                values = vector[..., self.parents[d]]
                active = self.accepted[d][np.arange(values.shape[-1]), values].all(-1)
                vector[..., d] = np.where(active, vector[..., d], 0)
        return vector

    def active(self, decisions: Any) -> np.ndarray:
        """Which decisions matter for these vectors [..., D]: bool [..., D]."""
        vector = self.canonical(decisions)
        rows = np.arange(len(self.sizes))[:, None]
        columns = np.arange(self.parents.shape[1])
        return self.accepted[rows, columns, vector[..., self.parents]].all(-1)

    def decode(self, decisions: Any) -> Architecture:
        """The architecture of one vector [D]."""
        vector = self.canonical(decisions)
        if vector.ndim != 1:
            raise UsageError(f"space {self.name}: decode takes one vector, not {vector.shape}")

        def fill(node: Any) -> Any:
            if isinstance(node, functools.partial):
                return node.func(**{key: fill(value) for key, value in node.keywords.items()})
            if isinstance(node, tuple | list):
                return tuple(map(fill, node))
            if isinstance(node, OneOf):
                return node.choices[vector[self._index(node)]]
            return node

        return fill(self.template)

    def encode(self, architecture: Architecture) -> np.ndarray:
        """The canonical vector int32 [D] that decodes to this network; its name is not looked at.

        Raises ValueError naming every decision (or fixed part) that can't express it.
        """
        wanted: dict[int, Any] = {}
        refusals: list[str] = []

        def refuse(path: str, value: Any, accepted: Sequence[Any]) -> None:
            refusals.append(f"{path} = {value!r} (accepted: {', '.join(map(str, accepted))})")

        def read(node: Any, value: Any, path: str) -> None:
            if isinstance(node, functools.partial):
                for field in dataclasses.fields(node.func):
                    if path or field.name != "name":
                        inner = node.keywords.get(field.name, field.default)
                        read(inner, getattr(value, field.name), f"{path}.{field.name}".lstrip("."))
            elif isinstance(node, tuple | list):
                if len(node) != len(value):
                    refuse(f"len({path})", len(value), (len(node),))
                for index, (inner, item) in enumerate(zip(node, value, strict=False)):
                    read(inner, item, f"{path}[{index}]")
            elif isinstance(node, OneOf):
                shared = wanted.setdefault(self._index(node), value)
                if shared != value:
                    refuse(path, value, (shared,))
            elif node != value:
                refuse(path, value, (node,))

        read(self.template, architecture, "")
        vector = np.zeros(len(self.sizes), np.int32)
        for d, decision in enumerate(self.decisions):
            active = all(vector[parent] in indices for parent, indices in decision.conditions)
            if not active or d not in wanted:
                continue
            if wanted[d] in decision.choices:
                vector[d] = decision.choices.index(wanted[d])
            else:
                refuse(decision.name, wanted[d], decision.choices)
        if refusals:
            raise UsageError(
                f"space {self.name} can't express {architecture.name}: {'; '.join(refusals)}"
            )
        # An inactive choice stands at its first value, which need not be what was asked for.
        if self.decode(vector).canonical_hash() != architecture.canonical_hash():
            for d in np.flatnonzero(~self.active(vector)):
                if wanted[d] != self.decisions[d].choices[0]:
                    refuse(self.decisions[d].name, wanted[d], self.decisions[d].choices[:1])
            raise UsageError(
                f"space {self.name} can't express {architecture.name}: {'; '.join(refusals)}"
            )
        return vector

    # --- exploring ---

    def cardinality(self) -> int:
        """The exact number of networks: canonical vectors, counted without listing them.

        Walks the decisions in order and keeps one count for every combination of the earlier
        decisions that later ones still depend on.
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
                still = [item for item in known if last_use[item[0]] > d]
                if d not in last_use:
                    after_key = tuple(still)
                    ways = len(decision.choices) if active else 1
                    after[after_key] = after.get(after_key, 0) + count * ways
                    continue
                for choice in range(len(decision.choices)) if active else (0,):
                    after_key = (*still, (d, choice))
                    after[after_key] = after.get(after_key, 0) + count
            counts = after
        return sum(counts.values())

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """A canonical vector int32 [D], every active decision uniform (given the earlier ones)."""
        return self.canonical(rng.integers(0, self.sizes))

    def neighbours(self, decisions: Any) -> Iterator[np.ndarray]:
        """All canonical vectors that differ from this one [D] by changing one active decision.

        A change that wakes up further decisions finds them at their first choice.
        """
        vector = self.canonical(decisions)
        for d in np.flatnonzero(self.active(vector)):
            for choice in range(self.sizes[d]):
                if choice != vector[d]:
                    changed = vector.copy()
                    changed[d] = choice
                    yield self.canonical(changed)

    def describe(self, decisions: Any) -> dict[str, Any]:
        """Name and chosen value of every active decision of one vector [D]."""
        vector = self.canonical(decisions)
        return {
            self.decisions[d].name: self.decisions[d].choices[vector[d]]
            for d in np.flatnonzero(self.active(vector))
        }
