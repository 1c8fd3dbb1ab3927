"""`int8-tfmot`: int8-aware training by tensorflow-model-optimization, the peer that our own is held against.

It knows only Keras 2, and makes `tf.keras` that for the whole process: so it works in a process of its own
(`conversion.by_tfmot` starts `python -m export.tfmot FOLDER IO OUTPUT`), on a twin of the model made of tf_keras
layers. Data, order, augmentation, teachers, optimizer, epochs, first ranges and the choice of the best epoch are those
of our own int8-aware training. What is its own: norms go on learning, and ranges follow the largest values of each
batch.
"""

import dataclasses
import inspect
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from keras_resnet import files, programs, runs, tasks
from keras_resnet.data.loading import load_data
from keras_resnet.history import best_row
from keras_resnet.networks import prediction
from keras_resnet.quantization import ranges
from keras_resnet.quantization.pictures import CONTRACT
from keras_resnet.quantization.saved import load_model
from keras_resnet.quantization.translation import nodes
from keras_resnet.training import distillation, optimization, starting

from .conversion import IO_TYPES

FOR_TRAINING_ALONE = ("_initializer", "_regularizer", "_constraint")


def make(recipe, io, output="logits"):
    """Trains int8-aware and converts.

    Args:
        recipe: `Recipe` of an int8-aware training; `init` is the float run, and the teacher if there is no other.
        io: type of input and output: `uint8`, `int8` or `float32`.
        output: what the file ends with: `logits` or `probabilities`.

    Returns:
        The bytes of a `.tflite`.

    Raises:
        ValueError: a layer has no twin, tensorflow-model-optimization refuses it, or the training diverged.
    """
    run = runs.Run(pathlib.Path(recipe.init))
    data = load_data(recipe, run)
    pictures = data.calibration(starting.CALIBRATION_PICTURES, recipe.seed)
    model = load_model(run.model)
    task = tasks.of(data.contract)
    quantized = quantize(twin(model), pictures)
    train(quantized, starting.load_teachers(recipe, data.contract, model), recipe, data, task)
    return convert(quantized, io, output, task.ACTIVATION)


def twin(model):
    """Builds a flat Keras 3 functional model again, of tf_keras layers with the same names and weights.

    Raises:
        ValueError: tf_keras has no such layer.
    """
    model = model._functional if isinstance(model, keras.Sequential) else model
    inputs = tf_keras.Input(model.input_shape[1:], name=model.inputs[0].name)
    tensors, made = {id(model.inputs[0]): inputs}, {}
    for node in nodes(model):
        layer = node.operation
        if layer not in made:
            made[layer] = _layer(layer)
        arguments = [tensors[id(tensor)] for tensor in node.input_tensors]
        tensors[id(node.output_tensors[0])] = made[layer](arguments if len(arguments) > 1 else arguments[0])
    for layer, copy in made.items():
        copy.set_weights([keras.ops.convert_to_numpy(weight) for weight in layer.weights])
    return tf_keras.Model(inputs, tensors[id(model.outputs[0])], name=model.name)


def _layer(layer):
    """A tf_keras layer of a Keras 3 layer's settings, as far as tf_keras knows them."""
    kind = getattr(tf_keras.layers, type(layer).__name__, None)
    if kind is None or isinstance(layer, keras.Model):
        raise ValueError(f"layer {layer.name} of type {type(layer).__name__} has no twin in tf_keras")
    known = {"name", *(name for base in kind.__mro__ for name in inspect.signature(base.__init__).parameters)}
    config = {k: v for k, v in layer.get_config().items() if k in known and not k.endswith(FOR_TRAINING_ALONE)}
    return kind.from_config({**config, "dtype": "float32"})


def quantize(model, pictures):
    """Makes a tf_keras model learn under int8 arithmetic, its first ranges found as `quantize_aware` finds them.

    By itself tensorflow-model-optimization begins at ±6 and forgets that by a thousandth a step: a short training would
    end with ranges that are still mostly ±6.
    """
    try:
        quantized = tfmot.quantization.keras.quantize_model(model)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"tensorflow-model-optimization refuses it: {str(error).split('. ')[0]}") from error
    seen = {layer.name: ranges.Observer() for layer in model.layers}
    outputs = tf_keras.Model(model.inputs, {layer.name: layer.output for layer in model.layers})
    for i in range(0, len(pictures), 64):
        for name, values in outputs(pictures[i : i + 64]).items():
            seen[name](values)
    for layer in quantized.layers:
        variables = {v.name.split("/")[-1].split(":")[0]: v for v in layer.weights}
        for what in ("output", "post_activation", layer.name):
            if f"{what}_min" in variables:
                observer = seen.get(layer.name.removeprefix("quant_"))
                low, high = ranges.nudged(*ranges.mse(observer, 8), 8) if observer else CONTRACT
                variables[f"{what}_min"].assign(low)
                variables[f"{what}_max"].assign(high)
    return quantized


class SGD(tf_keras.optimizers.SGD):
    """`optimization.SGD` for tf_keras."""

    def __init__(self, schedule, momentum, l2):
        super().__init__(schedule, momentum, nesterov=momentum > 0)
        self.l2 = l2

    def update_step(self, gradient, variable):
        super().update_step(gradient + self.l2 * variable if optimization.decays(variable) else gradient, variable)


class Schedule(tf_keras.optimizers.schedules.LearningRateSchedule):
    """`optimization.Schedule` for tf_keras."""

    def __init__(self, *arguments):
        self.rate = optimization.Schedule(*arguments)

    def __call__(self, step):
        return self.rate(step)


def train(model, teachers, recipe, data, task):
    """Trains as `trainer.Trainer` does, on one device, and leaves the weights that were best on validation."""

    def taught(images, labels):
        return images, distillation.probabilities(teachers, images, task.taught)

    steps = len(data.train) // recipe.batch_size
    schedule = Schedule(recipe.schedule, recipe.learning_rate, recipe.epochs * steps, recipe.warmup, recipe.decay_parts)
    optimizer = SGD(schedule, recipe.momentum, recipe.weight_decay)
    learned = dataclasses.replace(recipe, label_smoothing=0.0, loss="auto")  # as the trainer does with teachers
    model.compile(optimizer, task.loss(learned, getattr(data.train, "labels", None)))
    validation = data.evaluation("validation", prediction.batch_size(recipe))
    rows, weights = [], None
    for epoch in range(recipe.epochs + 1):
        if epoch:  # what it starts with may be the best there will be
            how = {"augment": recipe.augmentations, "magnitude": recipe.magnitude, "move": task.move}
            batches = data.training(recipe.batch_size, recipe.seed, epoch - 1, **how)
            model.fit(batches.map(taught).prefetch(2), verbose=int(sys.stdout.isatty()))
        figures = task.accumulator()
        for images, labels in validation.as_numpy_iterator():
            figures.add(model.predict_on_batch(images), labels)
        row = {f"val_{name}": score for name, score in figures.scores().items()}
        scores = "  ".join(f"{name} {score:.4f}" for name, score in row.items())
        print(f"int8-tfmot  epoch {epoch:3d}/{recipe.epochs}  {scores}", flush=True)
        if not np.isfinite(row["val_loss"]):
            raise ValueError(f"the loss is not finite in epoch {epoch} (learning rate {recipe.learning_rate:.4g})")
        rows.append(row)
        if best_row(rows, task.best(recipe.best)) is row:
            weights = model.get_weights()
    model.set_weights(weights)


def convert(model, io, output="logits", activation="softmax"):
    """The bytes of a batch-1 `.tflite`."""
    inputs = tf_keras.Input(batch_shape=(1, *model.input_shape[1:]), name="image")
    outputs = model(inputs)
    if output == "probabilities":
        outputs = tf_keras.layers.Activation(activation, name=output)(outputs)
    converter = tf.lite.TFLiteConverter.from_keras_model(tf_keras.Model(inputs, outputs, name=model.name))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = IO_TYPES[io]
    return converter.convert()


def main(folder, io, output):
    """Reads `recipe.json` of a folder and leaves `model.tflite` there."""
    recipe = runs.load_recipe(runs.Run(folder))
    try:
        content = make(recipe, io, output)
    except Exception as error:  # of many kinds; the first line says what is wrong
        print(programs.sentence(error).splitlines()[0], file=sys.stderr)
        programs.end(1)  # within this block, where nothing that the error holds is let go of
    files.write_bytes(folder / "model.tflite", content)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
