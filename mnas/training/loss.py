"""Label-smoothed cross-entropy, of labels or of class probabilities."""

import jax
import optax


def cross_entropy(logits: jax.Array, targets: jax.Array, label_smoothing: float) -> jax.Array:
    """Return the mean cross-entropy, [], of logits [B, K].

    targets          labels, integers [B], or class probabilities [B, K], as of mixed images
    label_smoothing  probability mass that is spread over all classes
    """
    if targets.ndim == 1:
        targets = jax.nn.one_hot(targets, logits.shape[-1])
    targets = optax.smooth_labels(targets, label_smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()
