"""`mnas cost`: params and mult-adds of specs and runs."""

import json

from mnas.__main__ import main


def test_the_json_of_a_run_has_the_counts_of_its_best_spec(finished, capsys):
    assert main(["cost", str(finished), "--json"]) == 0
    out, err = capsys.readouterr()
    best = json.loads((finished / "best.json").read_text())
    result = json.loads(out)
    assert (result["params"], result["mult_adds"]) == (best["params"], best["mult_adds"])
    assert sum(part["params"] for part in result["parts"]) == best["params"]
    assert err == ""


def test_verify_counts_the_flax_model(finished, capsys):
    assert main(["cost", str(finished), "--json", "--verify"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"] == {key: result[key] for key in ("params", "mult_adds")}
    assert main(["cost", str(finished), "--verify"]) == 0
    assert "mult-adds, equal" in capsys.readouterr().out


def test_counts_of_efficientnet_b0(capsys):
    assert main(["cost", "efficientnet-b0", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["params"], result["mult_adds"]) == (5_288_548, 385_814_752)
    assert main(["cost", "efficientnet-b0"]) == 0
    assert "5,288,548" in capsys.readouterr().out


def test_block_strings_and_spec_files_are_specs(tmp_path, capsys):
    # Stem 3·3·3·32 + 2·32 = 928; block 9·32 + 64 + 32·16 + 32 = 896;
    # head 16·1280 + 2·1280 = 23,040; classifier 1281·10 = 12,810.
    strings = "r1_k3_s11_e1_i32_o16_noskip"
    assert main(["cost", strings, "--classes", "10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["params"] == 928 + 896 + 23_040 + 12_810
    path = tmp_path / "spec.json"
    assert main(["export", "mnasnet-a1", "--out", str(path)]) == 0
    assert main(["cost", str(path), "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["params"] == 3_887_038
