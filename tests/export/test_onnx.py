"""ONNX: what onnxruntime makes of the file is what our network gives."""

import sys

import numpy as np
import pytest

from mnas.architecture.published import TIMM
from mnas.export.onnx import IR_VERSION, OPSET, save_onnx, to_onnx
from mnas.nn.network import init_variables
from tests.export.networks import NETWORKS, images
from tests.interchange.parity import logits, rule_variables

onnxruntime = pytest.importorskip("onnxruntime")


def run(path, given: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {"images": given})[0]


def check(architecture, path):
    variables, given = rule_variables(architecture), images(architecture)
    save_onnx(path, architecture, variables)
    expected = logits(architecture, variables, given)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3 * np.abs(expected).max()
    tolerance = 1e-5 * np.abs(expected).max()
    for count in (1, 3):  # the number of images is left open
        np.testing.assert_allclose(run(path, given[:count]), expected[:count], atol=tolerance)


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_ours(name, tmp_path):
    check(NETWORKS[name], tmp_path / "network.onnx")


def test_symmetric_padding(tmp_path):
    architecture = NETWORKS["convolutions"].replace(padding="symmetric")
    check(architecture, tmp_path / "network.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["tf_efficientnet_b0", "mobilenetv2_100", "resnet50"])
def test_logits_of_published_networks_are_ours(model, tmp_path):
    check(TIMM[model], tmp_path / "network.onnx")


def test_the_model_says_what_it_takes_and_gives():
    architecture = NETWORKS["mbconv"]
    model = to_onnx(architecture, init_variables(architecture, 0))
    assert (model.opset_import[0].version, model.ir_version) == (OPSET, IR_VERSION)

    def described(value):
        shape = value.type.tensor_type.shape.dim
        return value.name, [dim.dim_param or dim.dim_value for dim in shape]

    assert list(map(described, model.graph.input)) == [("images", ["batch", 3, 20, 20])]
    assert list(map(described, model.graph.output)) == [("logits", ["batch", 4])]


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=r"onnx is not installed; accepted: after .*mnas\[onnx\]"):
        to_onnx(NETWORKS["mbconv"], {})
