"""Readers of arrays: `.safetensors` weights, compiled programs, the checkpoint of a training."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.nn.network import init_variables
from mnas.nn.weights import load_weights, save_weights, to_state_dict
from mnas.runtime import authenticated_file
from mnas.runtime.authenticated_file import read_authenticated, write_authenticated
from tests.fuzz.contract import Quiet, limited, read
from tests.fuzz.strategies import ODD_FILES, edited_bytes, edited_json
from tests.runs import network

NETWORK = network()
VARIABLES = init_variables(NETWORK, 0)
KEY = b"k" * 32


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights, its header and its data."""
    path = tmp_path_factory.mktemp("fuzz") / "weights.safetensors"
    save_weights(path, NETWORK, VARIABLES, ((1.0,) * 3, (2.0,) * 3))
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return Quiet((path, json.loads(content[8 : 8 + length]), content[8 + length :]))


def assembled(header: bytes, data: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def same_tensors(variables) -> bool:
    found, expected = (to_state_dict(NETWORK, tree) for tree in (variables, VARIABLES))
    return all(np.array_equal(found[name], expected[name]) for name in expected)


def test_valid_weights_are_read(weights):
    path, header, data = weights
    path.write_bytes(assembled(json.dumps(header).encode(), data))
    assert same_tensors(load_weights(path, NETWORK))


@given(draws=st.data())
def test_weights_with_another_header(weights, draws):
    path, header, data = weights
    specification = json.loads(header["__metadata__"]["mnas_architecture"])
    text = draws.draw(
        st.one_of(
            edited_json(header).map(json.dumps).map(str.encode),
            edited_bytes(json.dumps(header).encode()),
            edited_json(specification).map(
                lambda edited: json.dumps(
                    {**header, "__metadata__": {"mnas_architecture": json.dumps(edited)}}
                ).encode()
            ),
            st.sampled_from(ODD_FILES),
        )
    )
    path.write_bytes(assembled(text, data))
    variables = read(lambda: load_weights(path, NETWORK), path)
    if variables is not None:
        for name, value in to_state_dict(NETWORK, variables).items():
            assert value.dtype in (np.float32, np.int64), name


@given(draws=st.data())
def test_weights_with_damaged_bytes(weights, draws):
    path, header, data = weights
    valid = assembled(json.dumps(header).encode(), data)
    path.write_bytes(draws.draw(st.one_of(edited_bytes(valid), st.sampled_from(ODD_FILES))))
    read(lambda: load_weights(path, NETWORK), path)


@given(draws=st.data())
def test_compiled_programs(weights, draws):
    """Nothing but the file itself is passed on to pickle and XLA."""
    path = weights[0].with_name("entry")
    content = bytes(range(256)) * 2
    assert write_authenticated(path, content, KEY)
    authenticated_file._reported.clear()
    valid = path.read_bytes()
    damaged = draws.draw(st.one_of(edited_bytes(valid), st.sampled_from(ODD_FILES)))
    path.write_bytes(damaged)
    with limited():
        found = read_authenticated(path, KEY)
    assert found == (content if damaged == valid else None)
