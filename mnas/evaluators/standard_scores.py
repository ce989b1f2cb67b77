"""Standardised scores in place of accuracies: of networks that are ranked, and not trained.

A score that ranks networks is on a scale of its own. In a reward, accuracy × (cost / target)^w, the
spread of accuracies decides how much cost an improvement is worth: a score that spreads twice as
much as accuracies do makes the search pay twice the cost. So a standardised score

    z = (score - mean) / std        over random networks of the space

stands for the accuracy

    ½ · (1 + u / (1 + |u|))         u = spread · z

which rises strictly with the score and lies between 0 and 1. A network one standard deviation
better than the mean has an accuracy higher by the fraction `spread`. It is no estimate of an
accuracy. Imports no JAX.
"""

# Spread of accuracies over their median, of 300 networks of NAS-Bench-Macro (arXiv 2103.11922)
# trained to the end: interquartile range, in standard deviations of a normal distribution. The
# standard deviation, 0.0267, is that of a few networks of hardly any layers.
SPREAD = 0.0205


def accuracy_of(z: float, spread: float = SPREAD) -> float:
    """Return the accuracy that a standardised score stands for, above 0 and below 1."""
    u = spread * z
    return 0.5 * (1 + u / (1 + abs(u)))
