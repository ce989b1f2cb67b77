"""Styles of figures by matplotlib."""

from mnas.reports.figures import default_style, legend_beside, line_style, marker_style, new_figure


def test_styles_of_42_lines_differ():
    assert len({str(line_style(index)) for index in range(42)}) == 42
    assert len({str(marker_style(index)) for index in range(42)}) == 42


def test_legend_of_twelve_lines_is_beside_the_axes():
    with default_style():
        figure, axes = new_figure("title", "trial", "reward", lines=12)
        for index in range(12):
            axes.plot([0, 1], [index, 1], label=f"line {index}", **line_style(index))
        legend_beside(figure)
        figure.draw_without_rendering()
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 12 and axes.get_legend() is None
    assert legend.get_window_extent().x0 > axes.get_window_extent().x1
