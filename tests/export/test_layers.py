"""The layer report against closed forms, and against a layer that is broken on purpose."""

import pathlib
import re

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from export import layers as report
from keras_resnet import ResNet
from keras_resnet.quantization.fake_quantization import FakeQuantize
from keras_resnet.quantization.quantizer import quantize_aware


def pictures(n=64, side=32):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8).astype(np.float32) / 128 - 1


def decibels(signal, noise):
    return 10 * np.log10(np.square(signal).sum() / np.square(noise).sum())


def test_one_layer_has_the_noise_of_uniform_rounding():
    inputs = keras.Input((32, 32, 3))
    # Its kernel is made of steps of 1/127, which rounding leaves as they are: the output's rounding is all there is.
    kernel = np.random.default_rng(1).integers(-126, 127, (3, 3, 3, 4)).astype(np.float32) / 127
    kernel[0, 0, 0] = 1.0
    layer = layers.Conv2D(4, 3, use_bias=False, name="only")
    model = keras.Model(inputs, layer(inputs))
    layer.kernel.assign(kernel)
    quantized = quantize_aware(model, pictures(), search="max")
    (row,) = report.measure(quantized, pictures())
    exact = np.asarray(model(pictures()))
    step = (exact.max() - exact.min()) / 255
    assert row.layer == "only"
    assert row.own == row.accumulated == pytest.approx(decibels(exact, np.full(exact.shape, step / 12**0.5)), abs=0.1)


def test_accumulated_noise_is_that_of_the_whole_network():
    keras.utils.set_random_seed(0)
    model = ResNet(8, (32, 32, 3), 10)
    for layer in model.layers:  # zero at the start, as blocks begin
        if isinstance(layer, layers.BatchNormalization):
            layer.gamma.assign(np.ones(layer.gamma.shape))
    quantized = quantize_aware(model, pictures())
    answers = np.asarray(quantized(pictures()))
    rows = {row.layer: row for row in report.measure(quantized, pictures())}
    # The norms are folded and nothing is trained: without rounding the network is the float one.
    exact = np.asarray(model(pictures()))
    assert rows["logits"].accumulated == pytest.approx(decibels(exact, answers - exact), abs=0.01)
    assert rows["logits"].own > rows["logits"].accumulated
    assert "image" not in rows  # raw pixels are exact
    np.testing.assert_array_equal(quantized(pictures()), answers)  # the rounding is back


def test_a_bad_range_is_found(tmp_path):
    keras.utils.set_random_seed(0)
    quantized = quantize_aware(ResNet(8, (32, 32, 3), 10), pictures())
    wide = next(
        w for w in quantized.layers if isinstance(w, FakeQuantize) and w.name.startswith("stage3_block1_relu_range")
    )
    wide.set_range(0.0, 30 * float(wide.high.numpy()))
    rows = report.measure(quantized, pictures())
    assert rows[0].layer == "stage3_block1_add_relu"
    assert [row.own for row in rows] == sorted(row.own for row in rows)
    assert report.table(rows).splitlines()[1].startswith("stage3_block1_add_relu")
    report.write(tmp_path, rows, "title")
    with Image.open(tmp_path / "layers.png") as picture:
        assert picture.height > 300


def memory(what):
    """This process's memory in bytes: `VmRSS` is what it has, `VmHWM` the most that it had."""
    return 1024 * int(re.search(rf"{what}:\s+(\d+)", pathlib.Path("/proc/self/status").read_text()).group(1))


def test_memory_holds_the_living_tensors_alone():
    images = pictures(64, 96)
    inputs = x = keras.Input(images.shape[1:])
    for _ in range(40):
        x = layers.Conv2D(3, 1)(x)
    quantized = quantize_aware(keras.Model(inputs, x), images[:1])
    report.measure(quantized, images[:1])  # what is loaded once
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the most is now what it has
    before = memory("VmRSS")
    report.measure(quantized, images)
    assert memory("VmHWM") - before < 40 * images.nbytes  # three copies of 80 tensors would be 240
