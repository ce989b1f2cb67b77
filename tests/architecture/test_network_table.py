"""Tables of networks: what is read, what is rejected."""

import gzip

import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.network_table import read_network_table
from mnas.errors import UsageError

BLOCK = "r1_k3_s22_e1_i8_o16"


def network(kernels):
    blocks = tuple(Block(kernel=2 * k + 3, stride=1, filters=8) for k in kernels)
    if not 1 <= len(blocks) <= 3:
        raise ValueError(f"{len(blocks)} decisions; accepted: up to 3")
    return Architecture(blocks, stem=8)


def read(tmp_path, text, decode=network):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return read_network_table(path, decode)


def test_decisions_accuracies_of_seeds_and_names(tmp_path):
    rows = read(
        tmp_path,
        "name,decisions,accuracy,accuracy_2,accuracy_1,other\n"
        ",01,0.5,0.6,0.4,x\nwide,0 12,0.25,0.2,0.3,y\n",
    )
    assert [row.architecture.name for row in rows] == ["01", "wide"]
    assert [len(row.architecture.blocks) for row in rows] == [2, 2]
    assert rows[1].architecture.blocks[1].kernel == 27
    assert [(row.accuracy, row.seeds) for row in rows] == [(0.5, (0.4, 0.6)), (0.25, (0.3, 0.2))]


def test_accuracy_is_the_mean_of_seeds_without_the_column(tmp_path):
    (row,) = read(tmp_path, "decisions,accuracy_1,accuracy_2\n0,0.5,0.7\n")
    assert row.accuracy == pytest.approx(0.6)


def test_blocks_with_settings_of_networks(tmp_path):
    text = (
        "blocks,accuracy,resolution,activation,stem_stride,head,bn_epsilon,stem_pool\n"
        f"{BLOCK};r1_k5_s11_e3_i16_o16,0.5,32,relu,1,,1e-5,true\n"
    )
    (row,) = read(tmp_path, text, decode=None)
    expected = Architecture(
        (Block(kernel=3, stride=2, filters=16), Block(5, 1, 16, expand_ratio=3)),
        **{"resolution": 32, "activation": "relu", "stem": 8, "stem_stride": 1},
        **{"bn_epsilon": 1e-5, "stem_pool": True, "name": "line 2"},
    )
    assert row.architecture == expected


def test_percentages_become_fractions(tmp_path):
    rows = read(tmp_path, "decisions,accuracy,accuracy_1\n0,93.5,94\n1,0.5,1\n")
    assert [row.accuracy for row in rows] == pytest.approx([0.935, 0.005])
    assert rows[0].seeds == pytest.approx((0.94,))


def test_compressed_table_is_read_like_its_text(tmp_path):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"decisions,accuracy\n012,0.5\n"))
    assert len(read_network_table(path, network)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("decisions,accuracy\n", "has no rows"),
        ("accuracy\n0.5\n", "accepted: one of blocks, decisions"),
        ("decisions\n0\n", "accepted: accuracy among them"),
        ("decisions,accuracy\n0,\n", "line 2: no accuracy"),
        ("decisions,accuracy\n0,high\n", "line 2: accuracy = 'high'"),
        ("decisions,accuracy\n0,nan\n", "accuracy = 'nan'"),
        ("decisions,accuracy\n0,101\n", "accuracy = '101'"),
        ("decisions,accuracy\n0,-0.1\n", "accuracy = '-0.1'"),
        ("decisions,accuracy\n0,0.5,7\n", "line 2: 3 cells; accepted: 2"),
        ("decisions,decisions\n0,0\n", "a column twice"),
        ("decisions,accuracy\nx,0.5\n", "decisions = 'x'"),
        ("decisions,accuracy\n0000,0.5\n", "line 2: 4 decisions; accepted: up to 3"),
        ("decisions,accuracy\n0,0.5\n0,0.6\n", "line 3: the network of line 2"),
        ('decisions,accuracy\n"0,0.5\n', "accepted: CSV"),
        (f"blocks,accuracy,resolution\n{BLOCK},0.5,big\n", "resolution = 'big'"),
        (f"blocks,accuracy,stem_pool\n{BLOCK},0.5,maybe\n", "stem_pool = 'maybe'"),
        (f"blocks,accuracy,stem\n{BLOCK},0.5,9\n", "i8, but 9 filters come in"),
        ("blocks,accuracy\nr1_k3,0.5\n", "line 2: block string 'r1_k3'"),
        ("blocks,accuracy\n;,0.5\n", "line 2: architecture: blocks"),
    ],
)
def test_malformed_tables_are_rejected_by_line(tmp_path, text, message):
    with pytest.raises(UsageError, match=r"table\.csv") as caught:
        read(tmp_path, text)
    assert message in str(caught.value)


def test_decisions_need_a_space(tmp_path):
    with pytest.raises(UsageError, match="accepted: with --space"):
        read(tmp_path, "decisions,accuracy\n0,0.5\n", decode=None)


def test_damaged_and_missing_files_are_rejected(tmp_path):
    whole = gzip.compress(b"decisions,accuracy\n0,0.5\n" * 100)
    path = tmp_path / "table.csv.gz"
    for content in (whole[:-20], whole[:15] + b"xxxx" + whole[19:], whole[:2]):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="can't be decompressed"):
            read_network_table(path, network)
    path.write_bytes(b"\xff\xfe\x00\xd8" * 9)
    with pytest.raises(UsageError, match=r"table\.csv\.gz"):
        read_network_table(path, network)
    with pytest.raises(UsageError, match="can't be read"):
        read_network_table(tmp_path / "none.csv", network)
