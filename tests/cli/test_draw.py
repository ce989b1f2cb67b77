"""`mnas draw`: networks as SVG files."""

from xml.etree import ElementTree

from mnas.__main__ import main
from tests.cli.commands import assert_one_line


def test_draws_two_networks_into_a_file(tmp_path, capsys):
    out = tmp_path / "two.svg"
    assert main(["draw", "efficientnet-b0", "mnasnet-a1", "--out", str(out)]) == 0
    assert_one_line(capsys, f"written: {out}")
    root = ElementTree.parse(out).getroot()  # noqa: S314 - our own
    assert root[0].text == "efficientnet-b0 beside mnasnet-a1"


def test_draws_one_network_to_standard_output(capsys):
    assert main(["draw", "efficientnet-b0", "--resolution", "32", "--classes", "10"]) == 0
    out, err = capsys.readouterr()
    root = ElementTree.fromstring(out)  # noqa: S314 - our own
    assert root[0].text == "efficientnet-b0" and "32 px" in (root[1].text or "")
    assert err == ""


def test_a_runs_best_network_is_drawn_beside_a_reference(finished, tmp_path):
    out = tmp_path / "best.svg"
    assert main(["draw", str(finished), "efficientnet-b0", "--out", str(out)]) == 0
    assert "net-differs" in out.read_text()


def test_mistakes_are_one_line_and_write_nothing(tmp_path, capsys):
    out = tmp_path / "two.png"
    assert main(["draw", "efficientnet-b0", "--out", str(out)]) == 2
    assert_one_line(capsys, f"--out {out}", "a file name that ends in .svg")
    assert main(["draw", "efficientnet-b0", "mnasnet-a9", "--out", str(tmp_path / "a.svg")]) == 2
    assert_one_line(capsys, "mnasnet-a9")
    assert main(["draw", "efficientnet-b0", "--out", str(tmp_path / "none" / "a.svg")]) == 2
    assert_one_line(capsys, "none/a.svg can't be written")
    assert not list(tmp_path.iterdir())
