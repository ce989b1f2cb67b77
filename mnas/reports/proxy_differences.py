"""Picture of what variants of a proxy gain or lose in ranking networks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnas.analysis.rank_agreement import Estimate
from mnas.reports.figures import (
    default_style,
    label,
    legend_beside,
    marker_style,
    new_figure,
    write_svg,
)
from mnas.reports.proxy_quality import HEADS

# Height of a variant in the picture, in lines of a legend.
LINES = 1.6


def write_picture(
    path: Path, gains: Mapping[str, Mapping[str, Estimate]], measures: Sequence[str]
) -> None:
    """Write the gains of variants with their intervals, one below the other, as SVG.

    gains  by variant and measure; those that are undefined are left out

    Raises OSError where it can't be written.
    """
    with default_style():
        figure, axes = new_figure(
            "variants of a proxy beside the base",
            "difference of Kendall's τ with full training",
            "",
            lines=round(LINES * len(gains)),
        )
        axes.axvline(0, color="#888888", linewidth=1)
        for m, measure in enumerate(measures):
            offset = (m - (len(measures) - 1) / 2) * 0.3
            points = [
                (row + offset, gain)
                for row, of_variant in enumerate(gains.values())
                if (gain := of_variant[measure]).value is not None
            ]
            _add_points(axes, points, label(HEADS[measure]), m)
        axes.set_yticks(range(len(gains)), [label(name) for name in gains])
        axes.invert_yaxis()
        legend_beside(figure)
        write_svg(path, figure)


def _add_points(axes: Any, points: list[tuple[float, Estimate]], name: str, index: int) -> None:
    """Draw gains at their heights, with their intervals."""
    values = np.array([gain.value for _, gain in points], float)
    # Of a gain without an interval, NaN: nothing is drawn beside it.
    low, high = (np.array([getattr(g, end) for _, g in points], float) for end in ("low", "high"))
    axes.errorbar(
        values,
        [height for height, _ in points],
        xerr=[np.maximum(values - low, 0), np.maximum(high - values, 0)],
        linestyle="none",
        capsize=3,
        label=name,
        **marker_style(index),
    )
