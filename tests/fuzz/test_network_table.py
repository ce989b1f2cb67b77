"""A damaged table of networks is rejected, or has networks and accuracies in their ranges."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.architecture.network_table import read_network_table
from mnas.evaluators.table import decoder
from tests.fuzz.contract import read
from tests.fuzz.strategies import edited_bytes, edited_lines, edited_text

DECODE = decoder("nas-bench-macro")
DECISIONS = "decisions,accuracy,accuracy_1\n00000112,82.3,81\n02011120,91,90.5\n22222222,93.1,93\n"
BLOCKS = (
    "name,blocks,accuracy,resolution,activation,stem_pool,bn_epsilon\n"
    "a,r1_k3_s22_e1_i8_o16,0.5,32,relu,true,1e-5\n"
    'b,"r1_k3_s22_e1_i8_o16;r2_k5_s11_e3_i16_o24_se0.25",0.75,,,,\n'
)
TEXTS = st.sampled_from([DECISIONS, BLOCKS])
FILES = st.one_of(
    TEXTS.flatmap(edited_text).map(lambda text: text.encode(errors="surrogatepass")),
    TEXTS.flatmap(lambda text: edited_lines(text.encode())),
    TEXTS.flatmap(lambda text: edited_bytes(gzip.compress(text.encode()))),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "table.csv"


@given(content=FILES)
def test_network_table(file, content):
    file.write_bytes(content)
    rows = read(lambda: read_network_table(file, DECODE), file)
    if rows is None:
        return
    assert rows and len({row.architecture.canonical_hash() for row in rows}) == len(rows)
    assert all(0 <= value <= 1 for row in rows for value in (row.accuracy, *row.seeds))
    assert all(row.architecture.name.isprintable() for row in rows)
