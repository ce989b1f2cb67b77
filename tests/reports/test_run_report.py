"""The page of `mnas report` as a whole: what it says about runs of every kind."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mnas.architecture.published import PUBLISHED
from mnas.architecture.spec import from_spec
from mnas.errors import UsageError
from mnas.loop.records import RemeasuredRecord, RemeasureRecord, UpdateRecord
from mnas.reports.page import content
from mnas.reports.page.document import to_json
from mnas.reports.run_report import write_report
from tests.runs import head, proposals, result, run_of, settings, write_run

A1 = PUBLISHED["mnasnet-a1"]
B0 = PUBLISHED["efficientnet-b0"]
FAILED = {"accuracy": None, "error": "<b>out of memory</b>"}


def page(directory, results, first=None, predict=None, described=None) -> str:
    batch = proposals([[result.trial] for result in results])
    write_run(directory, [batch, *results], first, described)
    write_report([directory], directory / "report.html", predict)
    return (directory / "report.html").read_text()


def rows(html: str) -> list[list[str]]:
    lines = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [re.findall(r"<td[^>]*>(.*?)</td>", line) for line in lines]


def data(html: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)
    return json.loads(text)


def body_of(html: str) -> str:
    """Return the page's body up to its scripts."""
    return html.split("<body>")[1].split("<script")[0]


def numbers(html: str) -> list[str]:
    """Return the text of each of the four numbers."""
    parts = body_of(html).split('<div class="number">')[1:]
    parts[-1] = parts[-1].split("</div>")[0]
    return [" ".join(re.sub(r"<[^>]+>", " ", part).split()) for part in parts]


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", body_of(html)).split())


def test_head_has_best_beside_reference_with_interval_and_n(tmp_path):
    trained = {"hash": B0.canonical_hash(), "architecture": B0.to_dict()}
    results = [
        result(0, 0.8, architecture=A1.to_dict(), hash=A1.canonical_hash()),
        result(1, 0.7, **trained),
    ]
    described = {"name": "hand", **settings(), "sessions": [{"started": 1, "accuracy_images": 300}]}
    html = page(tmp_path, results, head(reference="efficientnet-b0"), described=described)
    accuracy, madds, params, reward = numbers(html)
    assert "80.00%" in accuracy and "[75.1, 84.1]" in accuracy and "n = 300" in accuracy
    assert "70.00% [64.6, 74.9]" in accuracy and "+10.00 points" in accuracy
    assert "311.6M" in madds and "385.8M" in madds and "×0.81" in madds
    assert "3.887M" in params and "5.289M" in params
    assert "0.8000" in reward and "0.7000" in reward and "+0.1000" in reward


def test_further_measurements_replace_the_one_that_a_network_was_selected_by(tmp_path):
    again = [
        RemeasureRecord(selection="measured", top=1, seeds=2, results=1, trials=(0,)),
        *(
            RemeasuredRecord(trial=0, number=n, seed=n, reward=value, accuracy=value)
            for n, value in enumerate((0.6, 0.7))
        ),
    ]
    described = {"name": "hand", **settings()}
    batch = [proposals([[0]]), result(0, 0.9)]
    update = UpdateRecord(batch=0, mean_reward=0.9, mean_log_prob=0.0)
    run = write_run(tmp_path, [*batch, update, *again], described=described)
    write_report([run], tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    accuracy, *_, reward = numbers(html)
    assert "65.00% [1.5, 100.0]" in accuracy and "n = 2 further measurements" in accuracy
    assert "0.6500" in reward and "mean of the further measurements" in reward
    assert "Measured again" in html and "Measured again" not in page(tmp_path / "once", batch[1:])


def test_accuracy_that_nobody_measured_is_not_invented(tmp_path):
    best = result(0, 0.8, architecture=A1.to_dict())
    html = page(
        tmp_path, [best], head(reference="efficientnet-b0"), lambda network: {"mlp": (0.6, 0.01)}
    )
    accuracy, *_, reward = numbers(html)
    assert "not evaluated" in accuracy and "not evaluated" in reward and "[" not in accuracy


def test_accuracies_of_a_surrogate_are_called_predictions(tmp_path):
    best = result(0, 0.8, architecture=A1.to_dict())
    kinds = {"kinds": {"evaluator": "SurrogateConfig"}, "evaluator": {"fit": "mlp"}}
    first = head(reference="efficientnet-b0", settings={**settings(), **kinds})
    html = page(tmp_path, [best], first, lambda network: {"mlp": (0.75, 0.004)})
    accuracy = numbers(html)[0]
    assert "predicted top-1 accuracy" in accuracy and "80.00%" in accuracy
    assert "± 0.40" in accuracy and "75.00% ± 0.40" in accuracy


def test_origin_has_time_workers_machine_versions_and_command(tmp_path):
    origin = {
        "versions": {"mnas": "9.9"}, "host": "here", "processor": "P", "cores": 2, "devices": [],
        "system": "S", "commit": "c0ffee", "command": ["mnas", "<b>"],
    }  # fmt: skip
    described = {"name": "hand", **settings(), "provenance": origin}
    described["engine"] = {"kind": "ray", "workers": 3}
    text = text_of(page(tmp_path, [result(0, 0.4)], described=described))
    for part in (
        "versions mnas 9.9",
        "machine here, P, 2 cores, S",
        "workers 3 (ray)",
        "commit c0",
    ):
        assert part in text
    assert "command mnas &lt;b&gt;" in text and "wall-clock; 1.0 s of evaluation" in text


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        ({"form": "soft", "w": -0.07, "target_madds": 4e8}, "× (mult-adds / 400M) −0.07"),
        ({"form": "hard", "w": -0.07, "target_madds": 4e8}, "× (mult-adds / 400M) −1 above"),
        ({"form": "absolute", "beta": -0.2, "target_madds": 4e8}, "− 0.2 · |mult-adds / 400M − 1|"),
    ],
)
def test_formula_of_the_reward_is_that_of_the_settings(reward, expected, tmp_path):
    whole = settings()
    first = head(settings={**whole, "reward": {**whole["reward"], **reward}})
    assert expected in text_of(page(tmp_path, [result(0, 0.4)], first))


def test_data_of_all_trials_are_in_the_page_once(tmp_path):
    results = [
        result(0, 0.4), result(1, 0.0, **FAILED), result(2, 0.4, duplicate_of=0),
        result(3, 0.9, epochs=1, stopped=True),
    ]  # fmt: skip
    (run,) = data(page(tmp_path, results))["runs"]
    assert run["columns"]["trial"] == [0, 1, 2, 3]
    names = [run["statuses"][code] for code in run["columns"]["status"]]
    assert names == ["complete", "failed", "duplicate", "stopped early"]
    assert run["columns"]["accuracy"] == [0.4, None, 0.4, 0.9]
    assert run["causes"] == ["<b>out of memory</b>"]
    assert run["columns"]["cause"] == [None, 0, None, None]
    assert len(run["frames"]) == 1


def test_copied_spec_is_a_spec_of_the_network(tmp_path):
    (run,) = data(page(tmp_path, [result(0, 0.4, architecture=A1.to_dict())]))["runs"]
    blocks = [run["strings"][place] for place in run["columns"]["blocks"][0]]
    spec = {"format": "mnas-spec/1", "name": "trial-0", "blocks": blocks, **run["frames"][0]}
    assert from_spec(spec).canonical_hash() == A1.canonical_hash()


def test_stopped_children_are_counted_and_not_among_the_best(tmp_path):
    stopped = {"stopped": True, "history": ((1, 0.9),)}
    results = [
        result(0, 0.4, epochs=5), result(1, 0.9, epochs=1, **stopped), result(2, 0.6, epochs=5),
        result(3, 0.3, epochs=2, **stopped),
        result(4, 0.9, epochs=1, duplicate_of=1, **stopped),
    ]  # fmt: skip
    html = page(tmp_path, results)
    assert "early stopping 2 stopped, 7 of 20 epochs saved" in text_of(html)
    assert [row[0] for row in rows(html) if len(row) == 6] == ["2", "0"]
    assert "stopped early" not in text_of(page(tmp_path / "none", [result(0, 0.4)]))


def test_failures_have_trial_cause_and_network(tmp_path):
    html = page(tmp_path, [result(0, 0.4), result(1, 0.0, **FAILED), result(2, 0.0, **FAILED)])
    assert ["&lt;b&gt;out of memory&lt;/b&gt;", "2", "1, 2", "r1_k3_s22_e1_i4_o8"] in rows(html)
    assert "2 failed" in text_of(html)


def test_best_network_is_compared_with_the_reference(tmp_path):
    best = result(0, architecture=A1.to_dict())
    named = head(reference="efficientnet-b0")
    html = page(tmp_path / "named", [best], named, lambda architecture: {"gp": (0.75, 0.004)})
    assert "Best network beside efficientnet-b0" in html
    assert "<title>best network beside efficientnet-b0</title>" in html
    assert "<td>160 (192)</td>" in html and "75.00 ± 0.40" in html
    alone = page(tmp_path / "unnamed", [best])
    assert "beside" not in text_of(alone) and "<title>best network</title>" in alone
    assert "<pre>" + "\n".join(A1.to_dict()["blocks"]) + "</pre>" in alone


def test_drawings_are_of_the_front_and_of_the_best_only(tmp_path):
    results = [
        result(n, 0.9 - n / 100, mult_adds=10 + n, architecture=A1.to_dict()) for n in range(59)
    ]
    last = result(59, 0.05, mult_adds=1, architecture=A1.to_dict())
    html = page(tmp_path, [*results, last])
    drawn = re.findall(r'<template class="drawing" data-run="0" data-trial="(\d+)">', html)
    assert [int(trial) for trial in drawn] == [*range(50), 59]  # 0 and 59 are the front
    assert html.count("<title>trial 59</title>") == 1 and html.count("<style>") == 1


def test_running_and_empty_runs_have_a_page(tmp_path):
    described = {"name": "hand", **settings(trials=100)}
    running = page(tmp_path / "running", [result(0, 0.4)], described=described)
    assert "1 of 100 trials so far" in text_of(running)
    assert "No trial has a result yet." in text_of(page(tmp_path / "empty", []))
    failures = [result(trial, 0.0, **FAILED) for trial in range(3)]
    failed = page(tmp_path / "failed", failures)
    assert "No evaluation has succeeded." in text_of(failed) and "<svg" not in body_of(failed)
    assert data(failed)["charts"] == []


def test_a_search_without_recorded_settings_has_a_page(tmp_path):
    best = result(0, architecture=A1.to_dict())
    html = page(tmp_path, [best], head(settings={}, reference="efficientnet-b0"))
    assert len(data(html)["charts"]) == 2 and "Reward =" not in text_of(html)


def test_the_page_needs_no_network(tmp_path):
    html = page(tmp_path, [result(0, 0.4)])
    assert "Content-Security-Policy" in html and "default-src 'none'" in html
    assert not re.findall(r'(?:src|href)="?(?:https?:)?//', html)
    assert "Redistribution and use in source and binary forms" in html


def test_figures_have_titles_and_descriptions(tmp_path):
    html = page(tmp_path, [result(0, 0.4), result(1, 0.5, mult_adds=2)])
    figures = re.findall(r'<div class="chart" role="img" aria-label="([^"]+)"', html)
    assert len(figures) == len(data(html)["charts"]) == 5
    assert figures[0].startswith("All trials and the front of mult-adds. Front of 2 networks from")
    body = body_of(html)
    assert body.count("<table") == len(re.findall(r'role="group"[^>]*><table', body))


def test_data_of_a_long_search_are_bounded():
    results = [
        result(n, 0.1 + n / 10_000, mult_adds=n + 1, params=n, architecture=A1.to_dict())
        for n in range(800)
    ]
    batches = [proposals([[n]], n, n) for n in range(800)]
    (section,) = content.sections([run_of([*batches, *results])], None)
    assert len(to_json(content.data_of([section], section.charts))) < 300_000
    assert 50 < len(section.drawn) <= content.DRAWN + content.DRAWN_OF_FRONT


def test_several_runs_share_a_page(tmp_path):
    directories = [
        write_run(tmp_path / name, [proposals([[0]]), result(0, 0.4)]) for name in ("<a>", "$x$")
    ]
    write_report(directories, tmp_path / "both.html")
    html = (tmp_path / "both.html").read_text()
    assert html.count('<article class="run"') == 2 and len(data(html)["runs"]) == 2
    assert "&lt;a&gt;" in html and "<a>" not in html


def test_a_run_in_the_working_directory_has_its_name(tmp_path, monkeypatch):
    write_run(tmp_path / "small", [proposals([[0]]), result(0, 0.4)])
    monkeypatch.chdir(tmp_path / "small")
    write_report([Path(".")], Path("report.html"))
    assert '<p class="where">small</p>' in Path("report.html").read_text()


def test_json_in_the_page_cannot_end_its_element():
    text = to_json({"</script>": ["<!--", "&", float("nan"), "\ud800\x00", 1e400]})
    assert not set("<>&") & set(text) and text.isascii()
    assert json.loads(text) == {"</script>": ["<!--", "&", None, "\ufffd\ufffd", None]}


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


def test_import_loads_neither_matplotlib_nor_jax():
    program = (
        "import mnas.reports.run_report, sys\n"
        "assert not {'matplotlib', 'jax', 'pandas', 'vl_convert'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
