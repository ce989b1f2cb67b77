"""`mnas list`: registered experiments and studies."""

from mnas.__main__ import main
from mnas.experiment import registry
from tests.registered import EXPERIMENTS, STUDIES


def first_words(text):
    return {line.split()[0] for line in text.splitlines() if line.strip()}


def test_every_experiment_and_study_is_listed(capsys):
    assert main(["list"]) == 0
    out, err = capsys.readouterr()
    listed, studies = out.split("\nstudy ")
    assert set(EXPERIMENTS) <= first_words(listed)
    assert set(STUDIES) <= first_words(studies) and not set(STUDIES) & first_words(listed)
    assert "mnas search NAME" in err


def test_a_plug_in_that_cannot_be_loaded_does_not_hide_the_others(monkeypatch, capsys):
    class Broken:
        def load(self):
            raise RuntimeError("no such library")

    monkeypatch.setenv("COLUMNS", "200")  # a line for each
    monkeypatch.setitem(registry.entries("experiment"), "broken", Broken())
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "can't be loaded: RuntimeError" in out and "digits" in out
