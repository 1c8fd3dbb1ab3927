"""From a Keras model to the bytes of a `.tflite`, one small function a format. Batch size 1, static shapes."""

import contextlib
import dataclasses
import importlib.util
import io as text_io
import itertools
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_resnet import environment, files, runs
from keras_resnet.networks import convolution
from keras_resnet.quantization.fake_quantization import FakeQuantize
from keras_resnet.quantization.pictures import CONTRACT
from keras_resnet.quantization.saved import load_model
from keras_resnet.quantization.translation import FIXED_RANGES, functional
from keras_resnet.recipes import Recipe

from . import averages, purity

# What the converter says of each quantization, whatever its log level.
NOISE = "fully_quantize: "
NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")  # of what TensorFlow calls a scope
IO_TYPES = {"uint8": tf.uint8, "int8": tf.int8, "float32": tf.float32}


# What tensorflow-model-optimization's training here does not do as ours does.
NOT_BY_TFMOT = ("optimizer", "clip", "accumulate", "mixup", "cutmix", "sampling", "repeats")
NOT_BY_TFMOT += ("passes", "progressive", "train_size", "weight_bits", "ranges", "norms")


class ConversionError(ValueError):
    """A format that could not be made of a model; the message says why."""


def float32(model, pictures, io):
    """Weights and arithmetic in float32."""
    del pictures, io
    return _convert(_converter(model))


def float16(model, pictures, io):
    """Weights stored in float16, half the size; computed in float32 on CPUs."""
    del pictures, io
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return _convert(converter)


def dynamic(model, pictures, io):
    """Weights in int8, activations quantized while it runs."""
    del pictures, io
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return _convert(converter)


def int8_ptq(model, pictures, io):
    """int8 throughout, by quantization after training: ranges from pictures, nothing is learned."""
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = _representative(model, pictures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return _convert(_with_io(converter, io))


def int8_qat(model, pictures, io):
    """int8 throughout, of a model that `quantize_aware` made and training has settled: its ranges are in it."""
    del pictures
    settle_tables(model)
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return _convert(_with_io(converter, io))


def settle_tables(model):
    """Writes the tables of an int8-aware model as the steps that they are rounded to, which changes no answer.

    A value between two steps, which half of a table may share, the converter else rounds to the other one.
    """
    for layer in model.layers:
        if not isinstance(layer, FakeQuantize):
            continue
        for node in layer._inbound_nodes:
            table = node.input_tensors[0]._keras_history.operation
            if isinstance(table, keras.layers.Embedding):
                table.embeddings.assign(layer(table.embeddings))


def int16x8(model, pictures, io):
    """Weights in int8, activations in int16; input and output stay float32, since its kernels know no uint8."""
    del io
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = _representative(model, pictures)
    kinds = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [kinds]
    return _convert(converter)


FORMATS = {
    "float32": float32,
    "float16": float16,
    "dynamic": dynamic,
    "int8-ptq": int8_ptq,
    "int8-qat": int8_qat,
    "int16x8": int16x8,
}


def convert(name, model, pictures, io="uint8", raw_pixels=True):
    """Converts a model.

    Args:
        name: a name of `FORMATS`.
        model: `keras.Model` from scaled pictures to logits or probabilities; for `int8-qat`, one of `quantize_aware`.
        pictures: float32 calibration pictures (n, height, width, channels), training pictures without augmentation; a
            list of arrays (n, …) for several inputs.
        io: type of input and output of the int8 formats: `uint8` (raw pixels in), `int8` or `float32`.
        raw_pixels: whether the input is `pixel / 128 - 1` and int8 formats take pixels as they are; without, the
            ranges of inputs are those of `pictures`, or those that the model was quantized with.

    Returns:
        The file's bytes.

    Raises:
        ConversionError: TensorFlow's converter refused, the file is not pure int8 (`purity`), or it would not take the
            contract's pixels as they are.
    """
    if name not in FORMATS:
        raise ConversionError(f"format {name!r}: choose {', '.join(FORMATS)}")
    if io not in IO_TYPES:
        raise ConversionError(f"io={io!r}: choose {', '.join(IO_TYPES)}")
    if name == "int8-qat" and not any(isinstance(layer, FakeQuantize) for layer in functional(model).layers):
        raise ConversionError("int8-qat: it is made of a quantized model; quantize_aware(model, pictures) makes one")
    arrays = pictures if isinstance(pictures, list) else [pictures]
    if not len(arrays[0]):
        raise ConversionError(f"{name}: no calibration pictures; give at least one")
    content = FORMATS[name](model, [with_extremes(arrays[0], CONTRACT)] if raw_pixels else arrays, io)
    return _settled(name, content, io, raw_pixels) if name.startswith("int8") else content


def in_float32(model):
    """A functional model whose layers compute in float32: itself, or a copy of one in mixed precision."""
    if all(layer.compute_dtype == "float32" for layer in model._flatten_layers() if layer.weights):
        return model

    def remade(layer):
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=remade, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def with_probabilities(model, activation):
    """A model from pictures to logits, float or int8-aware, made one to probabilities by `softmax` or `sigmoid`.

    An int8-aware one rounds them to 1/256, the only scale of TFLite's int8 softmax and sigmoid.
    """
    outputs = keras.layers.Activation(activation, name="probabilities")(model.outputs[0])
    if any(isinstance(layer, FakeQuantize) for layer in model.layers):
        outputs = FakeQuantize(8, FIXED_RANGES[activation], name="probabilities_range")(outputs)
    return keras.Model(model.inputs, outputs, name=model.name)


def by_tfmot(recipe, io, output="logits"):
    """int8 throughout, learned by tensorflow-model-optimization: `tfmot.make` in a process of its own.

    Args:
        recipe: `Recipe` of an int8-aware training; `init` is the float run.
        io: as in `convert`.
        output: what the file ends with, `logits` or `probabilities`.

    Returns:
        The file's bytes.

    Raises:
        ConversionError: it is not installed, its training lacks a setting of the recipe's, or it refused the network.
    """
    if importlib.util.find_spec("tensorflow_model_optimization") is None:
        raise ConversionError('tensorflow-model-optimization is not installed; type pip install -e ".[tfmot]"')
    plain = Recipe()
    others = [name for name in NOT_BY_TFMOT if getattr(recipe, name) != getattr(plain, name)]
    if others:
        given = ", ".join(f"--{name}={getattr(recipe, name)}" for name in others)
        raise ConversionError(f"its training knows no {given}; it would be no cross-check: leave it out of --formats")
    with tempfile.TemporaryDirectory() as folder:
        files.write_json(pathlib.Path(folder, "recipe.json"), {"recipe": dataclasses.asdict(recipe)})
        command = [sys.executable, "-m", f"{__package__}.tfmot", folder, io, output]
        environment = {**os.environ, "TMPDIR": folder}  # what TensorFlow writes goes with the folder, whatever happens
        origin = load_model(runs.Run(pathlib.Path(recipe.init)).model)
        if any(convolution.is_at_risk(layer) for layer in origin.layers):
            environment["TF_ENABLE_ONEDNN_OPTS"] = "0"
        process = subprocess.run(command, stderr=subprocess.PIPE, text=True, env=environment)
        if process.returncode:
            killed = f"its process was killed by signal {-process.returncode}"
            raise ConversionError(process.stderr.strip().splitlines()[-1] if process.returncode > 0 else killed)
        return _settled("int8-tfmot", pathlib.Path(folder, "model.tflite").read_bytes(), io)


def _converter(model):
    """Of batches of one; several inputs have their names, and several outputs theirs, in the file's signature."""
    model = functional(model)
    for layer in model._flatten_layers():
        if not NAME.fullmatch(layer.name):
            raise ConversionError(
                f"layer {layer.name!r}: TensorFlow's converter takes names of A to Z, a to z, 0 to 9 and . _ - alone; "
                "name it otherwise"
            )
    names = input_names(model)
    inputs = [
        keras.Input(batch_shape=(1, *i.shape[1:]), dtype=i.dtype, name=name)
        for i, name in zip(model.inputs, names, strict=True)
    ]
    outputs = model(keras.tree.pack_sequence_as(model._inputs_struct, inputs))
    if len(model.outputs) > 1:
        outputs = dict(zip(output_names(model), keras.tree.flatten(outputs), strict=True))
    # The converter hands on a list, whatever the model takes.
    alone = inputs if len(inputs) > 1 else inputs[0]
    return tf.lite.TFLiteConverter.from_keras_model(keras.Model(alone, outputs, name=model.name))


def input_names(model):
    """Of a file's inputs: the model's; `image` where it takes pictures alone."""
    alone = len(model.inputs) == 1 and len(model.inputs[0].shape) == 4
    return ["image"] if alone else [i.name for i in model.inputs]


def output_names(model):
    """Of a file's outputs, where it has several: the model's, numbered where a layer makes two."""
    names = []
    for name in model.output_names:
        numbered = (f"{name}_{i}" for i in itertools.count(2))
        taken = {*names, *model.output_names}
        names.append(name if name not in names else next(other for other in numbered if other not in taken))
    return names


def _with_io(converter, io):
    converter.inference_input_type = converter.inference_output_type = IO_TYPES[io]
    return converter


def _convert(converter):
    """Converts without the converter's reports on standard output and `NOISE`."""
    try:
        with (
            environment.without_noise(NOISE),
            contextlib.redirect_stdout(text_io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # it misses statistics that fake quantization makes needless
            return converter.convert()
    except Exception as error:  # the converter raises many kinds; its first line says what is wrong
        reason = str(error).strip() or type(error).__name__
        raise ConversionError(reason.splitlines()[0][:300]) from error


def with_extremes(pictures, ends):
    """Pictures, and two of black and white alone, `ends`: so the input's range is the contract's, not the pictures'.

    Of a text's numbers, which have no range and no ends, the first two again.
    """
    if ends is None:
        return np.concatenate([pictures, pictures[:2]])
    return np.concatenate([pictures, *(np.full((1, *pictures.shape[1:]), end, np.float32) for end in ends)])


def _representative(model, pictures):
    """What the converter asks for: examples one by one, by the inputs' names."""
    arrays = pictures if isinstance(pictures, list) else [pictures]

    def examples():
        for parts in zip(*arrays, strict=True):
            yield {name: part[None] for name, part in zip(input_names(model), parts, strict=True)}

    return examples


def _settled(name, content, io, raw_pixels=True):
    """An int8 file whose averages are moved off ties; it is held to be pure, and its input to the contract's."""
    if found := purity.impurities(content, io, again=name != "int8-qat"):
        raise ConversionError(f"{name}: not pure int8: {', '.join(found[:3])}{', …' * (len(found) > 3)}")
    content = averages.settle(content)
    if raw_pixels and io != "float32":
        _check_input(name, content, io)
    return content


def _check_input(name, content, io):
    """Holds the input to scale 1/128: a raw pixel is then the quantized input."""
    from ai_edge_litert.interpreter import Interpreter

    scale, zero = Interpreter(model_content=content).get_input_details()[0]["quantization"]
    if not (np.isclose(scale, 1 / 128, rtol=1e-6) and zero == (128 if io == "uint8" else 0)):
        raise ConversionError(
            f"{name}: the input has scale {scale} and zero point {zero}, not the contract's 1/128; convert(…, "
            "raw_pixels=False) lets it"
        )
