"""Top-1 and top-5 accuracy of a network on all images of a feed."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mnas.data.batches import ordered_batches
from mnas.data.feeds import Feed
from mnas.nn.network import Variables
from mnas.training.accuracy import Score
from mnas.training.child import Blocks, inference

TOP = 5


def top1_accuracy(
    blocks: Blocks, variables: Mapping[str, Variables], feed: Feed, batch_size: int
) -> float:
    """Return top-1 accuracy of a chain of blocks on all images of a feed, 0 to 1."""
    variables = jax.device_put(variables)
    infer = inference(blocks, variables, (batch_size, feed.resolution, feed.resolution, 3))
    logits = [infer(variables, images) for images, _ in ordered_batches(feed, batch_size)]
    predictions = np.concatenate(jax.device_get(logits))[: len(feed)].argmax(-1)
    return float((predictions == feed.labels).mean())


def score(infer: Callable[[jax.Array], jax.Array], feed: Feed, batch_size: int) -> Score:
    """Return how many of all images of a feed are classified correctly.

    infer  images [B, R, R, 3] → logits [B, K]

    Images whose logits are NaN are not.
    """
    count, counts = len(feed), []
    for number, (images, labels) in enumerate(ordered_batches(feed, batch_size)):
        valid = np.arange(batch_size) < count - number * batch_size
        logits = infer(images)
        counts.append(_correct(logits, labels, valid))
    top1, top5 = (int(total) for total in np.sum(jax.device_get(counts), 0))
    return Score(count, top1, top5 if logits.shape[-1] > TOP else None)


@jax.jit
def _correct(logits, labels, valid):
    """Return how many of the valid labels have the largest logit, and one of the five largest.

    Of equal logits, the first is the largest.
    """
    own = jnp.take_along_axis(logits, labels[:, None], 1)
    earlier = jnp.arange(logits.shape[-1]) < labels[:, None]
    larger = ((logits > own) | ((logits == own) & earlier)).sum(1)
    valid = valid & ~jnp.isnan(logits).any(1)
    return (valid & (larger < 1)).sum(), (valid & (larger < TOP)).sum()
