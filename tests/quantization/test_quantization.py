"""Quantized networks against their float originals, and against what TFLite makes of them."""

import keras
import numpy as np
import pytest
from keras import layers
from tflite_files import File, convert

from export import fidelity
from keras_resnet import Layout, ResNet, load_pretrained
from keras_resnet.data.loading import load_dataset
from keras_resnet.networks.weights import save_model
from keras_resnet.networks.zoo import CAFFE_MEAN, TORCH_MEAN
from keras_resnet.quantization import ranges
from keras_resnet.quantization.fake_quantization import without_rounding
from keras_resnet.quantization.quantizer import quantize_aware
from keras_resnet.quantization.saved import load_model


def pixels(shape, n=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def scaled(uint8):
    return uint8.astype(np.float32) / 128 - 1


def as_int8(uint8):
    return (uint8.astype(np.int16) - 128).astype(np.int8)


def alive(model, seed=0):
    """Gives zero scales and kernels a value, and the norms the statistics of their inputs."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.path.endswith("gamma"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith(("beta", "bias")):
            weight.assign(rng.normal(0, 0.2, weight.shape))
        elif weight.path.endswith("kernel") and not np.any(weight):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.5
    for i in range(8):
        model(scaled(pixels(model.input_shape[1:], 8, i)), training=True)
    return model


# As `zoo.convert_keras` makes them, narrow and of two stages.
KERAS = {"depth": Layout("bottleneck", (2, 2), 8), "input_shape": (32, 32, 3), "num_classes": 10}
KERAS |= {"stem": "imagenet", "padding": "symmetric"}
NETWORKS = {
    "v1": lambda: ResNet(8, (32, 32, 3), 10),
    "option A, ReLU6": lambda: ResNet(8, (32, 32, 3), 10, shortcut="A", activation="relu6"),
    "v2": lambda: ResNet(8, (32, 32, 3), 10, version=2),
    "wide": lambda: ResNet(8, (32, 32, 3), 10, width=2),
    "squeezed, pooled": lambda: ResNet(8, (64, 64, 3), 10, stem="deep", shortcut="pool", se=0.25),
    "blurred": lambda: ResNet(8, (32, 32, 3), 10, blur=True),
    "of another project": lambda: ResNet(18, (64, 64, 3), 10, padding="symmetric", pixel_mean=TORCH_MEAN, width=0.25),
    "keras.applications' v1": lambda: ResNet(**KERAS, pixel_mean=CAFFE_MEAN, stride_conv="1x1"),
    "keras.applications' v2": lambda: ResNet(
        **KERAS, pixel_mean=(127.5,) * 3, stride_block="last", stem_bias=True, version=2
    ),
    "sequences": lambda: ResNet(8, (1, 96, 2), 10, axes=1, shortcut="pool", se=0.25),
    "vectors": lambda: ResNet(8, (1, 1, 24), 10, axes=0),
    "bottleneck, symmetric": lambda: ResNet(50, (32, 32, 3), 10, stem="imagenet", padding="symmetric", width=0.25),
}
APPLICATIONS = {
    "ResNet50": 64,
    "ResNet50V2": 64,
    "MobileNet": 64,
    "MobileNetV2": 64,
    "MobileNetV3Small": 64,
    "VGG16": 32,
    "DenseNet121": 64,
    "Xception": 96,
}


def assert_pure(file, boundaries=0):
    assert file.float_tensors == []
    assert file.operators["QUANTIZE"] == boundaries
    assert file.operators["DEQUANTIZE"] == 0
    assert file.weight_scales and min(file.weight_scales) > 1, "a convolution without a scale for each channel"


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in ("v1", "v2", "option A, ReLU6"))) for n in NETWORKS]
)
def test_our_networks_become_pure_int8(name):
    keras.utils.set_random_seed(0)
    model = alive(NETWORKS[name]())
    quantized = quantize_aware(model, scaled(pixels(model.input_shape[1:])))
    file = File(convert(quantized))
    assert_pure(file)
    assert file.input["quantization"] == (1 / 128, 0)
    # Norms are folded; version 2's that read a sum, or a stem that the shortcut reads too, stand alone, as a mean does.
    alone = {"v2": 4, "blurred": 4, "of another project": 1, "keras.applications' v1": 1, "keras.applications' v2": 6}
    assert file.operators["DEPTHWISE_CONV_2D"] == alone.get(name, 0)
    assert_pure(File(convert(quantized, "uint8")), boundaries=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_others_networks_become_pure_int8(name):
    keras.utils.set_random_seed(0)
    shape = (APPLICATIONS[name], APPLICATIONS[name], 3)
    options = {"include_preprocessing": False} if name.startswith("MobileNetV3") else {}
    model = alive(getattr(keras.applications, name)(weights=None, input_shape=shape, classes=10, **options))
    images = pixels(shape, 4)
    quantized = quantize_aware(model, scaled(images))
    content = convert(quantized)
    assert_pure(File(content))
    for tensor in fidelity.compare(quantized, content, scaled(images)):
        assert np.mean(tensor.steps <= 1) >= 0.999, tensor.layer
        assert np.ptp(tensor.made) > 10, tensor.layer  # the range is used
    with without_rounding(*quantized.layers):  # it is the network that it was made of
        answers = np.array(quantized(scaled(images)))
    expected = np.array(model(scaled(images)))
    # ResNet50 has 3.2e-5, and moves by 1.6e-5 when its kernels change in the last place; a wrong translation has 0.75.
    assert np.linalg.norm(answers - expected) < 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_folding_changes_nothing_but_the_rounding(name):
    keras.utils.set_random_seed(0)
    model = alive(NETWORKS[name]())
    images = scaled(pixels(model.input_shape[1:]))
    quantized = quantize_aware(model, images)
    expected = np.array(model(images))
    assert np.std(expected) > 0.01
    with without_rounding(*quantized.layers):
        assert np.linalg.norm(quantized(images) - expected) < 1e-4 * np.linalg.norm(expected)


def single(*parts, shape=(8, 8, 6)):
    """A model of some layers in a row."""
    inputs = x = keras.Input(shape)
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


def joined(join):
    inputs = keras.Input((8, 8, 6))
    a, b = layers.Conv2D(5, 3, name="a")(inputs), layers.Conv2D(5, 3, activation="relu", name="b")(inputs)
    return keras.Model(inputs, join([a, b]))


def pooled():
    """The first block of ENet: the input's own range must not become that of the convolution beside it."""
    inputs = keras.Input((8, 8, 6))
    wide = layers.Rescaling(3.0)(layers.Conv2D(5, 3, strides=2, padding="same")(inputs))
    return keras.Model(inputs, layers.Concatenate()([wide, layers.MaxPooling2D()(inputs)]))


OPERATORS = {
    "convolution": lambda: single(layers.Conv2D(7, 3, padding="same")),
    "strides": lambda: single(layers.Conv2D(7, 3, strides=2, padding="same", use_bias=False)),
    "dilation": lambda: single(layers.Conv2D(7, 3, dilation_rate=2, activation="relu6")),
    "depthwise": lambda: single(layers.DepthwiseConv2D(3, padding="same")),
    "depthwise, multiplier": lambda: single(layers.DepthwiseConv2D(3, depth_multiplier=3, activation="relu")),
    "separable": lambda: single(layers.SeparableConv2D(9, 3, activation="relu")),
    "dense": lambda: single(layers.Flatten(), layers.Dense(11, activation="relu")),
    "lone norm": lambda: single(layers.ReLU(), layers.BatchNormalization()),
    "convolution, norm, ReLU": lambda: single(
        layers.Conv2D(7, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()
    ),
    "depthwise, norm": lambda: single(
        layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False), layers.BatchNormalization()
    ),
    "add": lambda: joined(layers.Add()),
    "subtract": lambda: joined(layers.Subtract()),
    "multiply": lambda: joined(layers.Multiply()),
    "concatenate": lambda: joined(layers.Concatenate()),
    "max pooling": lambda: single(layers.Conv2D(4, 3), layers.MaxPooling2D(3, 2, padding="same")),
    "average pooling": lambda: single(layers.Conv2D(4, 3), layers.AveragePooling2D(2)),
    "global average": lambda: single(layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()),
    "global maximum": lambda: single(layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()),
    "padding, cropping": lambda: single(layers.ZeroPadding2D(2), layers.Conv2D(4, 3), layers.Cropping2D(1)),
    "up-sampling": lambda: single(layers.Conv2D(4, 3), layers.UpSampling2D(2)),
    "reshape": lambda: single(layers.Conv2D(4, 3), layers.Reshape((9, 16)), layers.Flatten(), layers.Dense(3)),
    "sigmoid": lambda: single(layers.Conv2D(4, 3, activation="sigmoid")),
    "tanh": lambda: single(layers.Conv2D(4, 3, activation="tanh")),
    "swish": lambda: single(layers.Conv2D(4, 3, activation="swish")),
    "hard-swish": lambda: single(layers.Conv2D(4, 3, activation="hard_swish")),
    "leaky ReLU": lambda: single(layers.Conv2D(4, 3), layers.LeakyReLU(0.2)),
    "softmax": lambda: single(layers.Flatten(), layers.Dense(5), layers.Softmax()),
    "rescaling": lambda: single(layers.Rescaling(0.5, offset=0.1), layers.Conv2D(4, 3)),
    "normalization": lambda: single(
        layers.Normalization(mean=[0.1, 0.2, 0.3, 0, 0, 0], variance=[0.5, 1, 2, 1, 1, 1]), layers.Conv2D(4, 3)
    ),
    "dropout": lambda: single(layers.Conv2D(4, 3), layers.Dropout(0.5), layers.SpatialDropout2D(0.5)),
    "concatenated with its pooled input": lambda: pooled(),
    "sequential": lambda: keras.Sequential([layers.Input((8, 8, 6)), layers.Conv2D(4, 3), layers.ReLU()]),
    "nested": lambda: single(layers.Conv2D(4, 3), keras.Sequential([layers.Input((6, 6, 4)), layers.Conv2D(3, 1)])),
}


def linear_layers(quantized):
    return [layer for layer in quantized.layers if hasattr(layer, "input_step")]


# XNNPACK rounds these in a way of its own, LiteRT's own kernels in another.
ROUNDED_OTHERWISE = ("average pooling", "hard-swish", "leaky ReLU")


@pytest.mark.parametrize("name", OPERATORS)
def test_each_operator_is_simulated(name):
    keras.utils.set_random_seed(1)
    model = alive(OPERATORS[name]())
    quantized = quantize_aware(model, scaled(pixels((8, 8, 6), 64, 1)))
    file = File(convert(quantized))
    assert file.float_tensors == []
    assert file.operators["QUANTIZE"] == file.operators["DEQUANTIZE"] == 0
    inputs = pixels((8, 8, 6), 64, 2)
    expected = file.steps(quantized(scaled(inputs)))
    assert np.mean(np.abs(file(as_int8(inputs)) - expected) <= 1) >= 0.999
    by_xnnpack = File(file.content, xnnpack=True)(as_int8(inputs))
    assert np.mean(np.abs(by_xnnpack - expected) <= (name in ROUNDED_OTHERWISE)) >= 0.999
    assert np.ptp(by_xnnpack) > 50  # the range is used
    # Values hardly show how a bias is rounded: wrongly, it moves one of some thousands by a step.
    simulated = [np.array(layer._rounded(layer.kernel, layer.bias)[1]) for layer in linear_layers(quantized)]
    assert len(file.biases) == len(simulated)
    for bias, step in file.biases:
        same = [np.abs(other - bias) < step / 100 for other in simulated if other.shape == bias.shape]
        assert any(channels.all() for channels in same)


def test_concatenated_fixed_ranges_are_kept_apart():
    inputs = keras.Input((8, 8, 6))
    a = layers.Conv2D(4, 3, activation="sigmoid")(inputs)
    b = layers.Rescaling(8.0)(layers.Conv2D(4, 3)(inputs))
    quantized = quantize_aware(keras.Model(inputs, layers.Concatenate()([a, b])), scaled(pixels((8, 8, 6))))
    file = File(convert(quantized))
    assert file.float_tensors == []
    assert file.operators["QUANTIZE"] == 0
    inputs = pixels((8, 8, 6), 64, 2)
    difference = np.abs(file(as_int8(inputs)) - file.steps(quantized(scaled(inputs))))
    assert np.mean(difference <= 1) >= 0.999


def test_trained_network_answers_as_its_simulation():
    model, _ = load_pretrained("digits-resnet8")
    data = load_dataset("digits")
    images = np.concatenate([split.images for split in (data.train, data.validation, data.test)])
    quantized = quantize_aware(model, scaled(data.train.images[:256]))
    file = File(convert(quantized), xnnpack=True)
    answers, expected = file(as_int8(images)), file.steps(quantized.predict(scaled(images), verbose=0))
    assert np.ptp(expected, axis=-1).min() > 20  # where logits lie closer, a step decides
    assert np.mean(answers.argmax(-1) == expected.argmax(-1)) >= 0.998
    assert np.mean((answers == expected).all(-1)) >= 0.8  # with biases that are not rounded: 0.34


@pytest.mark.parametrize("search", ranges.SEARCHES)
def test_ranges_hold_zero_and_most_values(search):
    model = alive(NETWORKS["v1"]())
    quantized = quantize_aware(model, scaled(pixels((32, 32, 3), 64)), search=search)
    for layer in quantized.layers:
        if layer.name.endswith("_range"):
            low, high = float(layer.low), float(layer.high)
            assert low <= 0 <= high and high > low
            zero = -low / (high - low) * 255
            assert zero == pytest.approx(round(zero), abs=1e-3)
            if layer.name == "stage2_block1_conv1_range":  # behind a ReLU
                assert low == 0


def test_mse_search_clips_outliers():
    seen = ranges.Observer()
    rng = np.random.default_rng(0)
    seen(np.concatenate([rng.normal(size=10_000), [100.0]]).astype(np.float32))
    seen.values = [np.concatenate([rng.normal(size=10_000), [20.0]])]
    assert ranges.largest(seen, 8)[1] == 100
    assert ranges.mse(seen, 4)[1] < 60


def test_gradients_reach_every_kernel_and_one_step_lowers_the_loss():
    model = alive(NETWORKS["v2"]())
    images, labels = scaled(pixels((32, 32, 3), 32)), np.arange(32) % 10
    quantized = quantize_aware(model, images)
    quantized.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [np.array(w) for w in quantized.trainable_weights]
    losses = [quantized.train_on_batch(images, labels) for _ in range(4)]
    assert losses[-1] < losses[0]
    for old, new in zip(before, quantized.trainable_weights, strict=True):
        assert np.any(old != np.array(new)), new.path


def test_save_and_load(tmp_path):
    model = alive(NETWORKS["v2"]())
    images = scaled(pixels((32, 32, 3)))
    quantized = quantize_aware(model, images, weight_bits=4)
    save_model(quantized, tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), quantized(images))
    steps = {layer.name: float(layer.input_step) for layer in linear_layers(loaded)}
    assert steps["logits"] == pytest.approx(quantized.get_layer("head_pool_range").step)


def test_names_are_kept():
    model = NETWORKS["v1"]()
    quantized = quantize_aware(alive(model), scaled(pixels((32, 32, 3))))
    names = {layer.name for layer in quantized.layers}
    assert {layer.name for layer in model.layers if isinstance(layer, layers.Conv2D)} <= names
    assert "logits" in names


def test_fewer_bits_lose_more():
    model = alive(NETWORKS["v1"]())
    images = scaled(pixels((32, 32, 3), 32))
    errors = [
        np.abs(np.array(quantize_aware(model, images, weight_bits=bits)(images)) - np.array(model(images))).mean()
        for bits in (8, 4)
    ]
    assert errors[0] < errors[1] / 3


class Doubled(layers.Layer):
    def call(self, x):
        return 2 * x


@pytest.mark.parametrize(
    ("make", "images", "says"),
    [
        (lambda: single(Doubled(name="twice")), 4, "layer twice of type Doubled can't be quantized; replace it"),
        (lambda: single(layers.LayerNormalization(name="n")), 4, "layer n of type LayerNormalization can't be"),
        (lambda: single(layers.ReLU(threshold=1, name="r")), 4, "layer r: TFLite has ReLU without a threshold"),
        (lambda: single(layers.Conv2D(4, 3, activation="softplus", name="s")), 4, "activation softplus has no int8"),
        (lambda: single(layers.Conv2D(4, 3)), 0, "calibration: no pictures"),
    ],
)
def test_what_cannot_be_quantized_is_named(make, images, says):
    with pytest.raises(ValueError, match=says):
        quantize_aware(make(), scaled(pixels((8, 8, 6), images)))


def test_broken_weights_are_named():
    model = single(layers.Conv2D(4, 3, name="broken"))
    model.layers[1].bias.assign(np.full(4, np.nan))
    with pytest.raises(ValueError, match="weight broken/bias is not finite"):
        quantize_aware(model, scaled(pixels((8, 8, 6))))
