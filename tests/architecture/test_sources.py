"""The networks that a SPEC of the command line names: names, files, runs, block strings."""

import json

import pytest

from mnas.architecture.published import PUBLISHED, TIMM
from mnas.architecture.sources import find, find_source
from mnas.architecture.spec import to_spec
from mnas.architecture.text_forms import block_strings, from_arch_def, from_block_strings
from mnas.errors import UsageError
from mnas.export.text import to_json, to_tf, to_timm

B0 = PUBLISHED["efficientnet-b0"]
RESNET = PUBLISHED["resnet-18"]
SEARCH = {"experiment": "digits", "trial": 7, "reward": 0.5}
# A per-layer network of 13 blocks; its strings together are longer than a file name may be.
LAYERS = [f"r1_k3_s11_e3_i{32 + n}_o{33 + n}_se0.25" for n in range(13)]
SMALL = from_block_strings(LAYERS[:2], resolution=32, classes=10, head=64, activation="relu")
GROUPED = from_arch_def(
    [["ds_r1_k3_s1_c16"], ["ir_r1_k5_s2_e6_c40", "ir_r3_k3_s1_e3_c40_se0.25"]], bn_epsilon=1e-5
)


def test_find_accepts_names_runs_and_block_strings(tmp_path):
    assert find("efficientnet-b0") == B0
    assert find("tf_efficientnet_b0") == TIMM["tf_efficientnet_b0"]
    (tmp_path / "best.json").write_text(json.dumps(to_spec(RESNET)))
    assert find(str(tmp_path)) == RESNET
    (tmp_path / "best.json").rename(tmp_path / "spec.json")  # as `mnas train` writes it
    assert find(str(tmp_path)) == RESNET
    network = find("r1_k3_s11_e1_i32_o16;r2_k3_s22_e6_i16_o24;")
    assert (network.stem, [block.filters for block in network.blocks]) == (32, [16, 24])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("efficientnet-bo", "did you mean efficientnet-b0"),
        ("resnet_50", r"did you mean resnet50\?"),
        ("qqq", "no spec 'qqq'; accepted: efficientnet-b0, "),
    ],
)
def test_find_suggests_the_nearest_name(text, reason):
    with pytest.raises(UsageError, match=reason):
        find(text)


def test_block_strings_too_long_for_a_file_name_are_counted():
    text = ";".join(LAYERS)
    assert len(text) > 255
    assert find(text) == find(text + ";") == from_block_strings(LAYERS, name="block-strings")


def test_one_block_string_is_a_spec_even_with_a_dot_in_it():
    for string in ("r1_k3_s11_e1_i32_o16_se0.25", "k3_r1_s11_e1_i32_o16_se2.5e-1_noskip"):
        assert find(string).blocks == from_block_strings([string]).blocks


def test_a_file_named_like_a_block_string_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r1_k3.json").write_text(json.dumps(to_spec(RESNET)))
    assert find("r1_k3.json") == RESNET


@pytest.mark.parametrize("write", [to_json, to_tf, to_timm])
@pytest.mark.parametrize("origin", [{}, {"search": SEARCH, "scaling": {"base": "b"}}])
def test_exported_text_is_read_back_with_settings_and_origin(tmp_path, write, origin):
    path = tmp_path / "exported.v1"
    networks = [B0, PUBLISHED["mnasnet-a1"], GROUPED]
    if write is not to_timm:  # timm would round the expanded filters
        networks.append(SMALL)
    for network in networks:
        path.write_text(write(network, origin) + "\n")
        found, provenance = find_source(str(path))
        assert found.canonical_hash() == network.canonical_hash()
        assert found.timm_stages == network.timm_stages
        assert provenance == origin
    assert provenance == origin


def test_an_exported_network_keeps_its_name_where_the_text_says_it(tmp_path):
    path = tmp_path / "exported.txt"
    for write, name in (
        (to_json, "efficientnet-b0"),
        (to_timm, "efficientnet-b0"),
        (to_tf, "exported"),
    ):
        path.write_text(write(B0))
        assert find(str(path)).name == name


def test_block_strings_of_a_default_network_have_no_comment():
    assert to_tf(B0).splitlines() == list(block_strings(B0))
    assert to_tf(SMALL).splitlines()[:-1] == list(block_strings(SMALL))
    assert to_tf(SMALL).splitlines()[-1].startswith('# mnas: {"name": "unnamed", "resolution": 32')


@pytest.mark.parametrize("write", [to_json, to_tf, to_timm])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_text_written_by_other_shells_is_read(tmp_path, write, encoding):
    path = tmp_path / "exported"
    path.write_bytes(f"\r\n{write(B0)}\r\n\r\n".replace("\n", "\r\n").encode(encoding))
    assert find(str(path)).blocks == B0.blocks


def test_text_in_latin_1_is_rejected(tmp_path):
    path = tmp_path / "exported.json"
    path.write_bytes(to_json(B0.replace(name="é")).replace("\\u00e9", "é").encode("latin-1"))
    with pytest.raises(UsageError, match=r"exported.json is not text in UTF-8: byte 4\d is 0xe9"):
        find(str(path))


def test_json_lists_are_arch_defs_or_block_strings(tmp_path):
    path = tmp_path / "list.json"
    path.write_text('[["ds_r1_k3_s1_c16"], ["ir_r1_k5_s2_e6_c40", "ir_r3_k3_s1_e3_c40"]]')
    assert find(str(path)).timm_stages == (1, 2)
    path.write_text(json.dumps(LAYERS))
    assert block_strings(find(str(path))) == tuple(LAYERS)


def test_comments_and_empty_lines_between_block_strings_are_ignored(tmp_path):
    path = tmp_path / "blocks.txt"
    path.write_text(f"# mine\n\n  {LAYERS[0]}; {LAYERS[1]} ;\n# end\n")
    assert block_strings(find(str(path))) == tuple(LAYERS[:2])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "file: text holds no block strings"),
        ("# only a comment", "file: text holds no block strings"),
        ("hello", "file: block string 'hello': unknown field 'hello'"),
        ("r1_k3_s11_e1_i32_o16_nsw", "unknown field 'nsw'; accepted: like r1_k3"),
        ("r1_k3_s11_e1_i32_o16_g8", "unknown field 'g8'"),
        ("r-1_k3_s11_e1_i32_o16", "unknown field 'r-1'"),
        ("r1000000000_k3_s11_e1_i32_o16", "repeats = 1000000000; accepted"),
        ("r" + "9" * 5000 + "_k3_s11_e1_i32_o16", "accepted: r and a whole number"),
        ("r1_k3_s11_e1_i32_o1000000000", "filters = 1000000000; accepted"),
        ("r1_k3_s11_e1_i32_o\u0663", "unknown field 'o\u0663'"),
        ("r1_k3_s11_e1_i32_o16\n# mnas: {", "text, line 2 is not JSON"),
        ("r1_k3_s11_e1_i32_o16\n# mnas: 5", "line 2: 5; accepted: an object"),
        ('r1_k3_s11_e1_i32_o16\n# mnas: {"widht": 5}', "unknown architecture field 'widht'"),
        ('r1_k3_s11_e1_i32_o16\n# mnas: {"search": 5}', "search = 5; accepted: an object"),
        ("{", "file is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "arch_def: []; accepted: a list of lists"),
        ('[{"format": "mnas-spec/1"}]', "file: list; accepted: a JSON object"),
        ("[5]", "arch_def: stage 0 is 5; accepted: a list of strings"),
        ('[["ds_r1_k3_s1_c16"], "ds_r1_k3_s1_c16"]', "stage 1 is 'ds_r1_k3_s1_c16'"),
        ('[["ds_r1_k3_s1_c16"], []]', "stage 1 is []"),
        ('[[["ds_r1_k3_s1_c16"]]]', "timm block ['ds_r1_k3_s1_c16']; accepted: text"),
        ('{"arch_def": "ds_r1_k3_s1_c16"}', "arch_def: 'ds_r1_k3_s1_c16'; accepted: a list"),
        ('{"arch_def": [["ds_r1_k3_s1_c16"]], "stem": 5}', "unknown argument of timm 'stem'"),
        ('{"arch_def": [["ds_r1_k3_s1_c16"]], "params": 5}', "params = 5, but the arch_def has"),
        ('{"arch_def": [["ds_r1_k3_s1_c16"]], "output_stride": 16}', "output_stride = 16"),
        ('{"arch_def": [["ds_r1_k3_s1_c16"]], "pad_type": []}', "pad_type = []; accepted"),
        ('{"arch_def": [["ds_r1_k3_s1_c16"]], "input_size": [3, 8, 9]}', "input_size = [3, 8, 9]"),
        ('{"arch_def": [["ds_r1_k3_s1_c16"]], "num_features": "x"}', "head = 'x'; accepted"),
        ('{"blocks": []}', "format = None; accepted: 'mnas-spec/1'"),
    ],
)
def test_invalid_files_are_rejected_by_name_in_a_short_line(tmp_path, content, reason):
    path = tmp_path / "file"
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        find(str(path))
    assert reason in str(caught.value)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize("text", ["", ";", " ; ", "\0", "x" * 100_000, "a\nb", "..", "/"])
def test_text_that_names_nothing_is_rejected_in_a_short_line(text):
    with pytest.raises(UsageError) as caught:
        find(text)
    assert len(str(caught.value)) < 1000


def test_find_rejects_a_directory_that_is_no_run(tmp_path):
    with pytest.raises(UsageError, match=r"has no best\.json; accepted: the directory of a run"):
        find(str(tmp_path))
