"""A search on three Ray nodes, one of which is killed in the middle. Half a minute.

The nodes are processes of this machine. With real machines, `address` is that of their head.
"""

import dataclasses
import time

import ray
from ray.cluster_utils import Cluster

import mnas
from mnas.controllers import Evolution
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.experiment.registry import load_experiment


@dataclasses.dataclass(frozen=True)
class Slow:
    """The surrogate's accuracy after a pause, which stands for a training."""

    seconds: float = 0.3
    """Seconds of the pause."""

    def build(self):
        """Return the evaluator; called once in every worker."""
        surrogate = SurrogateConfig().build()

        def evaluate(architecture, seed, report=None):
            time.sleep(self.seconds)
            return surrogate(architecture, seed)

        return evaluate


def run_search(out, engine, observers=()):
    """Return the run of 48 trials in `out`."""
    experiment = dataclasses.replace(
        load_experiment("b0-imagenet"),
        name="many-machines",
        controller=Evolution(population=12, tournament=4),
        evaluator=Slow(),
        search=mnas.SearchConfig(trials=48, batch=12),
        engine=engine,
    )
    return mnas.search(experiment, out=out, observers=observers)


def facts(run):
    """Return what a search has found: decisions and reward of every trial."""
    return [(run.decisions[result.trial], result.reward) for result in run.results]


if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    machines = [cluster.add_node(num_cpus=1) for _ in range(2)]

    def kill_a_machine(record):
        """Kill a node at the result of trial 20, in the second batch."""
        if getattr(record, "trial", None) == 20 and len(machines) == 2:
            cluster.remove_node(machines.pop(), allow_graceful=False)

    try:
        engine = mnas.EngineConfig(address=cluster.address, pin=False)
        killed = run_search("runs/killed", engine, [kill_a_machine])
    finally:
        ray.shutdown()
        cluster.shutdown()
    undisturbed = run_search("runs/undisturbed", mnas.EngineConfig(kind="inline"))

    failed = sum(result.error is not None for result in killed.results)
    print(f"{len(killed.results)} trials, {failed} failed, {2 - len(machines)} node killed")
    print("the same search:", facts(killed) == facts(undisturbed))
    print(f"best reward {killed.best.reward:.4f}")
