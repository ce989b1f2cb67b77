"""Accuracy of a network, its likelihood and its class probabilities, on all images of a feed."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mnas.data.batches import ordered_batches
from mnas.data.feeds import Feed
from mnas.nn.network import Shape, Variables
from mnas.training.accuracy import Score
from mnas.training.child import Inference

TOP = 5

Compile = Callable[[Mapping[str, Variables], Shape], Inference]


class HeldOut(NamedTuple):
    """Scores on held-out images, 0 to 1.

    accuracy    top-1
    likelihood  geometric mean of the labels' probabilities, exp(-cross-entropy)
    """

    accuracy: float
    likelihood: float


def held_out_scores(
    compile_: Compile, variables: Mapping[str, Variables], feed: Feed, batch_size: int
) -> HeldOut:
    """Return the scores of a network on all images of a feed.

    compile_  variables and the shape of a batch → inference

    Images whose logits are NaN are classified wrongly; the likelihood is 0 then.
    """
    variables = jax.device_put(variables)
    infer = compile_(variables, (batch_size, feed.resolution, feed.resolution, 3))
    logits = [infer(variables, images) for images, _ in ordered_batches(feed, batch_size)]
    values = np.concatenate(jax.device_get(logits))[: len(feed)].astype(np.float64)
    numbers = ~np.isnan(values).any(-1)
    accuracy = ((values.argmax(-1) == feed.labels) & numbers).mean()
    if not numbers.all():
        return HeldOut(float(accuracy), 0.0)
    values -= values.max(-1, keepdims=True)  # the sum of exponentials neither overflows nor is 0
    own = np.take_along_axis(values, feed.labels[:, None], 1)[:, 0]
    log_likelihood = (own - np.log(np.exp(values).sum(-1))).mean()
    return HeldOut(float(accuracy), float(np.exp(log_likelihood)))


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


def probabilities(
    infer: Callable[[jax.Array], jax.Array],
    feed: Feed,
    batch_size: int,
    progress: Callable[[int], object] = lambda images: None,
) -> np.ndarray:
    """Return the class probabilities of all images of a feed, float32 [N, K].

    infer     images [B, R, R, 3] → logits [B, K]
    progress  called with the number of images done

    Raises FloatingPointError where logits are not finite.
    """
    found = []
    for number, (images, _) in enumerate(ordered_batches(feed, batch_size), start=1):
        found.append(np.asarray(jax.nn.softmax(infer(images))))
        progress(min(number * batch_size, len(feed)))
    values = np.concatenate(found)[: len(feed)]
    if not np.isfinite(values).all():
        raise FloatingPointError("class probabilities are not finite")
    return values


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
