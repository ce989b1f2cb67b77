"""A controller of your own beside random search, on the same space and seeds. Five seconds."""

import dataclasses
import statistics
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import mnas
from mnas.controllers import RandomSearch
from mnas.experiment.registry import load_experiment


class State(NamedTuple):
    """Best network so far: decisions int32 [D], and its reward."""

    decisions: jax.Array
    reward: jax.Array


@dataclasses.dataclass(frozen=True)
class HillClimber:
    """Mutation of the best network so far."""

    rate: float = 0.2
    """Probability that a decision is mutated."""

    def build(self, space: mnas.Space) -> mnas.Controller:
        """Return the hill climber over `space`."""
        sizes = jnp.asarray(space.sizes)
        log_prob = -float(np.log(space.sizes).sum())

        def init(key: jax.Array) -> State:
            return State(jnp.zeros_like(sizes), jnp.zeros(()))

        def ask(state: State, key: jax.Array, n: int) -> mnas.Proposals:
            sample_key, mutation_key = jax.random.split(key)
            samples = jax.random.randint(sample_key, (n, len(sizes)), 0, sizes)
            mutated = jax.random.bernoulli(mutation_key, self.rate, samples.shape)
            decisions = space.canonical(jnp.where(mutated, samples, state.decisions))
            return mnas.Proposals(jnp.asarray(decisions), jnp.full(n, log_prob))

        def tell(state: State, proposals: mnas.Proposals, rewards: jax.Array) -> State:
            rewards = jnp.where(jnp.isfinite(rewards), rewards, -jnp.inf)
            best = jnp.argmax(rewards)
            better = rewards[best] > state.reward
            return State(
                jnp.where(better, proposals.decisions[best], state.decisions),
                jnp.where(better, rewards[best], state.reward),
            )

        def summary(state: State) -> dict[str, float]:
            return {"best": float(state.reward)}

        return mnas.Controller(init, ask, tell, summary)


def best_reward(controller, seed: int) -> float:
    """Return the best reward of 200 samples in the space and on the surrogate of b0-imagenet."""
    experiment = dataclasses.replace(
        load_experiment("b0-imagenet"),
        name=f"own-controller-{type(controller).__name__}",
        controller=controller,
        search=mnas.SearchConfig(trials=200, batch=8, seed=seed),
    )
    return mnas.search(experiment, out=f"runs/{experiment.name}-{seed}").best.reward


if __name__ == "__main__":
    for controller in (HillClimber(), RandomSearch()):
        rewards = [best_reward(controller, seed) for seed in range(3)]
        name = type(controller).__name__
        print(f"{name}: {statistics.mean(rewards):.4f} ± {statistics.stdev(rewards):.4f}")
