"""A trained network for other answers, or pictures of another size: all but its last layer goes on."""

import re

import keras
from keras import layers

from keras_resnet import runs
from keras_resnet.networks.weights import copy_weights


def transfer(origin, shape, outputs, seed):
    """A network of an origin's weights with a new last layer.

    Args:
        origin: functional float `keras.Model` that ends in a dense layer, a softmax or sigmoid behind it or not; or one
            of boxes or masks, with `ResNet`'s names of layers, of which the mean of the last map goes on.
        shape: (height, width, channels) of the pictures from now on.
        outputs: logits from now on.
        seed: of the new layer's weights.

    Returns:
        `keras.Model` from `shape` to (outputs,) float32 logits; its layers are new and have the origin's names.

    Raises:
        RunError: the origin can't be continued so; the message says why.
    """
    maps = {} if classifies(origin) else feature_maps(origin)
    if maps:
        pooled = layers.GlobalAveragePooling2D(name="head_pool")([*maps.values()][-1])
        features, name = keras.Model(origin.inputs[0], pooled, name=origin.name.rpartition("_")[0]), "logits"
    else:
        features, head = split(origin)
        name = head.name
    backbone = _resized(features, shape)
    keras.utils.set_random_seed(seed)
    logits = layers.Dense(outputs, dtype="float32", name=name)(backbone.outputs[0])
    return keras.Model(backbone.inputs[0], logits, name=features.name)


def classifies(model):
    """Whether a model makes one vector of one input."""
    return len(model.outputs) == 1 == len(model.inputs) and len(model.outputs[0].shape) <= 2


def backbone(origin, shape):
    """The feature maps of a network of any task, as `ResNet(…, features=True)` has them, for pictures of a size.

    Args:
        origin: functional float `keras.Model` whose layers have `ResNet`'s names.
        shape: (height, width, channels) of the pictures from now on.

    Raises:
        RunError: its layers have other names, or it does not take such pictures.
    """
    if not (maps := feature_maps(origin)):
        raise runs.RunError(f"--init: layers of {origin.name} have other names than ResNet's, it gives no feature maps")
    return _resized(keras.Model(origin.inputs[0], maps, name=origin.name), shape)


def feature_maps(model):
    """Name -> the last map of each stage of a network with `ResNet`'s names of layers, as `features=True` has them."""
    maps = {}
    for layer in model.layers:
        stage = re.match(r"stage(\d+)_", layer.name)
        if stage or layer.name == "head_relu":  # of version 2, behind the last stage
            maps[f"C{stage[1]}" if stage else [*maps][-1]] = layer.output
    return maps


def _resized(features, shape):
    """A copy of a model for pictures of a size, with its weights."""
    if features.input_shape[-1] != shape[-1]:
        raise runs.RunError(
            f"--init: {features.name} was trained on {features.input_shape[-1]} channels, the input has "
            f"{shape[-1]}; of pictures give --channels={features.input_shape[-1]}"
        )
    try:
        copy = keras.models.clone_model(features, input_tensors=keras.Input(shape, name="image"))
        copy_weights(features, copy)
    except ValueError as error:  # a layer that was made for one size, as a Flatten before the head is
        raise runs.RunError(
            f"--init: {features.name} does not take pictures of {shape[0]}x{shape[1]} ({str(error).splitlines()[0]}); "
            f"give --image_size={features.input_shape[1]}x{features.input_shape[2]}"
        ) from None
    return copy


def copy_alike(origin, model):
    """Gives a model's layers the weights of those of an origin that have the same name and shapes; returns how many."""
    alike, theirs = 0, {layer.name: layer for layer in origin.layers}
    for layer in model.layers:
        other = theirs.get(layer.name)
        if other and layer.weights and [w.shape for w in layer.weights] == [w.shape for w in other.weights]:
            layer.set_weights(other.get_weights())
            alike += len(layer.weights)
    return alike


def split(model):
    """What a classifier's last dense layer reads, as a model, and that layer.

    Raises:
        RunError: it ends otherwise.
    """
    if not classifies(model):
        made = ", ".join(str(tuple(output.shape[1:])) for output in model.outputs)
        raise runs.RunError(
            f"--init: {model.name} makes {made} of {len(model.inputs)} inputs, no classes; expected a classifier, or "
            "layers with ResNet's names"
        )
    end = model.outputs[0]
    while isinstance(end._keras_history.operation, layers.Activation | layers.Softmax):
        end = end._keras_history.operation.input
    head = end._keras_history.operation
    if type(head) is not layers.Dense:
        raise runs.RunError(
            f"--init: {model.name} ends in {head.name} of type {type(head).__name__}, expected a Dense layer"
            + ("; it is quantized: give the float run that it came from" if "Quantize" in type(head).__name__ else "")
        )
    return keras.Model(model.inputs[0], head.input, name=model.name), head
