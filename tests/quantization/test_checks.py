"""What the quantizer holds itself to: no setting is lost, files are pure, operators are those that were simulated."""

import inspect
import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from tflite_files import File, convert

from export import conversion, fidelity, purity
from keras_resnet.quantization import operations, sequences
from keras_resnet.quantization.fake_quantization import without_rounding
from keras_resnet.quantization.quantizer import quantize_aware
from keras_resnet.quantization.translation import ACTIVATIONS, AUGMENTING, TRANSLATIONS, CustomScaleLayer

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (16, 6, 6, 6)).astype(np.float32) / 128 - 1


def network(*parts, shape=(6, 6, 6)):
    """A model of some layers in a row, whose weights and statistics are none of the usual ones."""
    inputs = x = keras.Input(shape)
    for part in parts:
        x = part(x)
    model = keras.Model(inputs, x)
    for weight in model.weights:
        if "seed" not in weight.path and weight.dtype == "float32":
            weight.assign(RNG.uniform(0.5, 1.5, weight.shape) * (0.3 if weight.path.endswith("kernel") else 1))
    return model


def checked(model, pictures=PICTURES):
    """Quantizes a model and holds it to all that can be checked: itself, its file's purity and operators."""
    quantized = quantize_aware(model, pictures)
    content = convert(quantized)
    assert purity.impurities(content, "int8") == []
    tensors = list(fidelity.compare(quantized, content, pictures))
    for tensor in tensors:
        assert np.mean(tensor.steps <= 1) >= 0.999, (tensor.layer, tensor.steps.max())
    return tensors


# Of learning, or of a layer's making: they change no answer.
SILENT = ("name", "trainable", "dtype", "momentum", "synchronized", "seed", "kwargs", "keywords", "self")
SILENT += ("lora_rank", "lora_alpha", "renorm", "renorm_clipping", "renorm_momentum", "noise_shape", "rate", "stddev")
OTHER = {  # of each option, what it is not by default; the layer fits maps of 6 x 6 x 6
    "activation": "relu",
    "use_bias": False,
    "groups": 2,
    "strides": 2,
    "dilation_rate": 2,
    "padding": "same",
    "data_format": "channels_first",
    "depth_multiplier": 2,
    "axis": 1,
    "epsilon": 0.5,
    "center": False,
    "scale": False,
    "invert": True,
    "mean": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
    "variance": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
    "offset": 0.7,
    "max_value": 6.0,
    "negative_slope": 0.3,
    "threshold": 0.4,
    "alpha": 0.5,
    "keepdims": True,
    "interpolation": "bilinear",
    "pool_size": 3,
    "quantization_config": None,
    "crop_to_aspect_ratio": True,
    "pad_to_aspect_ratio": True,
    "antialias": True,
    "fill_mode": "constant",
    "fill_value": 1.0,
    "size": 3,
    "cropping": 2,
    "shared_axes": [1, 2],
    "mask_zero": True,
}


def parameters(kind):
    """Names of the arguments of a layer that have no default."""
    return [n for n, p in inspect.signature(kind.__init__).parameters.items() if p.default is inspect.Parameter.empty]


NEEDED = {
    layers.Conv2D: {"filters": 6, "kernel_size": 3},
    layers.DepthwiseConv2D: {"kernel_size": 3},
    layers.SeparableConv2D: {"filters": 6, "kernel_size": 3},
    layers.Conv2DTranspose: {"filters": 6, "kernel_size": 3, "output_padding": None},
    layers.Dense: {"units": 6},
    layers.Embedding: {"input_dim": 256, "output_dim": 6, "weights": None, "size": 0},
    layers.Conv1D: {"filters": 6, "kernel_size": 3},
    layers.DepthwiseConv1D: {"kernel_size": 3},
    layers.SeparableConv1D: {"filters": 6, "kernel_size": 3},
    layers.Conv1DTranspose: {"filters": 6, "kernel_size": 3, "output_padding": None},
    layers.AveragePooling1D: {"pool_size": 2},
    layers.ZeroPadding1D: {"padding": 2},
    layers.SpatialDropout1D: {"rate": 0.5},
    layers.AveragePooling2D: {"pool_size": 2},
    layers.ZeroPadding2D: {"padding": 2},
    layers.Resizing: {"height": 9, "width": 12},
    operations.Slice: {"key": (slice(None), slice(1, 4), slice(None, None, 2))},
    layers.Rescaling: {"scale": 0.5},
    CustomScaleLayer: {"scale": 0.5},
    layers.Normalization: {"mean": [0.0] * 6, "variance": [1.0] * 6},
    layers.Activation: {"activation": "relu"},
    layers.Reshape: {"target_shape": (6, 36)},
    layers.Permute: {"dims": (2, 1, 3)},
    layers.Dropout: {"rate": 0.5},
    layers.SpatialDropout2D: {"rate": 0.5},
    layers.GaussianNoise: {"stddev": 0.5},
    layers.GaussianDropout: {"rate": 0.5},
    **{
        kind: {n: 4 if kind is layers.RandomPosterization else 0.5 for n in parameters(kind) if n.endswith("factor")}
        for kind in AUGMENTING
    },
}
JOINS = (
    layers.Add,
    layers.Subtract,
    layers.Multiply,
    layers.Concatenate,
    layers.Average,
    CustomScaleLayer,
    layers.Maximum,
    layers.Minimum,
)


def of_kind(kind, **options):
    """A network with a layer of some kind, named odd, behind a convolution (two, where it joins)."""
    if kind is layers.Embedding:
        return tables(**options)
    if kind in sequences.TWINS or kind is layers.SpatialDropout1D:
        odd = kind(**{**NEEDED.get(kind, {}), **options}, name="odd")
        return network(layers.Conv1D(6, 1, name="before"), odd, shape=(36, 6))
    if kind in AUGMENTING:
        return network(kind(**NEEDED[kind], name="odd"), layers.Conv2D(6, 1), shape=(12, 6, 3))
    if kind in JOINS:
        inputs = keras.Input((6, 6, 6))
        a, b = layers.Conv2D(6, 1)(inputs), layers.Conv2D(6, 1, activation="relu")(inputs)
        return keras.Model(inputs, kind(**{**NEEDED.get(kind, {}), **options}, name="odd")([a, b]))
    return network(layers.Conv2D(6, 1, name="before"), kind(**{**NEEDED.get(kind, {}), **options}, name="odd"))


def tables(**options):
    """A network of numbers, whose table is named odd."""
    inputs = keras.Input((36,), dtype="int32")
    return keras.Model(inputs, layers.Conv1D(6, 3)(layers.Embedding(256, 6, **options, name="odd")(inputs)))


def given(model):
    """Pictures, as sequences or numbers where a network takes these."""
    (shape,) = {i.shape[1:] for i in model.inputs}
    numbers = np.round(128 * PICTURES[..., 0] + 128).astype("int32")
    return PICTURES.reshape(16, *shape) if len(shape) > 1 else numbers.reshape(16, *shape)


def options():
    for kind in (*TRANSLATIONS, *sequences.TWINS):
        if kind in AUGMENTING:
            continue  # whatever they do, they do it in training
        for option in inspect.signature(kind.__init__).parameters:
            learning = option.endswith(("_initializer", "_regularizer", "_constraint"))
            if option not in (*SILENT, *NEEDED.get(kind, {"size": 0})) and not learning:
                yield pytest.param(kind, option, id=f"{kind.__name__}-{option}")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "option"), options())
def test_no_option_of_any_layer_is_lost(kind, option):
    """Each is refused in a sentence, or the network without rounding answers as in float, which it checks itself."""
    model = of_kind(kind, **{option: OTHER[option]})
    try:
        quantized = quantize_aware(model, given(model))
    except ValueError as error:
        assert str(error).startswith("layer odd")
    else:
        answers, expected = np.array(quantized(given(model))), np.array(model(given(model)))
        assert np.linalg.norm(answers - expected) < 0.05 * np.linalg.norm(expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", (*TRANSLATIONS, *sequences.TWINS), ids=lambda kind: kind.__name__)
def test_each_layer_passes_every_check(kind):
    model = of_kind(kind)
    checked(model, given(model))


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation_passes_every_check(name):
    checked(of_kind(layers.Activation, activation=name))


LOST = {
    "softmax over rows": lambda: layers.Softmax(axis=1, name="odd"),
    "softmax over a map": lambda: layers.Softmax(axis=[1, 2], name="odd"),
    "norm over rows": lambda: layers.BatchNormalization(axis=1, name="odd"),
    "normalization over rows": lambda: layers.Normalization(axis=1, mean=[0.1] * 6, variance=[2.0] * 6, name="odd"),
    "leaky ReLU to 6": lambda: layers.ReLU(6, negative_slope=0.1, name="odd"),
    "a transposed convolution with more at its edge": lambda: layers.Conv2DTranspose(
        4, 3, strides=2, output_padding=1, name="odd"
    ),
    "an activation with a known name": lambda: layers.Activation(relu, name="odd"),
}


def relu(x):
    """Twice Keras' own."""
    return keras.ops.maximum(2 * x, 0)


@pytest.mark.parametrize("name", LOST)
def test_what_cannot_be_translated_is_named(name):
    with pytest.raises(ValueError, match=r"^layer odd: "):
        quantize_aware(network(layers.Conv2D(6, 1), LOST[name]()), PICTURES)


def test_the_first_layer_that_differs_is_named_in_nested_models_too():
    inner = keras.Sequential([keras.Input((6, 6, 6)), layers.Conv2D(4, 1), layers.Activation(relu, name="odd")])
    model = network(layers.Conv2D(6, 3, padding="same"), inner, layers.Conv2D(3, 1), layers.Activation("tanh"))
    with pytest.raises(ValueError, match="layer odd: made ready for int8 it answers otherwise"):
        quantize_aware(model, PICTURES)


def test_an_inverted_normalization_is_kept():
    checked(network(layers.Normalization(mean=[0.1] * 6, variance=[2.0] * 6, invert=True), layers.Conv2D(4, 3)))


def pyramid():
    inputs = keras.Input((6, 6, 6))
    fine = layers.Conv2D(5, 3, padding="same", activation="relu")(inputs)
    coarse = layers.Conv2D(5, 3, strides=2, padding="same")(fine)
    up = layers.UpSampling2D(2, interpolation="bilinear", name="up")(coarse)
    return keras.Model(inputs, layers.Conv2D(3, 1)(layers.Add()([up, layers.Conv2D(5, 1)(fine)])))


FOUND_IMPURE = {
    "ReLU behind max-pooling": lambda: network(layers.Conv2D(5, 3), layers.MaxPooling2D(), layers.ReLU()),
    "ReLU behind two of them": lambda: network(
        layers.Conv2D(5, 3), layers.BatchNormalization(), layers.MaxPooling2D(), layers.MaxPooling2D(), layers.ReLU(6)
    ),
    "ReLU behind average pooling": lambda: network(layers.Conv2D(5, 3), layers.AveragePooling2D(2), layers.ReLU()),
    "ReLU behind a global average": lambda: network(
        layers.Conv2D(5, 3), layers.GlobalAveragePooling2D(), layers.ReLU(), layers.Dense(3)
    ),
    "ReLU behind bilinear up-sampling": lambda: network(
        layers.Conv2D(5, 3), layers.UpSampling2D(2, interpolation="bilinear"), layers.ReLU()
    ),
    "bilinear up-sampling, added": pyramid,
}


@pytest.mark.parametrize("name", FOUND_IMPURE)
def test_what_was_not_pure_or_wrongly_simulated(name):
    checked(FOUND_IMPURE[name]())


def test_a_wrong_operator_is_named_and_those_behind_it_are_not():
    model = network(layers.Conv2D(6, 3, name="a"), layers.Conv2D(6, 1, name="b"), layers.Conv2D(6, 1, name="c"))
    quantized = quantize_aware(model, PICTURES)
    content = convert(quantized)
    layer = quantized.get_layer("b")
    layer.kernel.assign(layer.kernel * np.linspace(0.8, 1, 6))
    apart = {tensor.layer: np.mean(tensor.steps <= 1) for tensor in fidelity.compare(quantized, content, PICTURES)}
    assert list(apart) == ["a", "b", "c"]
    assert apart["a"] >= 0.999 and apart["b"] < 0.9 and apart["c"] >= 0.999


def test_operators_in_float_are_named():
    model = network(layers.Conv2D(6, 3, name="a"), layers.Flatten(), layers.Dense(3, name="b"))
    found = purity.impurities(conversion.FORMATS["float32"](model, None, None), "int8")
    assert [sentence.split()[0] for sentence in found] == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED"]
    assert found[0].endswith("computes in float")


class TestInputRange:
    """keras.applications' own preprocessing would be cut off at -1 and 127/128, and nothing be left of a picture."""

    bytes = RNG.integers(0, 256, (16, 6, 6, 6)).astype(np.float32)

    def test_it_is_found(self):
        model = network(layers.Conv2D(4, 3))
        for pictures in (self.bytes, self.bytes - 120, self.bytes / 57 - 2, self.bytes / 255):
            quantized = quantize_aware(model, pictures)
            expected = np.array(model(pictures))
            assert np.abs(quantized(pictures) - expected).max() < 0.05 * np.abs(expected).max()
            np.testing.assert_allclose(quantized.layers[1].step, np.ptp(np.append(pictures, 0)) / 255, rtol=0.01)

    def test_the_contracts_pixels_are_exact(self):
        for pictures in (PICTURES, PICTURES / 4, PICTURES * 127.9 / 128):
            given = quantize_aware(network(layers.Conv2D(4, 3)), pictures).layers[1]
            assert (float(given.low), float(given.high)) == (-1, 127 / 128)

    def test_what_is_cut_off_is_said(self):
        model = network(layers.Conv2D(4, 3))
        with pytest.warns(UserWarning, match=r"input_range=\(-1, 1\) cuts off 4[789].*% of the calibration"):
            quantize_aware(model, np.where(self.bytes < 127, 0.5, 2), input_range=(-1, 1))
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            quantize_aware(model, self.bytes - 120, input_range=(-120, 135))

    @pytest.mark.parametrize("given", [(1, -1), (0.5, 1), (0, 0), (np.nan, 1), (-1, np.inf), 3, "ab", (-1, 0, 1), ()])
    def test_nonsense_is_refused(self, given):
        with pytest.raises(ValueError, match=rf"input_range={re.escape(str(given))}: expected two numbers"):
            quantize_aware(network(layers.Conv2D(4, 3)), PICTURES, input_range=given)


def answers_of(calibration):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 6), name="image")
    model = keras.Model(inputs, layers.Conv2D(4, 3)(inputs))
    return np.array(quantize_aware(model, calibration, search="max")(PICTURES))


FORMS = {
    "list of batches": lambda: [PICTURES[:7], PICTURES[7:]],
    "list of pictures": lambda: list(PICTURES),
    "generator of tuples": lambda: ((PICTURES[i : i + 5], np.zeros(5)) for i in range(0, 16, 5)),
    "dict": lambda: {"image": PICTURES},
    "dicts": lambda: [{"image": PICTURES[:7]}, {"image": PICTURES[7:]}],
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices((PICTURES, np.zeros(16))).batch(5),
    "tf.data of pictures": lambda: tf.data.Dataset.from_tensor_slices(PICTURES),
    "tensor": lambda: tf.constant(PICTURES),
    "float64": lambda: PICTURES.astype(np.float64),
}


@pytest.mark.parametrize("name", FORMS)
def test_calibration_comes_in_any_form(name):
    np.testing.assert_array_equal(answers_of(FORMS[name]()), answers_of(PICTURES))


def test_a_single_picture_is_enough():
    np.testing.assert_array_equal(answers_of(PICTURES[0]), answers_of(PICTURES[:1]))


@pytest.mark.parametrize(
    ("calibration", "says"),
    [
        (PICTURES[:0], "no pictures; give at least one"),
        ([], "no pictures; give at least one"),
        ((128 * PICTURES + 128).astype(np.uint8), "pictures of uint8; give float32"),
        (PICTURES[..., :3], r"an array of shape \(16, 6, 6, 3\); the model takes \(None, 6, 6, 6\)"),
        ((PICTURES, np.zeros(16)), r"an array of shape \(16,\)"),
        ({"picture": PICTURES}, "a dict of picture; the model asks for image"),
        ([{}], "a dict of ; the model asks for image"),
        (PICTURES * np.nan, "a value is not finite"),
        (3, "a int; give"),
        (None, "a NoneType; give"),
    ],
)
def test_what_no_calibration_is_is_said(calibration, says):
    with pytest.raises(ValueError, match=f"^calibration: {says}"):
        answers_of(calibration)


@pytest.mark.parametrize("weight", [1e-7, 0])
def test_channels_that_are_all_but_dead_keep_their_bias(weight):
    """In steps of such weights it would not be an int32."""
    parts = (layers.Conv2D(6, 3, name="a"), layers.DepthwiseConv2D(3), layers.Conv2DTranspose(4, 2), layers.Dense(3))
    model = network(*parts)
    model.get_layer("a").kernel.assign(model.get_layer("a").kernel * np.array([1, weight, 1, weight, 1, weight]))
    for part in parts[1:]:
        part.kernel.assign(part.kernel * weight)
    tensors = checked(model)
    assert all(np.mean(tensor.steps == 0) > 0.98 for tensor in tensors)
    expected = np.array(model(PICTURES))
    assert np.abs(quantize_aware(model, PICTURES)(PICTURES) - expected).max() < 0.02 * np.abs(expected).max()


def graph(make, shape=(6, 6, 6)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, make(inputs))


def of_operations(x):
    """As people write them who never saw a layer."""
    ops = keras.ops
    y = layers.Conv2D(8, 3, padding="same")(x)
    y = y * np.linspace(0.5, 2, 8, dtype="float32") + 0.3
    z = ops.relu(layers.Conv2D(8, 1)(x) - 0.1)
    y = ops.concatenate([y + z, ops.maximum(y, z), 1 - ops.clip(y, 0, 2)], axis=-1)
    y = ops.transpose(y[:, 1:5, ::2], (0, 2, 1, 3)) / 2
    y = ops.image.resize(ops.pad(y, ((0, 0), (1, 1), (0, 2), (0, 0))), (9, 9))
    y = ops.hard_sigmoid(y) * ops.silu(y)
    y = ops.mean(y, axis=(1, 2)) + ops.max(y, axis=[-3, -2])
    return ops.softmax(layers.Dense(4)(ops.reshape(ops.expand_dims(-y, 1), (-1, 24))))


def mobile(x):
    """A block of MobileNetV3's."""
    y = layers.Activation("hard_swish")(layers.DepthwiseConv2D(3, padding="same")(x))
    gate = layers.Conv2D(6, 1)(layers.GlobalAveragePooling2D(keepdims=True)(y))
    return layers.Multiply()([y, layers.ReLU(6.0)(gate + 3.0) * (1.0 / 6.0)])


def heads(x):
    """RetinaNet's: a head that both levels of a pyramid share, its norms apart for each."""
    coarse = layers.Conv2D(6, 3, strides=2, padding="same")(x)
    conv, act, last = layers.Conv2D(8, 3, padding="same"), layers.ReLU(), layers.Conv2D(2, 1)
    levels = [last(act(layers.BatchNormalization()(conv(level)))) for level in (layers.Conv2D(6, 1)(x), coarse)]
    return layers.Concatenate(axis=1)([layers.Reshape((-1, 2))(level) for level in levels])


def siamese(x):
    half = keras.Sequential([keras.Input((6, 3, 6)), layers.Conv2D(5, 3), layers.ReLU(), layers.Flatten()])
    return layers.Dense(3)(layers.Concatenate()([half(x[:, :, :3]), half(x[:, :, 3:])]))


def unet(x):
    down = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    up = layers.ReLU()(layers.BatchNormalization()(layers.Conv2DTranspose(6, 3, strides=2, padding="same")(down)))
    return layers.Conv2D(2, 1)(layers.Concatenate()([x, up]))


def vectors(x):
    x = layers.BatchNormalization()(layers.Dense(12)(layers.Flatten()(x)))
    return layers.Dense(3)(layers.BatchNormalization()(layers.ReLU()(x)))


def sequence(x):
    """A residual block of causal convolutions over rows, whose norms and ReLUs are folded all the same."""
    x = layers.Reshape((36, 6))(x)
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(6, 3, padding="causal")(x)))
    y = layers.BatchNormalization()(layers.Conv1D(6, 3, padding="causal", dilation_rate=2)(y))
    y = layers.MaxPooling1D(2)(layers.PReLU("uniform", shared_axes=[1])(layers.Add()([x, y])))
    return layers.Dense(3)(layers.GlobalAveragePooling1D()(y))


ANY_GRAPH = {
    "a residual block of sequences": sequence,
    "operations": of_operations,
    "a block of MobileNetV3": mobile,
    "shared heads": heads,
    "siamese": siamese,
    "U-Net": unet,
    "norms of vectors": vectors,
    "a sum of four": lambda x: layers.Add()([layers.Conv2D(4, 1)(x) for _ in range(4)]),
    "ReLU to 1": lambda x: layers.ReLU(1.0)(layers.Conv2D(4, 1)(x)),
}


@pytest.mark.parametrize("name", ANY_GRAPH)
def test_any_graph_passes_every_check(name):
    keras.utils.set_random_seed(0)
    model = graph(ANY_GRAPH[name])
    for _ in range(20):
        model(PICTURES, training=True)  # its norms have the statistics of their inputs
    tensors = checked(model)
    assert len(tensors) >= 2


def test_a_layer_that_is_called_twice_has_one_kernel():
    quantized = quantize_aware(graph(heads), PICTURES)
    kernels = [weight.path for weight in quantized.trainable_weights if weight.path.endswith("kernel")]
    assert len(kernels) == 6  # of three convolutions, two norms that stand alone, and the shared last one


@pytest.mark.parametrize("make", [lambda x: x * keras.ops.sum(x), lambda x: x + np.zeros((6, 6, 6), "float32")])
def test_operations_without_an_int8_form_are_named(make):
    with pytest.raises(ValueError, match=r"operation (sum|add)(_[0-9]+)? of type (Sum|Add), as it is used here"):
        quantize_aware(graph(make), PICTURES)


class TestWhatIsKept:
    def test_frozen_layers_stay_frozen(self):
        model = network(layers.Conv2D(4, 3, name="base"), layers.BatchNormalization(), layers.Conv2D(4, 1, name="head"))
        model.get_layer("base").trainable = False
        quantized = quantize_aware(model, PICTURES)
        assert {weight.path.split("/")[0] for weight in quantized.trainable_weights} == {"head"}

    def test_regularizers_and_constraints(self):
        decay, limit = keras.regularizers.L2(0.5), keras.constraints.MaxNorm(0.1)
        parts = (
            layers.Conv2D(4, 3, kernel_regularizer=decay, name="a"),
            layers.DepthwiseConv2D(1, depthwise_regularizer=decay, name="b"),
            layers.SeparableConv2D(4, 1, depthwise_regularizer=decay, pointwise_constraint=limit, name="c"),
            layers.Dense(3, bias_regularizer=decay, kernel_constraint=limit, name="d"),
        )
        model = network(*parts)
        quantized = quantize_aware(model, PICTURES)
        np.testing.assert_allclose(sum(quantized.losses), sum(model.losses), rtol=1e-5)
        assert {weight.path for weight in quantized.weights if weight.constraint} == {"c/kernel", "d/kernel"}

    def test_mixed_precision_becomes_float32(self):
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            model = graph(lambda x: layers.Dense(3)(layers.GlobalAveragePooling2D()(mobile(x))))
            tensors = checked(model)
            assert keras.config.dtype_policy().name == "mixed_bfloat16"
        finally:
            keras.config.set_dtype_policy("float32")
        assert tensors


@pytest.mark.parametrize(
    ("make", "options", "says"),
    [
        (lambda: "model.keras", {}, "expected a keras.Model, got str"),
        (lambda: network(layers.Conv2D(4, 3)), {"learn_ranges": "no"}, "learn_ranges='no': expected True or False"),
        (lambda: network(layers.Conv2D(4, 3)), {"weight_bits": "4"}, "weight_bits='4': expected 8 or 4"),
        (lambda: quantize_aware(network(layers.Conv2D(4, 3)), PICTURES), {}, "is made ready for int8 already"),
        (lambda: network(layers.Embedding(9, 4, name="odd"), shape=(6,)), {}, "layer odd: its numbers come as floats"),
    ],
)
def test_what_is_no_float_network_or_option_is_said(make, options, says):
    with pytest.raises(ValueError, match=says):
        model = make()
        quantize_aware(model, PICTURES[..., 0, 0] if "odd" in says else PICTURES, **options)


def test_masks_and_integers_are_refused():
    inputs, mask = keras.Input((8, 4)), keras.Input((8,))
    pooled = layers.GlobalAveragePooling1D(name="odd")(inputs, mask=mask)
    with pytest.raises(ValueError, match="layer odd: it is given more than its input"):
        given = [PICTURES[:, 0].reshape(16, 9, 4)[:, :8], np.ones((16, 8), "float32")]
        quantize_aware(keras.Model([inputs, mask], pooled), given)
    pixels = keras.Input((6, 6, 6), dtype="uint8")
    with pytest.raises(ValueError, match="layer odd: it is given integers"):
        quantize_aware(keras.Model(pixels, layers.Rescaling(0.1, name="odd")(pixels)), np.ones((4, 6, 6, 6), "uint8"))


def test_tables_and_slopes_that_are_shared_are_one():
    a, b = keras.Input((6,), dtype="int32", name="a"), keras.Input((6,), dtype="int32", name="b")
    table, slopes = layers.Embedding(9, 4, name="table"), layers.PReLU("uniform", name="slopes")
    model = keras.Model([a, b], layers.Add()([slopes(table(a)), slopes(table(b))]))
    numbers = RNG.integers(0, 9, (16, 6)).astype("int32")
    quantized = quantize_aware(model, [numbers, numbers[::-1]])
    assert {weight.path for weight in quantized.trainable_weights} == {"table/embeddings", "slopes/alpha"}


def test_outputs_of_one_layer_are_told_apart_in_the_file():
    a, b, dense = keras.Input((3,), name="a"), keras.Input((3,), name="b"), layers.Dense(2, name="dense")
    rows = RNG.uniform(-1, 0.99, (16, 3)).astype("float32")
    content = convert(quantize_aware(keras.Model([a, b], [dense(a), dense(b)]), [rows, rows]))
    signature = Interpreter(model_content=content).get_signature_list()["serving_default"]
    assert signature == {"inputs": ["a", "b"], "outputs": ["dense", "dense_2"]}


def test_a_dict_of_inputs_stays_one():
    inputs = {name: keras.Input((3,), name=name) for name in ("zebra", "apple")}
    model = keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(list(inputs.values()))))
    rows = {name: RNG.uniform(-1, 0.99, (16, 3)).astype("float32") for name in inputs}
    quantized = quantize_aware(model, rows)
    np.testing.assert_allclose(quantized(rows), model(rows), atol=0.05)


def test_inputs_of_two_lengths_are_said():
    a, b = keras.Input((6, 6, 6), name="a"), keras.Input((6, 6, 6), name="b")
    with pytest.raises(ValueError, match="calibration: not as many of each input: a 16, b 3"):
        quantize_aware(keras.Model([a, b], layers.Add()([a, b])), [PICTURES, PICTURES[:3]])


class Hidden(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: keras.Sequential([layers.Conv2D(4, 3)], name="m"), "model m is not built: begin it with keras.Input"),
        (lambda: Hidden(name="m"), "model m of type Hidden has no graph; build it as keras.Model"),
        (lambda: network(Hidden(name="m")), "model m of type Hidden has no graph; build it as keras.Model"),
    ],
)
def test_models_without_a_graph_are_told_so(make, says):
    with pytest.raises(ValueError, match=says):
        quantize_aware(make(), PICTURES)


class TestSeveralInputs:
    """A picture and a row of figures."""

    figures = RNG.uniform(0, 40, (16, 3)).astype(np.float32)

    def model(self):
        image, row = keras.Input((6, 6, 6), name="image"), keras.Input((3,), name="row")
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
        return keras.Model([image, row], layers.Dense(2)(layers.Concatenate()([x, layers.Dense(4)(row)])))

    @pytest.mark.parametrize("form", ["dict", "list", "dicts", "tuples"])
    def test_any_form(self, form):
        keras.utils.set_random_seed(0)
        model, both = self.model(), [PICTURES, self.figures]
        named = {"image": PICTURES, "row": self.figures}
        calibration = {"dict": named, "list": both, "dicts": [named], "tuples": [(both, np.zeros(16))]}[form]
        quantized = quantize_aware(model, calibration)
        expected = np.array(model(both))
        assert np.linalg.norm(quantized(both) - expected) < 0.05 * np.linalg.norm(expected)
        assert float(quantized.get_layer("image_range").high) == 127 / 128
        assert 39 < float(quantized.get_layer("row_range").high) < 41

    def test_outputs_have_their_names_here_and_in_the_file(self, tmp_path):
        image, row = keras.Input((6, 6, 6), name="image"), keras.Input((3,), name="row")
        boxes = layers.Conv2D(4, 1, name="boxes")(image)
        scores = layers.Dense(4, activation="sigmoid", name="scores")(row)
        pooled = layers.GlobalAveragePooling2D()(boxes)
        model = keras.Model([image, row], [boxes, layers.Add(name="sum")([scores, pooled])])
        given = [PICTURES, self.figures]
        quantize_aware(model, given).save(tmp_path / "model.keras")
        quantized = keras.models.load_model(tmp_path / "model.keras")
        quantized.compile(loss={"boxes": "mse", "sum": "mae"})
        assert np.all(np.isfinite(quantized.evaluate(given, [PICTURES[..., :4], self.figures[:, :1]])))
        content = convert(quantized)
        file = Interpreter(model_content=content).get_signature_list()["serving_default"]
        assert file == {"inputs": ["image", "row"], "outputs": ["boxes", "sum"]}
        tensors = list(fidelity.compare(quantized, content, given))
        assert len(tensors) == 5 and all(np.mean(tensor.steps <= 1) >= 0.999 for tensor in tensors)

    def test_ranges_by_input(self):
        quantized = quantize_aware(self.model(), [PICTURES, self.figures], input_range=[None, (0, 50)])
        assert float(quantized.get_layer("row_range").high) == 50

    def test_one_array_for_two_is_said(self):
        with pytest.raises(ValueError, match="calibration: 16 arrays for the inputs image, row; give dicts by name"):
            quantize_aware(self.model(), PICTURES)


class TestRangesAreNotMixed:
    """A range that must be so is not given to tensors that need another: they would be clipped, without a word."""

    def held(self, model, given):
        quantized = quantize_aware(model, given)
        answers, expected = (np.array(m([given[i.name] for i in model.inputs])) for m in (quantized, model))
        assert np.linalg.norm(answers - expected) < 0.05 * np.linalg.norm(expected)
        return quantized

    def test_inputs_that_are_joined(self):
        colour, depth = keras.Input((6, 6, 6), name="colour"), keras.Input((6, 6, 1), name="depth")
        model = keras.Model([colour, depth], layers.Conv2D(4, 3)(layers.Concatenate()([colour, depth])))
        self.held(model, {"colour": PICTURES, "depth": RNG.uniform(0, 10, (16, 6, 6, 1)).astype("float32")})

    def test_a_layer_that_reads_the_input_and_then_features(self):
        image, conv = keras.Input((6, 6, 6), name="image"), layers.Conv2D(6, 3, padding="same")
        x = layers.Rescaling(5.0)(conv(image))
        y = conv(layers.Activation("sigmoid")(x))
        self.held(keras.Model(image, layers.Add()([conv(x), y])), {"image": PICTURES})

    def test_siamese_inputs_of_two_scales(self):
        a, b, conv = keras.Input((6, 6, 6), name="a"), keras.Input((6, 6, 6), name="b"), layers.Conv2D(6, 3)
        model = keras.Model([a, b], layers.Subtract()([conv(a), conv(b)]))
        self.held(model, {"a": PICTURES, "b": 9 * PICTURES})

    def test_a_relu_that_is_fused_into_the_average_of_an_input(self):
        image = keras.Input((6, 6, 6), name="image")
        pooled = layers.ReLU()(layers.AveragePooling2D(2)(image))
        wide = layers.Rescaling(7.0)(layers.Conv2D(4, 3, strides=2, padding="same")(image))
        self.held(keras.Model(image, layers.Concatenate()([pooled, wide])), {"image": PICTURES})

    def test_small_data_have_a_range_of_their_own(self):
        quantized = quantize_aware(network(layers.Conv2D(4, 3)), PICTURES / 100)
        assert float(quantized.layers[1].high) < 0.011


def test_norms_that_stand_alone_are_frozen_with_their_base():
    model = network(
        layers.Conv2D(4, 3), layers.ReLU(), layers.BatchNormalization(), layers.Rescaling(2.0), layers.ReLU()
    )
    model.trainable = False
    assert not quantize_aware(model, PICTURES).trainable_weights


def test_a_constraint_is_not_that_of_a_folded_kernel():
    limit, decay = keras.constraints.MaxNorm(0.1), keras.regularizers.L2(0.5)
    conv = layers.DepthwiseConv2D(3, depthwise_constraint=limit, depthwise_regularizer=decay)
    quantized = quantize_aware(network(conv, layers.BatchNormalization()), PICTURES)
    assert not quantized.losses and not [weight for weight in quantized.weights if weight.constraint]


def test_saved_loaded_and_named(tmp_path):
    """Of operations, a slice, shared layers and vectors, after Keras has begun to count anew."""
    for make in (of_operations, siamese, vectors, heads):
        quantized = quantize_aware(graph(make), PICTURES)
        quantized.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(PICTURES), quantized(PICTURES))
        keras.backend.clear_session()
        quantize_aware(keras.models.clone_model(graph(make)), PICTURES)


def test_a_second_call_takes_no_other_layers_name():
    inputs, relu = keras.Input((6, 6, 6)), layers.ReLU(name="act")
    x = relu(layers.Conv2D(4, 3, name="a")(relu(inputs)))
    model = keras.Model(inputs, layers.Conv2D(3, 1, name="act_2")(x))
    assert quantize_aware(model, PICTURES).get_layer("act_2").kernel.shape == (1, 1, 4, 3)


def test_a_uint8_file_is_compared_too():
    quantized = quantize_aware(network(layers.Conv2D(6, 3, name="a"), layers.ReLU(), layers.Conv2D(6, 1)), PICTURES)
    content = convert(quantized, "uint8")
    assert purity.impurities(content, "uint8") == [] != purity.impurities(content, "int8")
    said = fidelity.report(quantized, content, PICTURES)
    assert re.match(r"2 operators, given the file's own inputs: (99\.[89]|100).*% of the values equal; least: ", said)


def test_a_data_set_without_an_end_is_refused():
    with pytest.raises(ValueError, match="calibration: a data set without an end; take some of it"):
        answers_of(tf.data.Dataset.from_tensor_slices(PICTURES).batch(4).repeat())


@pytest.mark.parametrize("layer", [layers.UpSampling2D(2), layers.Resizing(9, 7, interpolation="nearest")])
def test_enlarging_learns_as_in_float_where_xla_compiles(layer):
    """The gradient is that of the pixels that are repeated, and the file has one operator for them."""
    model = network(layer, layers.Conv2D(2, 1))
    quantized = quantize_aware(model, PICTURES)
    with without_rounding(*quantized.layers):

        @tf.function(jit_compile=True)
        def learned(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                answer = tf.reduce_sum(quantized(x, training=True) ** 2)
            return answer, tape.gradient(answer, x)

        answer, gradient = learned(tf.constant(PICTURES))
    x = tf.constant(PICTURES)
    with tf.GradientTape() as tape:
        tape.watch(x)
        expected = tf.reduce_sum(model(x) ** 2)
    np.testing.assert_allclose(answer, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, tape.gradient(expected, x), rtol=1e-4, atol=1e-3)
    assert File(convert(quantized)).operators == {"RESIZE_NEAREST_NEIGHBOR": 1, "CONV_2D": 1}
