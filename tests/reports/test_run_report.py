import re
import subprocess
import sys

import pytest

from mnas.architecture.published import PUBLISHED
from mnas.errors import UsageError
from mnas.loop.records import UpdateRecord
from mnas.reports.run_report import _rewards, _section, non_dominated, write_report
from tests.runs import head, proposals, result, run_of, write_run

A1 = PUBLISHED["mnasnet-a1"]


def page(directory, results, first=None, predict=None) -> str:
    batch = proposals([[result.trial] for result in results])
    write_run(directory, [batch, *results], first)
    write_report([directory], directory / "report.html", predict)
    return (directory / "report.html").read_text()


def rows(html: str) -> list[list[str]]:
    lines = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [re.findall(r"<td>(.*?)</td>", line) for line in lines]


def test_stopped_children_are_counted_and_not_among_the_best(tmp_path):
    stopped = {"stopped": True, "history": ((1, 0.9),)}
    results = [
        result(0, 0.4, epochs=5), result(1, 0.9, epochs=1, **stopped), result(2, 0.6, epochs=5),
        result(3, 0.3, epochs=2, **stopped),
        result(4, 0.9, epochs=1, duplicate_of=1, **stopped),
    ]  # fmt: skip
    table = rows(page(tmp_path, results))
    assert ["stopped early", "2"] in table
    assert ["epochs trained", "13"] in table and ["epochs saved", "7"] in table
    trials = [row[0] for row in table if row and row[0].startswith("trial ")]
    assert trials == ["trial 2", "trial 0"]


def test_early_stopping_is_not_mentioned_where_none_was_stopped(tmp_path):
    assert "stopped early" not in page(tmp_path, [result(0, 0.4), result(1, 0.5)])


def test_failures_are_counted_by_cause_and_escaped(tmp_path):
    failed = {"accuracy": None, "error": "<b>out of memory</b>"}
    html = page(tmp_path, [result(0, 0.4), result(1, 0.0, **failed), result(2, 0.0, **failed)])
    assert ["failed", "2"] in rows(html)
    assert ["&lt;b&gt;out of memory&lt;/b&gt;", "2", "1, 2"] in rows(html)


def test_best_network_is_compared_with_the_reference(tmp_path):
    best = result(0, architecture=A1.to_dict())
    named = head(reference="efficientnet-b0")
    html = page(tmp_path / "named", [best], named, lambda architecture: {"gp": (0.75, 0.004)})
    assert "<h3>Compared with efficientnet-b0</h3>" in html
    assert "<td>160 (192)</td>" in html and "75.00 ± 0.40" in html
    assert "Compared with" not in page(tmp_path / "unnamed", [best])


def test_several_runs_share_a_page_and_names_are_literal(tmp_path):
    directories = [
        write_run(tmp_path / name, [proposals([[0]]), result(0, 0.4)]) for name in ("<a>", "$x$")
    ]
    write_report(directories, tmp_path / "both.html")
    html = (tmp_path / "both.html").read_text()
    assert html.count("<svg") == 7 and "Side by side" in html
    assert "&lt;a&gt;" in html and "<a>" not in html


def test_run_without_results_has_a_page(tmp_path):
    assert ["trials", "0"] in rows(page(tmp_path, []))


def test_a_run_of_failures_only_has_a_page_with_their_causes(tmp_path):
    failed = {"accuracy": None, "error": "NaN"}
    html = page(tmp_path, [result(trial, 0.0, **failed) for trial in range(3)])
    assert ["NaN", "3", "0, 1, 2"] in rows(html) and ["failed", "3"] in rows(html)
    assert "<svg" not in html


def test_a_run_of_one_trial_has_figures(tmp_path):
    assert page(tmp_path, [result(0, 0.4)]).count("<svg") == 3


def test_the_best_reward_so_far_ignores_failures(tmp_path):
    failed = {"accuracy": None, "error": "NaN"}
    results = [result(0, -0.5), result(1, 0.0, **failed), result(2, -0.4)]
    run = run_of([proposals([[0], [1], [2]]), *results])
    (children,) = _rewards(run).axes[0].collections
    assert children.get_offsets().tolist() == [[0, -0.5], [2, -0.4]]
    best = _rewards(run).axes[0].lines[1]
    assert best.get_ydata().tolist() == [-0.5, -0.5, -0.4]


def test_the_size_of_a_page_is_bounded():
    results = [result(n, 0.1 + n / 10_000, mult_adds=n, params=n) for n in range(3000)]
    batches = [proposals([[n]], n, n) for n in range(3000)]
    updates = [
        UpdateRecord(batch=n, mean_reward=0.1, mean_log_prob=0.0, controller={})
        for n in range(3000)
    ]
    records = [record for facts in zip(batches, results, updates, strict=True) for record in facts]
    assert len(_section(run_of(records), None)) < 300_000


def test_rewards_near_the_largest_number_have_an_axis(tmp_path):
    results = [result(n, reward, accuracy=0.5) for n, reward in enumerate((-1e308, 1e308, 0.5))]
    assert page(tmp_path / "three", results).count("<svg") == 3
    assert page(tmp_path / "one", results[:1]).count("<svg") == 3


def test_a_search_without_recorded_settings_has_a_page(tmp_path):
    best = result(0, architecture=A1.to_dict())
    html = page(tmp_path, [best], head(settings={}, reference="efficientnet-b0"))
    assert html.count("<svg") == 3 and "Compared with efficientnet-b0" in html


def test_a_damaged_spec_file_does_not_matter(tmp_path):
    (tmp_path / "best.json").write_bytes(b"\xff")
    html = page(tmp_path, [result(0, 0.4)])
    assert "<pre>r1_k1_s22_e1_i4_o8</pre>" in html


def test_an_unknown_reference_is_named(tmp_path):
    html = page(tmp_path, [result(0, 0.4)], head(reference="efficientnet-z"))
    assert "Not compared: efficientnet-z is no published network." in html


def test_a_page_that_cannot_be_written_is_a_usage_error(tmp_path):
    directory = write_run(tmp_path / "run", [proposals([[0]]), result(0, 0.4)])
    for out in (tmp_path, tmp_path / "none" / "report.html"):
        with pytest.raises(UsageError, match=f"{out} can't be written: "):
            write_report([directory], out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_directory_without_a_run_is_rejected(tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        write_report([tmp_path], tmp_path / "report.html")


def test_import_leaves_the_backend_of_matplotlib_alone():
    program = (
        "import matplotlib, mnas.reports.run_report, mnas.reports.study_report, sys\n"
        "assert matplotlib.get_backend(auto_select=False) is None\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_best_network_is_drawn_beside_its_reference_with_its_block_strings(tmp_path):
    best = result(0, architecture=A1.to_dict())
    html = page(tmp_path / "named", [best], head(reference="efficientnet-b0"))
    assert "<title>best network beside efficientnet-b0</title>" in html
    assert "<pre>" + "\n".join(A1.to_dict()["blocks"]) + "</pre>" in html
    assert "<title>best network</title>" in page(tmp_path / "alone", [best])


def test_settings_and_provenance_are_tables_without_json(tmp_path):
    first = head(
        provenance={"versions": {"mnas": "9.9"}, "command": ["mnas", "<b>"], "commit": None}
    )
    html = page(tmp_path, [result(0, 0.4)], first)
    assert ["versions.mnas", "9.9"] in rows(html) and ["command", "mnas &lt;b&gt;"] in rows(html)
    assert ["search.seed", "0"] in rows(html) and ["reward.w", "0.0"] in rows(html)
    assert '"blocks":' not in html and "{&quot;" not in html and "&quot;: " not in html


def test_page_fits_phones_and_follows_the_preference_for_dark(tmp_path):
    html = page(tmp_path, [result(0, 0.4)])
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "prefers-color-scheme: dark" in html.split("<h1>")[0]
    assert '<svg role="img" aria-label="Accuracy against cost" ' in html
    assert html.count("<svg") == html.count('role="img"')
    assert html.count("<table") == html.count('<div class="wide" tabindex="0"><table')


def test_front_holds_the_points_that_none_dominates_by_rising_cost():
    costs, accuracies = [3.0, 1.0, 2.0, 2.0, 4.0, 1.0], [0.7, 0.5, 0.6, 0.4, 0.7, 0.5]
    assert non_dominated(costs, accuracies) == [1, 2, 0]
    assert non_dominated([], []) == []
