"""A controller together with its state, from journal or snapshot.

Computes with JAX's default settings (`mnas.runtime.jax_settings`), whatever those of the user are.
"""

import time

import jax
import numpy as np

from mnas.controller import Controller, Proposals
from mnas.loop.snapshot import Snapshots
from mnas.runtime.jax_settings import default_settings


class StatefulController:
    """A controller and its state after the updates so far.

    state    the state; after a restoration, that of the snapshot
    updates  number of updates so far, those that the snapshot spares included

    A search replays its updates with `tell`. Those that the snapshot's state already has are only
    counted.
    """

    def __init__(
        self, controller: Controller, seed: int, snapshots: Snapshots | None = None
    ) -> None:
        self._controller, self._snapshots = controller, snapshots
        self.updates, self._restored = 0, 0
        with default_settings():
            self._key = jax.random.key(seed)
            self.state = controller.init(jax.random.fold_in(self._key, 0))
            if snapshots is not None and (restored := snapshots.restore(self.state)) is not None:
                self.state, self._restored = restored

    def ask(self, count: int) -> Proposals:
        """Return the proposals of the next batch; their key depends on seed and batch only."""
        with default_settings():
            key = jax.random.fold_in(jax.random.fold_in(self._key, 1), self.updates)
            decisions, log_probs = self._controller.ask(self.state, key, count)
            return Proposals(np.asarray(decisions), np.asarray(log_probs))

    def tell(self, proposals: Proposals, rewards: np.ndarray) -> None:
        """Update the state with a complete batch, if it hasn't been already."""
        if self.updates >= self._restored:
            start = time.perf_counter()
            with default_settings():
                self.state = self._controller.tell(self.state, proposals, rewards)
            if self._snapshots is not None:
                jax.block_until_ready(self.state)  # type: ignore[no-untyped-call]
                self._snapshots.spent(time.perf_counter() - start)
        self.updates += 1

    def summary(self) -> dict[str, float]:
        """Return the controller's numbers for people."""
        with default_settings():
            return self._controller.summary(self.state)

    def keep(self, record: int, checksum: bytes) -> None:
        """Write a snapshot if one is due, after an update record of the journal.

        record, checksum  the record's number and checksum
        """
        if self._snapshots is not None:
            with default_settings():
                self._snapshots.write_if_due(self.state, record, checksum)
