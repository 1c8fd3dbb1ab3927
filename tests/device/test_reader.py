"""The reader of our files and of others': what comes in, what comes out."""

import re

import numpy as np
import pytest
import tensorflow as tf
from edge import answered
from PIL import Image

from keras_resnet.device.reader import Reader


def softmax_file(path, calibration=None, io=tf.uint8):
    """Another project's model: ends with probabilities and has standard metadata at most; int8 with calibration."""
    tf.keras.utils.set_random_seed(3)
    inputs = tf.keras.Input(batch_shape=(1, 16, 16, 3))
    x = tf.keras.layers.GlobalAveragePooling2D()(tf.keras.layers.Conv2D(8, 3, strides=2)(inputs))
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(4, "softmax")(x))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([x[None]] for x in calibration)
        converter.inference_input_type = converter.inference_output_type = io
    path.write_bytes(converter.convert())
    return model


@pytest.mark.parametrize("io", [None, tf.uint8, tf.float32])
def test_probabilities_of_a_foreign_model_stay_what_they_are(tmp_path, io, capsys):
    path = tmp_path / "foreign.tflite"
    noise = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype(np.float32)
    model = softmax_file(path, noise if io else None, io)
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8))
    reader = Reader(path, labels=list("abcd"))
    assert "it says nothing of its scale" in capsys.readouterr().err
    assert reader.contract.output.scores == "probabilities"
    found = dict(answered(reader, image))
    x = np.asarray(image, np.float32)[None] / 127.5 - 1
    probabilities = model(x).numpy()[0]
    np.testing.assert_allclose([found[c] for c in "abcd"], probabilities, atol=0.02 if io else 1e-5)
    with pytest.raises(ValueError, match="it tells 4 classes apart, got 3 labels"):
        Reader(path, labels=list("abc"))


@pytest.mark.parametrize(("low", "high", "io"), [(0, 255, tf.int8), (0, 1, tf.uint8), (-1, 1, tf.int8)])
def test_a_foreign_quantized_input_shows_what_a_pixel_is(tmp_path, low, high, io, capsys):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (8, 16, 16, 3), np.uint8)
    pictures[:, 0, 0], pictures[:, 0, 1] = 0, 255
    path = tmp_path / "foreign.tflite"
    model = softmax_file(path, (low + (high - low) / 255 * pictures).astype(np.float32), io)
    reader = Reader(path, labels=list("abcd"))
    said = r"says nothing of its scale; its 256 steps, (\S+) to (\S+), are taken for the pixels 0 to 255"
    steps = re.search(said, capsys.readouterr().err).groups()
    np.testing.assert_allclose(np.array(steps, float), (low, high), atol=(high - low) / 255)
    for picture in pictures[:4]:
        expected_input = picture.astype(np.int16) - (128 if io == tf.int8 else 0)
        np.testing.assert_array_equal(reader.quantize(picture), expected_input)
        x = low + (high - low) / 255 * picture[None].astype(np.float32)
        found = reader.contract.output.probabilities(reader.dequantize(reader.run(picture)))
        np.testing.assert_allclose(found, model(x).numpy()[0], atol=0.02)


def picture_spec(dtype=tf.float32, channels=3):
    return tf.TensorSpec((1, 8, 8, channels), dtype)


@pytest.mark.parametrize(
    ("answer", "given", "sentence"),
    [
        (lambda x, y: x[:, 0, 0] + y[:, 0, 0], [picture_spec()] * 2, r"makes \[\(1, 3\)\] of \[\(1, 8, 8, 3\), \(1"),
        (lambda x: x[:, 0, 0], [picture_spec(channels=2)], r"of \[\(1, 8, 8, 2\)\]"),
        (lambda x: x[:, 0, 0, :0], [picture_spec()], r"makes \[\(1, 0\)\] of"),
        (lambda x: x[:, 0], [picture_spec()], r"makes \[\(1, 8, 3\)\] of"),
        (lambda x: tf.concat([x[:, 0, 0], x[:, 1, 1]], 0), [picture_spec()], r"makes \[\(2, 3\)\] of"),
        (lambda x: x[:, 0, 0] + 1, [picture_spec(tf.int32)], "a tensor of int32 comes in or out; expected float32"),
        (lambda x: x[:, 0, 0] > 0, [picture_spec()], "a tensor of bool comes in or out"),
    ],
)
def test_networks_that_classify_no_picture(tmp_path, answer, given, sentence):
    function = tf.function(answer, input_signature=given).get_concrete_function()
    path = tmp_path / "foreign.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())
    with pytest.raises(ValueError, match=f"foreign.tflite: .*{sentence}"):
        Reader(path)


def test_an_answer_that_is_no_number_is_a_sentence(models):
    output = Reader(models / "resnet8-float32.tflite").contract.output
    logits = np.zeros(10, np.float32)
    for wrong in (np.nan, np.inf):
        logits[3] = wrong
        with pytest.raises(ValueError, match="no number"):
            output.probabilities(logits)
    logits[3] = -np.inf  # a class that can't be
    assert output.probabilities(logits)[[3, 4]].tolist() == [0, 1 / 9]
