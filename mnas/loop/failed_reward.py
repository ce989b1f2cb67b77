"""Reward of failed evaluations: never above that of a valid network.

    R_failed = min(failed_reward, min over c of R(0, c))

    R(a, c)  reward of accuracy a at cost c, which increases with a
    c        costs of the networks so far

So no network of these costs can have less, and what failures count depends on batches only, not on
the order of results: mult-adds and parameters of a network are known when it is proposed, latencies
when its batch is complete. R(0, c) is 0 for the soft and the hard form. It is negative for the
absolute form, where a fixed reward of 0 would draw a search towards networks that fail.
"""

from mnas.reward import RewardConfig


class FailedReward:
    """The reward of failed evaluations, lowered as costs become known.

    value  the reward
    """

    def __init__(self, configured: float, reward: RewardConfig) -> None:
        self.value = configured
        self._reward = reward

    def add(self, cost: float) -> None:
        """Lower the reward to that of accuracy 0 at `cost`."""
        self.value = min(self.value, self._reward(0.0, cost))
