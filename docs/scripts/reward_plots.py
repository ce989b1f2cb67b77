"""Plots of the three forms of the reward, as SVG, from `mnas.reward` itself."""

import io

import matplotlib
from matplotlib.figure import Figure

from mnas.reward import RewardConfig

TARGET = 400e6
ACCURACIES = (0.60, 0.65, 0.70)
COSTS = [TARGET * n / 100 for n in range(25, 201)]
FORMS = ("soft", "hard", "absolute")


def plots() -> dict[str, bytes]:
    """Return the SVG of each form."""
    return {form: plot(RewardConfig(form=form, target_madds=TARGET)) for form in FORMS}


def plot(reward: RewardConfig) -> bytes:
    """Return the reward over the cost, for several accuracies, as SVG."""
    style = {"svg.fonttype": "none", "svg.hashsalt": "mnas", "font.size": 11}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(7.2, 3.0), layout="constrained")
        axes = figure.subplots()
        for accuracy in ACCURACIES:
            values = [reward(accuracy, cost) for cost in COSTS]
            axes.plot([cost / 1e6 for cost in COSTS], values, label=f"accuracy {accuracy:.2f}")
        axes.axvline(TARGET / 1e6, color="gray", linestyle="dotted")
        axes.set(xlabel="mult-adds, M", ylabel="reward", title=f"{reward.form}, T = 400M")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right center", frameon=False)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
