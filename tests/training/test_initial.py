"""Initial variables of a training from weights of another one."""

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.errors import UsageError
from mnas.nn.network import init_variables
from mnas.nn.weights import save_weights
from mnas.training.initial import initial_weights
from mnas.training.transfer import TransferConfig

NETWORK = Architecture(
    (Block(kernel=3, stride=2, filters=8, repeats=2),),
    resolution=8,
    stem=8,
    head=16,
    classes=4,
    name="tiny",
)


@pytest.fixture
def file(tmp_path):
    """Return a file with the weights of `NETWORK` that `init_variables` gives for seed 1."""
    path = tmp_path / "tiny.safetensors"
    save_weights(path, NETWORK, init_variables(NETWORK, 1))
    return str(path)


def flat(variables, path=""):
    if not isinstance(variables, dict):
        return {path: variables}
    return {
        key: leaf
        for name, value in variables.items()
        for key, leaf in flat(value, f"{path}/{name}").items()
    }


def assert_taken(initial, network, but=()):
    """Check that all arrays are those of the file, and these those of seed 0."""
    saved, fresh = (flat(init_variables(network, seed)) for seed in (1, 0))
    values = flat(initial.variables)
    assert values.keys() == saved.keys()
    assert set(but) <= values.keys()
    for name, value in values.items():
        expected = fresh[name] if name in but else saved[name]
        np.testing.assert_array_equal(value, expected, err_msg=name)
    assert initial.taken + len(but) == len(values)


def test_all_arrays_are_taken_for_the_same_number_of_classes(file):
    initial = initial_weights(TransferConfig(file), NETWORK.replace(resolution=16), 0)
    assert_taken(initial, NETWORK)
    assert initial.describe() == (
        f"all {initial.taken} arrays taken, also the classifier (--new-head replaces it)"
    )


CLASSIFIER = ("/head/params/kernel", "/head/params/bias")


def test_the_classifier_is_initialised_anew_for_another_number_of_classes(file):
    other = NETWORK.replace(classes=7)
    initial = initial_weights(TransferConfig(file, freeze="stem", layer_decay=0.5), other, 0)
    assert initial.variables["head"]["params"]["kernel"].shape == (16, 7)
    # Weights but the classifier's depend on no number of classes.
    assert_taken(initial, other, but=CLASSIFIER)
    assert initial.rates == {"stem": 0, "stage1_layer1": 0.5, "stage1_layer2": 0.5, "head": 1}
    assert initial.describe() == (
        f"{initial.taken} arrays taken, classifier.bias, classifier.weight initialised anew (the "
        "weights have 4 classes); 1 of 4 blocks frozen"
    )


def test_the_classifier_is_initialised_anew_where_asked_for(file):
    assert_taken(initial_weights(TransferConfig(file, True), NETWORK, 0), NETWORK, but=CLASSIFIER)


def test_images_are_normalised_as_the_weights_were_trained(tmp_path, file):
    # timm's default mean and standard deviation, times 255.
    initial = initial_weights(TransferConfig(file), NETWORK, 0)
    for values, by_255 in zip(
        initial.normalisation, [(0.485, 0.456, 0.406), (0.229, 0.224, 0.225)], strict=True
    ):
        np.testing.assert_allclose(values, 255 * np.array(by_255))
    own, path = ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]), tmp_path / "own.safetensors"
    save_weights(path, NETWORK, init_variables(NETWORK, 1), own)
    assert initial_weights(TransferConfig(str(path)), NETWORK, 0).normalisation == own


def test_a_new_classifier_cannot_be_frozen(file):
    for config in (TransferConfig(file, freeze="head"), TransferConfig(file, True, "1,head")):
        with pytest.raises(UsageError, match="freezes the head, whose classifier is new"):
            initial_weights(config, NETWORK.replace(classes=4 + (not config.new_head)), 0)
    assert initial_weights(TransferConfig(file, freeze="head"), NETWORK, 0).rates["head"] == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"stem": 16}, r"conv_stem\.weight is \[8, 3, 3, 3\], not \[16, 3, 3, 3\]"),
        ({"blocks": NETWORK.blocks * 2}, r"blocks\.1\.0\.bn1\.running_mean is missing"),
        ({"head": 0}, "does not fit tiny"),
        ({"activation": "relu"}, "activation = 'relu'; the weights need 'swish'"),
    ],
)
def test_arrays_of_another_network_are_named(file, changes, named):
    with pytest.raises(UsageError, match=named):
        initial_weights(TransferConfig(file), NETWORK.replace(classes=7, **changes), 0)


def test_a_file_without_a_usable_classifier_is_named(tmp_path):
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "w.safetensors"
    save_weights(path, NETWORK, init_variables(NETWORK, 1))
    state = load_file(path)
    for shape in ((), (0, 16), (10**9, 0), (4, 16, 1)):
        state["classifier.weight"] = np.zeros(shape, np.float32)
        save_file(state, path)
        with pytest.raises(UsageError, match=r"w\.safetensors does not fit tiny: classifier\.wei"):
            initial_weights(TransferConfig(str(path)), NETWORK, 0)
    del state["classifier.weight"]
    save_file(state, path)
    with pytest.raises(UsageError, match=r"classifier\.weight is missing"):
        initial_weights(TransferConfig(str(path)), NETWORK, 0)


def test_a_file_that_is_none_is_named(tmp_path):
    path = tmp_path / "w.safetensors"
    for content in (b"", b"\xff" * 100, b"\x08" + 7 * b"\0" + b"{}      "):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"w\.safetensors"):
            initial_weights(TransferConfig(str(path)), NETWORK, 0)
    for name in ("", "/missing.safetensors"):
        with pytest.raises(UsageError, match=r"no regular file|can't be read"):
            initial_weights(TransferConfig(f"{tmp_path}{name}"), NETWORK, 0)
