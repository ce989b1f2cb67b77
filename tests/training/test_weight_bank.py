"""Weight banks: blocks shared by their keys, initial values, files, damage."""

import json
import zipfile

import jax
import numpy as np
import pytest

from mnas.architecture.signatures import placed_signatures
from mnas.errors import UsageError
from mnas.files import ArrayFile, write_arrays
from mnas.nn.network import count_params, init_variables
from mnas.training.optimizer import Optimizer
from mnas.training.weight_bank import BankFile, WeightBank, bank_bytes, inherited
from tests.training.banks import BOTH, DEEP, LARGE_KERNEL, SMALL

OPTIMIZER = Optimizer()
IDENTITY = {"epochs": 2, "space": "tiny"}


def values(states):
    return jax.tree.map(np.asarray, states)


def assert_equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, values(first), values(second))


@pytest.fixture
def path(tmp_path):
    """A bank in training with the blocks of one network."""
    bank = WeightBank(OPTIMIZER, 3)
    bank.states(DEEP)
    bank.write(tmp_path / "bank.npz", IDENTITY, 7)
    return tmp_path / "bank.npz"


def test_initial_values_do_not_depend_on_the_order_of_networks():
    first, second = WeightBank(OPTIMIZER, 3), WeightBank(OPTIMIZER, 3)
    first.states(SMALL), first.states(BOTH)
    second.states(DEEP), second.states(LARGE_KERNEL)
    assert_equal(first.states(DEEP), second.states(DEEP))
    assert_equal(first.states(BOTH), second.states(BOTH))
    other = values(WeightBank(OPTIMIZER, 4).states(DEEP)[1].params)
    kernel = values(first.states(DEEP)[1].params)["project"]["kernel"]
    assert np.abs(other["project"]["kernel"] - kernel).min() > 0


def test_networks_share_the_blocks_that_they_have_in_common():
    bank = WeightBank(OPTIMIZER, 0)
    changed = [
        state._replace(params=jax.tree.map(lambda x: x + 1, state.params))
        for state in bank.states(DEEP)
    ]
    before = values(bank.states(LARGE_KERNEL))
    bank.update(DEEP, changed)
    after = values(bank.states(LARGE_KERNEL))
    # Stem, first stage and head are those of the deep network; the kernel of 5 is not.
    shared = [
        not np.array_equal(jax.tree.leaves(a.params)[0], jax.tree.leaves(b.params)[0])
        for a, b in zip(before, after, strict=True)
    ]
    assert shared == [True, True, False, True]
    assert_equal(bank.states(SMALL), [changed[0], changed[1], changed[2], changed[4]])


def test_equal_layers_at_other_places_are_other_blocks():
    keys = placed_signatures(DEEP.replace(blocks=(*DEEP.blocks, DEEP.blocks[-1])))
    assert len(set(keys)) == len(keys)
    twice = DEEP.replace(blocks=[*DEEP.blocks, *DEEP.replace(blocks=DEEP.blocks[::-1]).blocks])
    keys = placed_signatures(twice)
    assert len(set(keys)) == len(keys)


def test_a_file_restores_params_and_optimizers(path):
    bank, file = WeightBank(OPTIMIZER, 3), BankFile(path)
    restored = WeightBank(OPTIMIZER, 3, file=file)
    assert (file.steps, file.finished, file.identity) == (7, False, IDENTITY)
    assert_equal(restored.states(DEEP), bank.states(DEEP))
    restored.write(path, IDENTITY, 8)  # while it is mapped
    assert_equal(WeightBank(OPTIMIZER, 3, file=BankFile(path)).states(DEEP), bank.states(DEEP))


def test_a_file_restores_counters_of_optimizers(tmp_path):
    muon = Optimizer(kind="muon")
    bank = WeightBank(muon, 0)
    states = jax.tree.map(lambda x: x + np.ones((), x.dtype), bank.states(DEEP))
    bank.update(DEEP, states)
    bank.write(tmp_path / "bank.npz", {}, 1)
    restored = WeightBank(muon, 0, file=BankFile(tmp_path / "bank.npz")).states(DEEP)
    assert_equal(restored, states)
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(restored)}
    assert kinds == {"float32", "int32"}


def test_blocks_that_were_not_asked_for_stay_in_the_file(path):
    before = BankFile(path).vectors
    WeightBank(OPTIMIZER, 3, file=BankFile(path)).write(path, IDENTITY, 8, finished=True)
    after = BankFile(path)
    assert after.vectors.keys() == before.keys()
    assert all(np.array_equal(after.vectors[key][0], before[key][0]) for key in before)
    assert all(optimizer is None for _, optimizer in after.vectors.values())


def test_values_of_a_file_are_mapped_and_read_only(path):
    for params, _ in BankFile(path).vectors.values():
        assert not params.flags.writeable and not params.flags.owndata


def test_zero_residual_applies_to_a_bank():
    zero = WeightBank(OPTIMIZER, 0, zero_residual=True).states(DEEP)
    assert not values(zero[3].params)["project_norm"]["scale"].any()
    assert values(zero[2].params)["project_norm"]["scale"].all()


def test_size_of_a_bank_counts_each_block_once():
    blocks, nbytes = bank_bytes([SMALL, DEEP, SMALL], OPTIMIZER)
    assert blocks == 5
    # RMSProp has two values beside each param.
    assert nbytes == 4 * 3 * count_params(init_variables(DEEP, 0))


@pytest.mark.parametrize("change", [{"epochs": 3}, {"space": "other"}, {"more": 1}])
def test_a_bank_of_other_settings_is_rejected(path, change):
    (name,) = change
    with pytest.raises(UsageError, match=rf"weight bank of other settings: {name} was .* is "):
        BankFile(path).require_identity({**IDENTITY, **change})
    BankFile(path).require_identity(IDENTITY)


def test_values_of_another_optimizer_are_rejected(path):
    sgd = WeightBank(Optimizer(kind="sgd"), 3, file=BankFile(path))
    with pytest.raises(UsageError, match=r"weight bank: [\d,]+ values of .*; accepted: "):
        sgd.states(DEEP)


def edited(path, **arrays):
    file = ArrayFile(path)
    write_arrays(path, {**{name: file.read(name) for name in file.names}, **arrays})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "mnas-weight-bank/0"}, "is no weight bank; accepted"),
        ({"steps": -1}, "lacks a field"),
        ({"steps": True}, "lacks a field"),
        ({"finished": 1}, "lacks a field"),
        ({"finished": True}, "are missing"),
        ({"cpu_seconds": -1.0}, "lacks a field"),
        ({"cpu_seconds": "5"}, "lacks a field"),
        ({"cpu_seconds": True}, "lacks a field"),
        ({"cpu_seconds": 10**400}, "lacks a field"),
        ({"keys": [1]}, "lacks a field"),
        ({"keys": ["a"] * 6}, "are missing"),
        ({"identity": None}, "lacks a field"),
    ],
)
def test_a_head_with_a_wrong_field_is_rejected(path, change, message):
    head = json.loads(ArrayFile(path).read("head").tobytes())
    text = json.dumps({**head, **change}).encode()
    edited(path, head=np.frombuffer(text, np.uint8))
    with pytest.raises(UsageError, match=f"bank.npz.* {message}"):
        BankFile(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"head": np.zeros(3)},
        {"head": np.zeros((3, 3), np.uint8)},
        {"head": np.full(3, 255, np.uint8)},
        {"head": np.frombuffer(b"[]", np.uint8)},
        {"0.params": np.zeros(3)},
        {"0.optimizer": np.zeros((3, 3), np.float32)},
    ],
)
def test_arrays_of_another_kind_are_rejected(path, arrays):
    edited(path, **arrays)
    with pytest.raises(UsageError, match=r"bank\.npz"):
        BankFile(path)


def test_damaged_files_are_rejected(path):
    content = path.read_bytes()
    for position in range(30, len(content), len(content) // 40):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :]
        )
        try:
            BankFile(path)
        except UsageError as error:
            assert "bank.npz" in str(error)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match=r"bank\.npz can't be read"):
        BankFile(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("head.npy", b"x" * 100)
    with pytest.raises(UsageError, match="head is compressed"):
        BankFile(path)
    with pytest.raises(UsageError, match="no such file"):
        BankFile(path.with_name("missing.npz"))


def test_a_new_network_inherits_the_blocks_that_a_bank_has(path):
    file = BankFile(path)
    found = inherited(file, BOTH, 9)
    # Stem, first stage and head are those of the deep network; both layers of kernel 5 are not.
    assert (found.blocks, found.new) == (3, 2)
    expected, fresh = WeightBank(OPTIMIZER, 3).states(DEEP), init_variables(BOTH, 9)
    names = list(fresh)
    for name, state in zip((*names[:2], names[-1]), (*expected[:2], expected[-1]), strict=True):
        assert_equal(found.variables[name]["params"], state.params)
    for name in names[2:4]:
        assert_equal(found.variables[name], fresh[name])
    assert all(leaf.flags.writeable for leaf in jax.tree.leaves(found.variables))
    zero = inherited(file, BOTH, 9, zero_residual=True).variables[names[3]]["params"]
    assert not zero["project_norm"]["scale"].any()


def test_the_digest_is_that_of_settings_steps_and_params(path, tmp_path):
    digest, bank = BankFile(path).digest(), WeightBank(OPTIMIZER, 3)
    bank.states(DEEP)
    other = tmp_path / "other.npz"
    bank.write(other, IDENTITY, 7, cpu_seconds=5.0)
    assert BankFile(other).digest() == digest and BankFile(other).cpu_seconds == 5.0
    bank.write(other, IDENTITY, 8)
    assert BankFile(other).digest() != digest
    bank.write(other, {**IDENTITY, "epochs": 3}, 7)
    assert BankFile(other).digest() != digest
    changed = WeightBank(OPTIMIZER, 4)
    changed.states(DEEP)
    changed.write(other, IDENTITY, 7)
    assert BankFile(other).digest() != digest
