"""What is learned under the rounding: ranges, and widths by layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from tflite_files import convert

from export import fidelity, purity
from keras_resnet import ResNet
from keras_resnet.quantization import fake_quantization
from keras_resnet.quantization.quantizer import freeze_norms, quantize_aware

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (32, 8, 8, 3)).astype(np.float32) / 128 - 1
LABELS = RNG.integers(0, 4, 32)


@pytest.fixture(scope="module")
def network():
    """Every kind of kernel there is, and a global average."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.ReLU(name="act1")(layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", name="conv")(inputs)))
    y = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=1, name="depthwise")(x)
    y = layers.Conv2DTranspose(6, 2, strides=2, name="transposed")(layers.AveragePooling2D(2)(y))
    x = layers.Activation("sigmoid", name="gate")(layers.Add(name="sum")([x, y]))
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(6, 1, name="last")(x))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def trained(network, **options):
    """A quantized network after some steps, and what its weights were before."""
    quantized = quantize_aware(network, PICTURES, learn_ranges=True, **options)
    before = {weight.path: np.array(weight) for weight in quantized.weights}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    quantized.compile(keras.optimizers.Adam(0.01), loss)
    quantized.fit(PICTURES, LABELS, batch_size=8, epochs=6, verbose=0)
    return quantized, before


@pytest.fixture(scope="module")
def learner(network):
    return trained(network)


def test_the_gradient_of_a_range_is_lsqs():
    """Against the paper's formula for the step size, one value at a time, times what makes a logarithm of it."""
    values, upstream = RNG.normal(0, 1, 200).astype("float32"), RNG.normal(0, 1, 200).astype("float32")
    step, zero, growth = 0.05, 11, 0.3  # 4 bits: from -11 to 4 steps
    scale = step * 2**growth
    levels = np.clip(values / scale, -zero, 15 - zero)
    inside = levels == values / scale
    of_step = np.where(inside, np.round(levels) - levels, levels)
    low, high = np.float32(-zero * step), np.float32((15 - zero) * step)
    x, g = tf.Variable(values), tf.Variable(growth)
    with tf.GradientTape() as tape:
        y = fake_quantization.learned(
            x, g, low, high, lambda x, low, high: tf.quantization.fake_quant_with_min_max_vars(x, low, high, 4)
        )
    of_x, of_growth = tape.gradient(y, [x, g], upstream)
    np.testing.assert_allclose(y, np.round(levels) * scale, atol=1e-6)
    np.testing.assert_allclose(of_x, upstream * inside)
    np.testing.assert_allclose(of_growth, np.sum(upstream * of_step) * scale * np.log(2), rtol=1e-4)


def test_ranges_learn_where_they_may(learner):
    quantized, before = learner
    changes = {weight.path: np.abs(np.array(weight) - before[weight.path]).max() for weight in quantized.weights}
    moved = {path for path, change in changes.items() if change > 1e-4}
    kernels = {f"{name}/kernel_range" for name in ("conv", "depthwise", "transposed", "last", "logits")}
    ranges = {f"{name}_range/growth" for name in ("act1", "depthwise", "transposed", "sum", "logits")}
    assert {path for path in moved if path.endswith(("growth", "kernel_range"))} == kernels | ranges
    assert not any(changes[weight.path] for weight in quantized.non_trainable_weights)


def test_the_file_is_the_simulation_after_learning(learner, tmp_path):
    quantized, _ = learner
    content = convert(quantized)
    assert purity.impurities(content, "int8") == []
    for tensor in fidelity.compare(quantized, content, PICTURES):
        assert np.mean(tensor.steps <= 1) >= 0.999 and np.mean(tensor.steps == 0) > 0.8, tensor.layer
    quantized.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(PICTURES), quantized(PICTURES))
    clone = keras.models.clone_model(quantized)
    clone.set_weights(quantized.get_weights())
    np.testing.assert_array_equal(clone(PICTURES), quantized(PICTURES))


def test_biases_follow_a_range_that_learns(learner):
    """Their steps in the file are those of the range as it is now, not as it was found."""
    quantized, _ = learner
    layer = quantized.get_layer("depthwise")
    assert abs(float(layer.input_step) / quantized.get_layer("act1_range").step - 1) > 0.001
    steps = quantized.get_layer("act1_range").step * 2.0 ** np.array(layer.kernel_range) / 127
    interpreter = Interpreter(model_content=convert(quantized))
    (operator,) = [op for op in interpreter._get_ops_details() if op["op_name"] == "DEPTHWISE_CONV_2D"]
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    np.testing.assert_allclose(details[operator["inputs"][2]]["quantization_parameters"]["scales"], steps, rtol=1e-5)

    quantized.get_layer("depthwise").bias.assign(np.linspace(0.1, 1, 6))
    _, bias = layer._rounded(*layer.folded, training=False)
    np.testing.assert_allclose(np.array(bias) / steps, np.round(np.array(bias) / steps), atol=0.02)
    assert np.abs(np.array(bias) - np.linspace(0.1, 1, 6)).max() > 0  # and it is rounded


def test_training_computes_what_inference_does(learner):
    np.testing.assert_allclose(learner[0](PICTURES, training=True), learner[0](PICTURES), atol=1e-5)


@pytest.mark.parametrize("learns", [False, True])
def test_the_gradient_of_a_kernel_passes_everywhere(learns):
    """TensorFlow's own is cut off for the largest weight of some channels."""
    layer = fake_quantization.QuantizedConv2D(500, 3, weight_bits=4, learns=learns)
    layer.build((None, 8, 8, 3))
    if learns:
        layer.kernel_range.assign(np.log2(1.01 * np.abs(layer.kernel).max(axis=(0, 1, 2))))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(PICTURES, training=True) * RNG.normal(size=(32, 6, 6, 500)))
    assert np.all(np.array(tape.gradient(loss, layer.kernel.value)) != 0)


def kernel_types(content):
    """Of each convolution and dense layer of a file: (end of its name, type of its kernel)."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    names = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    (graph,) = flatbuffer_utils.read_model_from_bytearray(bytearray(content)).subgraphs
    weighted = [op for op in graph.operators if len(op.inputs) == 3 and op.inputs[1] not in graph.inputs]
    return [(graph.tensors[op.outputs[0]].name.decode(), names[graph.tensors[op.inputs[1]].type]) for op in weighted]


def test_transposed_convolutions_keep_eight_bits(network):
    """LiteRT has no kernel for fewer."""
    quantized = quantize_aware(network, PICTURES, weight_bits=4)
    content = convert(quantized)
    assert [kind for _, kind in kernel_types(content)] == ["INT4", "INT4", "INT8", "INT4", "INT4"]
    assert all(np.mean(tensor.steps <= 1) >= 0.999 for tensor in fidelity.compare(quantized, content, PICTURES))


def test_widths_by_layer():
    model = ResNet(8, (16, 16, 3), 4, width=0.25)
    pictures = RNG.integers(0, 256, (8, 16, 16, 3)).astype(np.float32) / 128 - 1
    quantized = quantize_aware(model, pictures, weight_bits={"stage3.*": 4, "stage[34].*": 8, "logits": 4})
    content = convert(quantized)
    for name, kind in kernel_types(content):
        assert kind == ("INT4" if "stage3" in name or "logits" in name else "INT8"), name
    for tensor in fidelity.compare(quantized, content, pictures):
        assert np.mean(tensor.steps <= 1) >= 0.999, tensor.layer


@pytest.mark.parametrize(
    ("widths", "says"),
    [
        (5, "weight_bits=5: expected 8 or 4"),
        ({"conv": 3}, "expected 8 or 4"),
        ({"nose.*": 4}, r"nose\.\* is no layer's whole name; as conv, depthwise, transposed, last, logits"),
        ({"(": 4}, r"\( is no regular expression"),
    ],
)
def test_widths_that_no_file_can_have(network, widths, says):
    with pytest.raises(ValueError, match=says):
        quantize_aware(network, PICTURES, weight_bits=widths)


@pytest.mark.slow
class TestNormsThatLearn:
    """Batch norms that are folded in the file only."""

    def pair(self):
        """A float network and its quantized one, which has no rounding yet."""
        keras.utils.set_random_seed(0)
        inputs = x = keras.Input((8, 8, 3))
        for layer in (layers.Conv2D(6, 3), layers.DepthwiseConv2D(3, use_bias=False), layers.Conv2DTranspose(5, 2)):
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.5)(layer(x)))
        x = layers.BatchNormalization()(layers.Dense(7)(layers.Flatten()(x)))
        model = keras.Model(inputs, layers.Dense(4)(x))
        for _ in range(10):
            model(PICTURES, training=True)
        return model, quantize_aware(model, PICTURES, learn_norms=True)

    def test_without_rounding_they_learn_as_in_float(self):
        model, quantized = self.pair()
        with fake_quantization.without_rounding(*quantized.layers):
            results = []
            for network in (model, quantized):
                network.compile(keras.optimizers.SGD(0.1), "mse")
                network.fit(PICTURES, np.eye(4)[LABELS], batch_size=8, epochs=2, shuffle=False, verbose=0)
                results.append([network(PICTURES), network(PICTURES, training=True)])
        np.testing.assert_allclose(results[1], results[0], atol=2e-4)
        ours, theirs = ({w.shape: np.array(w) for w in m.weights if "moving" in w.path} for m in (quantized, model))
        for shape in theirs:
            np.testing.assert_allclose(ours[shape], theirs[shape], atol=1e-4)

    @pytest.mark.parametrize("learn_ranges", [False, True])
    def test_frozen_late_the_file_is_the_simulation(self, learn_ranges, tmp_path):
        model, _ = self.pair()
        quantized = quantize_aware(model, PICTURES, learn_norms=True, learn_ranges=learn_ranges)
        quantized.compile(keras.optimizers.Adam(0.003), "mse")
        quantized.fit(PICTURES, np.eye(4)[LABELS], batch_size=8, epochs=3, verbose=0)
        moving = [np.array(weight) for weight in quantized.weights if "moving" in weight.path]
        assert len(moving) == 8
        freeze_norms(quantized)
        quantized.compile(keras.optimizers.Adam(0.003), "mse")
        gamma = np.array(quantized.layers[2].norm.gamma)
        quantized.fit(PICTURES, np.eye(4)[LABELS], batch_size=8, epochs=3, verbose=0)
        after = [np.array(weight) for weight in quantized.weights if "moving" in weight.path]
        assert all(map(np.array_equal, moving, after))
        assert np.abs(quantized.layers[2].norm.gamma - gamma).max() > 1e-3
        np.testing.assert_allclose(quantized(PICTURES, training=True), quantized(PICTURES), atol=1e-5)
        content = convert(quantized)
        assert purity.impurities(content, "int8") == []
        for tensor in fidelity.compare(quantized, content, PICTURES):
            assert np.mean(tensor.steps <= 1) >= 0.999, tensor.layer
        quantized.save(tmp_path / "model.keras")
        np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(PICTURES), quantized(PICTURES))

    def test_the_folded_form_is_rounded_beside(self):
        """Against the same by hand: the norm of the convolution, and what rounding its folded form adds."""
        norm = layers.BatchNormalization().get_config()
        layer = fake_quantization.QuantizedConv2D(5, 3, weight_bits=4, norm=norm)
        layer.build((None, 8, 8, 3))
        layer.bias.assign(RNG.normal(size=5))
        layer.norm.set_weights([RNG.uniform(0.5, 2, 5) for _ in range(4)])
        layer.input_step.assign(0.5)  # coarse: the bias' rounding is seen
        gamma, beta, mean, variance = map(np.array, layer.norm.get_weights())
        kernel, bias = np.array(layer.kernel), np.array(layer.bias)
        scale = gamma / np.sqrt(variance + 1e-3)
        folded, offset = kernel * scale, beta + (bias - mean) * scale
        steps = np.abs(folded).max(axis=(0, 1, 2)) / 7
        rounded = np.round(folded / steps) * steps
        offsets = np.round(offset / (0.5 * steps)) * 0.5 * steps
        raw = np.array(tf.nn.conv2d(PICTURES, kernel, 1, "VALID")) + bias
        normed = (raw - raw.mean(axis=(0, 1, 2))) / np.sqrt(raw.var(axis=(0, 1, 2)) + 1e-3) * gamma + beta
        added = np.array(tf.nn.conv2d(PICTURES, rounded - folded, 1, "VALID")) + offsets - offset
        np.testing.assert_allclose(layer(PICTURES, training=True), normed + added, atol=1e-3)
        assert np.abs(added).max() > 0.1 and np.abs(offsets - offset).max() > 0.01

    def test_a_norm_of_the_last_axis_is_so_in_a_row_too(self):
        inputs = keras.Input((6, 4))
        x = layers.BatchNormalization(axis=2)(layers.Conv1D(6, 1)(inputs))
        model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
        given = RNG.uniform(-1, 0.99, (16, 6, 4)).astype("float32")
        model(given, training=True)
        quantized = quantize_aware(model, given, learn_norms=True)
        with fake_quantization.without_rounding(*quantized.layers):
            np.testing.assert_allclose(quantized(given, training=True), model(given, training=True), atol=1e-4)

    def test_frozen_norms_keep_their_statistics(self, tmp_path):
        model, _ = self.pair()
        for layer in model.layers:
            layer.trainable = not isinstance(layer, layers.BatchNormalization)
        quantized = quantize_aware(model, PICTURES, learn_norms=True)
        before = [np.array(weight) for weight in quantized.weights if "moving" in weight.path]
        quantized(PICTURES, training=True)
        assert all(map(np.array_equal, before, [np.array(w) for w in quantized.weights if "moving" in w.path]))
        freeze_norms(quantized)
        quantized.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert not any(layer.statistics for layer in loaded.layers if getattr(layer, "norm", None))
        with pytest.raises(ValueError, match="has no norms that learn"):
            freeze_norms(model)

    def test_what_stays_frozen(self):
        model, _ = self.pair()
        model.trainable = False
        assert not quantize_aware(model, PICTURES, learn_norms=True).trainable_weights
