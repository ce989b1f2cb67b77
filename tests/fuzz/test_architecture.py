"""Readers of networks: block strings, timm's `arch_def`, specs as text and as files."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.sources import find, read_source
from mnas.architecture.spec import from_spec, read_spec, to_spec
from mnas.architecture.text_forms import (
    arch_def,
    block_strings,
    from_arch_def,
    from_block_strings,
)
from mnas.errors import UsageError
from mnas.export.text import to_tf, to_timm
from tests.fuzz.contract import read
from tests.fuzz.strategies import edited_bytes, edited_json, edited_text, json_files, json_values

B0 = PUBLISHED["efficientnet-b0"]
STRINGS = list(block_strings(B0))
SPECS = [
    to_spec(PUBLISHED[name], {"experiment": "digits", "trial": 1, "reward": 0.5})
    for name in ("efficientnet-b0", "mobilenet-v2", "resnet-50")
]


def counted(reader):
    """Return a reader that also counts the network, as every command does that shows one."""

    def read_and_count() -> Architecture:
        architecture = reader()
        network_cost(architecture)
        architecture.canonical_hash()
        return architecture

    return read_and_count


def lists_of_strings(valid):
    return st.one_of(
        edited_json(valid),
        edited_text(";".join(valid)).map(lambda text: text.split(";")),
    )


@given(lists_of_strings(STRINGS[:3]))
def test_block_strings(strings):
    architecture = read(counted(lambda: from_block_strings(strings)), "")
    if architecture is not None:
        again = from_block_strings(block_strings(architecture), stem=architecture.stem)
        assert again.blocks == architecture.blocks


@given(st.one_of(edited_json(arch_def(B0)[:3]), lists_of_strings(arch_def(B0)[1])))
def test_arch_def(stages):
    architecture = read(counted(lambda: from_arch_def(stages)), "")
    if architecture is None:
        return
    try:
        again = from_arch_def(arch_def(architecture))
    except UsageError:  # timm would build another network of these strings
        return
    assert again.canonical_hash() == architecture.canonical_hash()


@given(edited_text(";".join(STRINGS[:3])))
def test_spec_of_the_command_line(text):
    architecture = read(counted(lambda: find(text)), "")
    if architecture is not None and ";" in text:
        assert find(";".join(block_strings(architecture))).blocks == architecture.blocks


@given(st.one_of(*map(edited_json, SPECS), json_values))
def test_spec(data):
    architecture = read(counted(lambda: from_spec(data, "a.json")), "a.json")
    if architecture is None:
        return
    for key, value in to_spec(architecture).items():
        if key in ("params", "mult_adds", "resolution", "stem", "head", "classes", "activation"):
            assert data.get(key, value) == value
            assert type(value) in (int, str)
    assert from_spec(to_spec(architecture)) == architecture
    json.dumps(to_spec(architecture), allow_nan=False)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "spec.json"


@given(content=st.one_of(*map(json_files, SPECS)))
def test_spec_file(file, content):
    file.write_bytes(content)
    architecture = read(counted(lambda: read_spec(file)), file)
    assert architecture is None or from_spec(to_spec(architecture)) == architecture


TEXTS = [
    to_tf(B0),
    to_timm(B0.replace(resolution=64)),
    json.dumps(STRINGS),
    json.dumps(arch_def(B0)),
]
text_files = st.one_of(
    *(
        edited_text(text).map(lambda edited: edited.encode(errors="surrogatepass"))
        for text in TEXTS
    ),
    *(edited_bytes(text.encode()) for text in TEXTS),
    *(json_files(json.loads(text)) for text in TEXTS[1:]),
)


@given(content=text_files)
def test_exported_file(file, content):
    path = file.with_suffix(".txt")
    path.write_bytes(content)
    architecture = read(counted(lambda: read_source(path).architecture), path)
    assert architecture is None or from_spec(to_spec(architecture)) == architecture
