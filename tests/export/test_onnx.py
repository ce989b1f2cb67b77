"""ONNX: onnxruntime computes the logits of our network from the exported file."""

import sys

import numpy as np
import pytest

from mnas.architecture.published import TIMM
from mnas.errors import UsageError
from mnas.export.onnx import IR_VERSION, OPSET, save_onnx, to_onnx
from mnas.nn.network import init_variables
from tests.export.networks import NETWORKS, reference

onnxruntime = pytest.importorskip("onnxruntime")


def run(path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {"images": images})[0]


def check(architecture, path):
    variables, images, expected = reference(architecture)
    save_onnx(path, architecture, variables)
    # Logits depend on the image; otherwise the comparison would prove nothing.
    assert np.abs(expected[0] - expected[1]).max() > 1e-3 * np.abs(expected).max()
    tolerance = 1e-5 * np.abs(expected).max()
    for count in (1, 3):  # the batch dimension is symbolic
        np.testing.assert_allclose(run(path, images[:count]), expected[:count], atol=tolerance)


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_agree_with_our_network(name, tmp_path):
    check(NETWORKS[name], tmp_path / "network.onnx")


def test_logits_agree_under_symmetric_padding(tmp_path):
    architecture = NETWORKS["convolutions"].replace(padding="symmetric")
    check(architecture, tmp_path / "network.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["tf_efficientnet_b0", "mobilenetv2_100", "resnet50"])
def test_logits_of_published_networks_agree(model, tmp_path):
    check(TIMM[model], tmp_path / "network.onnx")


def test_inputs_outputs_and_versions_are_declared():
    architecture = NETWORKS["mbconv"]
    model = to_onnx(architecture, init_variables(architecture, 0))
    assert (model.opset_import[0].version, model.ir_version) == (OPSET, IR_VERSION)

    def name_and_shape(value):
        shape = value.type.tensor_type.shape.dim
        return value.name, [dim.dim_param or dim.dim_value for dim in shape]

    assert list(map(name_and_shape, model.graph.input)) == [("images", ["batch", 3, 20, 20])]
    assert list(map(name_and_shape, model.graph.output)) == [("logits", ["batch", 4])]


def test_a_missing_package_is_reported_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"onnx is not installed; accepted: after .*mnas\[onnx\]"):
        to_onnx(NETWORKS["mbconv"], {})
