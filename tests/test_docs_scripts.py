"""Scripts of the documentation: the generated pages and figures."""

import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from mnas import __main__ as mnas_command
from mnas.reward import RewardConfig

SCRIPTS = Path(__file__).parents[1] / "docs" / "scripts"


@pytest.fixture
def script(monkeypatch):
    """Return a function that imports a script by its name."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module


def test_help_is_that_of_the_verb_without_colours(script):
    text = script("command_line").help_of(["cost"])
    assert text.startswith("usage: mnas cost") and "--verify" in text
    assert "\x1b" not in text


def test_the_page_of_the_command_line_has_every_verb(script, monkeypatch):
    module = script("command_line")
    asked = []
    monkeypatch.setattr(module, "help_of", lambda words: asked.append(tuple(words)) or "usage: x")
    page = module.page()
    for verb, line in mnas_command.VERBS.items():
        assert f"## mnas {verb}\n\n{line}\n" in page
    assert {words[0] for words in asked if words} == set(mnas_command.VERBS)


def test_a_verb_without_help_stops_the_build(script):
    with pytest.raises(RuntimeError, match="no-such-verb"):
        script("command_line").help_of(["no-such-verb"])


def test_plots_of_the_reward_are_readable_and_the_same_each_time(script):
    module = script("reward_plots")
    plots = module.plots()
    assert set(plots) == {"soft", "hard", "absolute"}
    assert plots["soft"] == module.plot(RewardConfig(target_madds=module.TARGET))
    for form, image in plots.items():
        texts = re.findall(r"<text [^>]*>([^<]*)</text>", image.decode())
        assert {"reward", "mult-adds, M", f"{form}, T = 400M", "accuracy 0.65"} <= set(texts)


def test_links_of_the_repository_are_those_of_the_site(script):
    pytest.importorskip("mkdocs")
    text = "[a](CONTRIBUTING.md) [b](docs/results/speed.md) [c](SECURITY.md)"
    expected = "[a](contributing.md) [b](results/speed.md) [c](security.md)"
    assert script("hooks").relinked(text) == expected


def test_tutorials_offer_their_notebook(script):
    pytest.importorskip("mkdocs")
    made = {
        "tutorials/a.md": "a page",
        "tutorials/a.ipynb": "a notebook",
        "tutorials/b.md": "other",
    }
    files = SimpleNamespace(get_file_from_path=made.get)

    def shown(name):
        page = SimpleNamespace(file=SimpleNamespace(src_uri=name))
        return script("hooks").on_page_markdown("# Title\n\nText.\n", page, None, files)

    link = "[Download this page as a notebook](a.ipynb)"
    assert shown("tutorials/a.md") == f"# Title\n\n{link}\n\nText.\n"
    assert shown("tutorials/b.md") == "# Title\n\nText.\n"


def test_columns_of_docstrings_are_kept(script):
    pytest.importorskip("griffe")
    text = "Summary.\n\nname   meaning\n       more\n\nProse of one line."
    expected = "Summary.\n\n```text\nname   meaning\n       more\n```\n\nProse of one line."
    assert script("docstrings").with_columns(text) == expected
