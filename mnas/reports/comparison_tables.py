"""Tables and notes of a comparison of two architectures, as text."""

from mnas.analysis.comparison import FIELDS, RARE_SETTINGS, Comparison, totals
from mnas.reports.text import plus_minus

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]  # (heads, rows)

LABELS = {
    "mult_adds": "mult-adds",
    "mean_filters": "mean filters",
    "expand_ratio": "expand",
    "se_ratio": "SE",
}


def tables(comparison: Comparison) -> list[Table]:
    """Return three tables: the whole networks, the decisions by stage, the costs by part."""
    return [_totals(comparison), _decisions(comparison), _costs(comparison)]


def notes(comparison: Comparison) -> list[str]:
    """Return remarks on the tables, one line each."""
    name = comparison.reference.name
    lines = [f"Where a stage differs, the value of {name} is in parentheses; - means none."]
    if comparison.same:
        lines.append("Both build the same network.")
    if comparison.resized_from:
        changes = (
            f"{setting} {getattr(comparison.reference, setting)} (from {original})"
            for setting, original in comparison.resized_from.items()
        )
        lines.append(f"{name} was resized to {' and '.join(changes)}.")
    if comparison.predictions:
        lines.append(
            "Predicted top-1 is the accuracy after 16 epochs of training, by fits to measured "
            "networks. Such a short schedule favours small networks and does not predict the order "
            "after full training. The fits are most accurate near the measured networks; where "
            "they differ by more than their standard deviations, neither is reliable."
        )
    if comparison.prediction_error:
        lines.append(f"No predicted accuracy: {comparison.prediction_error}")
    return lines


def _totals(comparison: Comparison) -> Table:
    network, reference = totals(comparison.network), totals(comparison.reference)
    rows: list[tuple[str, ...]] = []
    for name, value in network.items():
        other = reference[name]
        if name in RARE_SETTINGS and value == other:
            continue
        ratio = f"×{value / other:.3f}" if name in ("mult_adds", "params") else ""
        rows.append((LABELS.get(name, name), _text(value), _text(other), ratio))
    for fit, both in comparison.predictions.items():
        cells = (plus_minus(100 * mean, 100 * std, digits=2) for mean, std in both)
        rows.append((f"top-1 by {fit}, %", *cells, f"{100 * (both[0][0] - both[1][0]):+.2f}"))
    for fit, (ours, theirs) in comparison.rewards.items():
        rows.append((f"reward by {fit}", f"{ours:.4f}", f"{theirs:.4f}", f"{ours - theirs:+.4f}"))
    return ("", comparison.network.name, comparison.reference.name, "change"), rows


def _decisions(comparison: Comparison) -> Table:
    rows = []
    for paired in comparison.parts:
        if any(part and part.block for part in paired.pair):
            pairs = [tuple(map(_text, paired.values(field))) for field in FIELDS]
            cells = (ours if ours == theirs else f"{ours} ({theirs})" for ours, theirs in pairs)
            rows.append((paired.name, *cells))
    return ("", *(LABELS.get(field, field) for field in FIELDS)), rows


def _costs(comparison: Comparison) -> Table:
    rows = []
    for paired in comparison.parts:
        costs = [part and part.cost for part in paired.pair]
        figures = [getattr(cost, kind, None) for kind in ("mult_adds", "params") for cost in costs]
        rows.append((paired.name, *map(_text, figures)))
    return ("", "mult-adds", "reference", "params", "reference"), rows


def _text(value: float | str | bool | None) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
