"""`mnas compare`: a run beside its reference."""

import json

from mnas.__main__ import main


def test_the_reference_is_resized_to_the_spec(finished, capsys):
    head = json.loads((finished / "journal.jsonl").read_text().splitlines()[0])
    assert head["reference"] == "efficientnet-b0" and "reference" not in head["settings"]
    assert "Best network beside efficientnet-b0" in (finished / "report.html").read_text()
    assert main(["compare", str(finished), "--resolution", "32", "--classes", "10", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["reference_resized_from"] == {"resolution": 224, "classes": 1000}
    assert result["totals"]["reference"]["mult_adds"] == 8_474_848  # B0 at 32 pixels, 10 classes
