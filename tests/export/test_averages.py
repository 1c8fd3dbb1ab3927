"""int8 averages: none lies where processors round differently, and XNNPACK's are exact, for every sum there is."""

import keras
import numpy as np
import pytest
from tensorflow.lite.tools import flatbuffer_utils
from tflite_files import File

from export import averages, conversion, fidelity
from keras_resnet import ResNet
from keras_resnet.quantization import ranges
from keras_resnet.quantization.quantizer import quantize_aware

SIDE, CHANNELS = 8, 256
COUNT = SIDE * SIDE


@pytest.fixture(scope="module")
def pooled():
    """The bytes of an int8 file of a pool and a dense layer, as the converter makes it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIDE, SIDE, CHANNELS))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(5, bias_initializer=keras.initializers.Constant(0.3))(x))
    pictures = np.random.default_rng(0).uniform(-1, 1, (8, SIDE, SIDE, CHANNELS)).astype(np.float32)
    return conversion.FORMATS["int8-ptq"](model, pictures, "int8")


def with_scales(content, given, made):
    """The same file, with other scales and zero points of the input and of the average."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    (graph,) = model.subgraphs
    mean = graph.operators[0]
    for place, (scale, zero) in ((mean.inputs[0], given), (mean.outputs[0], made)):
        quantization = graph.tensors[place].quantization
        quantization.scale, quantization.zeroPoint = np.float32([scale]), np.int64([zero])
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def averages_alone(content):
    """The same file, which ends with its average."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    (graph,) = model.subgraphs
    graph.operators, model.signatureDefs = graph.operators[:1], None
    graph.outputs = graph.operators[0].outputs
    return File(bytes(flatbuffer_utils.convert_object_to_bytearray(model)), xnnpack=True)


def every_sum():
    """int8 (64, 8, 8, 256): each channel of each picture has another sum, from 64 · -128 to 64 · 127."""
    sums = np.arange(COUNT * CHANNELS).clip(max=COUNT * 255).reshape(COUNT, 1, CHANNELS)
    pixels = sums // COUNT + (np.arange(COUNT).reshape(1, COUNT, 1) < sums % COUNT) - 128
    return pixels.reshape(COUNT, SIDE, SIDE, CHANNELS).astype(np.int8)


def distance_to_tie(values):
    """How near the nearest value lies to the middle between two integers."""
    return np.abs(values - np.floor(values) - 0.5).min()


# The first pair is a ResNet-8's, whose sums of -7526 XNNPACK rounds up on x86 and down on Arm.
@pytest.mark.parametrize(
    "given, made",
    [
        ((0.16761769, -128), (0.01718495, -128)),
        ((0.023, -128), (0.0071, -128)),
        ((1 / 128, 0), (1 / 128, 0)),
        ((0.031, 7), (0.0142, -31)),
    ],
)
def test_every_average_is_rounded_as_exact_arithmetic_does(pooled, given, made):
    inputs = every_sum()
    file = averages_alone(averages.settle(with_scales(pooled, given, made)))
    (scale, zero), (to_scale, to_zero) = file.input["quantization"], file.output["quantization"]
    assert (scale, zero, to_zero) == (np.float32(given[0]), given[1], made[1])
    assert 1 - 2e-6 < to_scale / np.float32(made[0]) < 1.001
    exact = (inputs.sum((1, 2), dtype=np.int64) - COUNT * zero) * (np.float64(scale) / COUNT / to_scale) + to_zero
    assert distance_to_tie(exact[np.abs(exact) < 129]) > 0.9 / 2 / ranges.DENOMINATORS[-1]
    np.testing.assert_array_equal(file(inputs), np.rint(exact).clip(-128, 127))


def test_what_follows_an_average_stays(pooled):
    after = averages.settle(pooled)
    assert pooled != after
    old, new = File(pooled, xnnpack=True), File(after, xnnpack=True)
    assert old.operators == new.operators
    ((old_bias, steps),), ((new_bias, _),) = old.biases, new.biases
    np.testing.assert_array_less(np.abs(new_bias - old_bias), steps)
    (graph,) = flatbuffer_utils.read_model_from_bytearray(bytearray(after)).subgraphs
    (dense,) = [o for o in graph.operators if len(o.inputs) == 3]
    average, kernel, bias = (np.float64(graph.tensors[i].quantization.scale) for i in dense.inputs)
    np.testing.assert_allclose(bias, average * kernel, rtol=1e-6)  # what kernels take it for, whatever the file says
    pictures = np.random.default_rng(1).integers(-90, 90, (200, SIDE, SIDE, CHANNELS)).astype(np.int8)
    difference = np.abs(old(pictures) - new(pictures))
    assert difference.max() <= 1 and difference.mean() < 0.05


def test_layers_that_share_a_bias_each_keep_it():
    inputs = keras.Input((SIDE, SIDE, 8))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    kernel = np.random.default_rng(0).normal(size=(8, 5))
    branches = [keras.layers.Dense(5, bias_initializer=keras.initializers.Constant(40.0)) for _ in range(2)]
    model = keras.Model(inputs, keras.layers.Add()([branch(x) for branch in branches]))
    for branch, sign in zip(branches, (1, -1), strict=True):
        branch.set_weights([sign * kernel, branch.get_weights()[1]])
    pictures = np.random.default_rng(0).uniform(-1, 1, (8, SIDE, SIDE, 8)).astype(np.float32)
    content = conversion.FORMATS["int8-ptq"](model, pictures, "int8")
    old, new = (File(c, xnnpack=True).biases for c in (content, averages.settle(content)))
    assert len(old) == 2
    for (before, steps), (after, _) in zip(old, new, strict=True):
        np.testing.assert_array_less(np.abs(after - before), 2 * steps)


@pytest.mark.parametrize("ends", ["read by more than a layer", "an output"])
def test_an_average_that_is_seen_keeps_its_scale(ends):
    inputs = keras.Input((SIDE, SIDE, 8))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    y = keras.layers.Dense(5)(x)
    model = keras.Model(inputs, [x, y] if ends == "an output" else keras.layers.Concatenate()([x, y]))
    pictures = np.random.default_rng(0).uniform(-1, 1, (8, SIDE, SIDE, 8)).astype(np.float32)
    content = conversion.FORMATS["int8-ptq"](model, pictures, "int8")
    assert averages.settle(content) == content


def test_scales_grow_by_little_and_sums_lie_beside_ties():
    rng = np.random.default_rng(0)
    for count in (4, 49, 64, 196, 1024):
        for ratio in rng.uniform(1, 30, 20):
            step = rng.uniform(1e-4, 1) / count
            scale = step * count / ratio
            chosen = ranges.untied(step, scale)
            assert 1 - 2e-6 < chosen / scale < 1.001
            sums = np.arange(255 * count + 1) * (step / chosen)
            assert distance_to_tie(sums) > 0.99 / 2 / ranges.DENOMINATORS[-1]
    assert ranges.untied(1e-9, 1.0) == 1.0


def test_a_quantized_network_has_such_averages_itself():
    keras.utils.set_random_seed(0)
    model = ResNet(8, (32, 32, 3), 10)
    pictures = np.random.default_rng(0).uniform(-1, 1, (8, 32, 32, 3)).astype(np.float32)
    quantized = quantize_aware(model, pictures)
    given, made = (quantized.get_layer(f"{name}_range") for name in ("stage4_block1_relu", "head_pool"))
    sums = np.arange(255 * 64 + 1) * (given.step / 64 / made.step)
    assert distance_to_tie(sums[sums < 256]) > 0.9 / 2 / ranges.DENOMINATORS[-1]
    assert quantized.get_layer("logits").input_step.numpy() == np.float32(made.step)
    content = conversion.FORMATS["int8-qat"](quantized, None, "int8")  # so that a file keeps its simulation's ranges
    black = {"image": np.zeros((1, 32, 32, 3), np.float32)}
    scales = [fidelity.outputs(c, black) for c in (content, averages.settle(content))]
    (before,), (after,) = ([output.scale for output in s.values() if output.operator == "MEAN"] for s in scales)
    assert abs(after / before - 1) < 1e-6
