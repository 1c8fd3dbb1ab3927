"""The detector: its shapes and start, its cells beside the contract's, and what its int8 file makes of it."""

import keras
import numpy as np
import pytest

from export import conversion, fidelity
from keras_resnet import ResNet
from keras_resnet.device.boxes import Boxes
from keras_resnet.device.tensors import Tensors
from keras_resnet.networks.detector import detector, levels
from keras_resnet.quantization import quantize_aware


@pytest.fixture(scope="module")
def two():
    """A detector of two levels on pictures whose sides are no multiples of its strides."""
    keras.utils.set_random_seed(0)
    backbone = ResNet(18, (72, 88, 3), width=0.125, features=True, stem="imagenet")
    return detector(backbone, 3, (8, 16), 16), levels(backbone, (8, 16))


def test_cells_are_the_contracts(two):
    model, places = two
    assert places == ((9, 11, 8), (5, 6, 16))
    contract = Boxes(("a", "b", "c"), places)
    assert [tuple(made.shape) for made in model.outputs] == [(None, 129, 4), (None, 129, 3)]
    assert model.output_names == ["location", "score"] and len(contract.anchors) == 129


def test_at_the_start_classes_are_rare_and_boxes_four_strides_wide(two):
    model, places = two
    location, score = model(np.zeros((1, 72, 88, 3), np.float32))
    np.testing.assert_allclose(1 / (1 + np.exp(-score)), 0.01, rtol=0.2)
    top, left, bottom, right = Boxes(("a",), places).placed(location[0]).T
    stride = np.repeat([8, 16], [99, 30])
    np.testing.assert_allclose([bottom - top, right - left], np.tile(4 * stride, (2, 1)), rtol=0.1)


def test_a_cell_says_what_lies_around_it(two):
    """What changes in a corner of the picture changes most in the cells of that corner, of both levels."""
    model, places = two
    pictures = np.zeros((2, 72, 88, 3), np.float32)
    pictures[1, 56:, 72:] = 1
    score = np.asarray(model(pictures)[1])
    changed = np.abs(score[1] - score[0]).max(-1)
    first = 0
    for rows, columns, _ in places:
        level = changed[first : first + rows * columns].reshape(rows, columns)
        row, column = np.unravel_index(level.argmax(), level.shape)
        assert row >= rows // 2 and column >= columns // 2
        first += rows * columns


def test_its_file_is_pure_and_its_simulations(two, tmp_path):
    model, _ = two
    pictures = np.random.default_rng(0).integers(0, 256, (8, 72, 88, 3)).astype(np.float32) / 128 - 1
    quantized = quantize_aware(model, pictures)
    content = conversion.convert("int8-qat", quantized, pictures)
    (tmp_path / "model.tflite").write_bytes(content)
    file = Tensors(tmp_path / "model.tflite")
    assert {name: tuple(t["shape"]) for name, t in file.outputs.items()} == {
        "location": (1, 129, 4),
        "score": (1, 129, 3),
    }
    assert file.outputs["location"]["quantization"] != file.outputs["score"]["quantization"]
    for tensor in fidelity.compare(quantized, content, pictures):
        assert np.mean(tensor.steps == 0) > 0.95 and tensor.steps.max() <= 1, tensor.layer


def test_what_cannot_be():
    with pytest.raises(ValueError, match=r"strides=\(3,\): expected some of 2, 4, 8, 16, 32, growing, odd: \[3\]"):
        detector(ResNet(18, (64, 64, 3), width=0.125, features=True), 3, (3,))
    with pytest.raises(ValueError, match=r"takes \(None, None, 3\); a pyramid wants pictures of a fixed size"):
        detector(ResNet(18, (None, None, 3), width=0.125, stem="imagenet", features=True), 3)
