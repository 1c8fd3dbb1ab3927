"""A trained network for other answers, or pictures of another size: all but its last layer goes on."""

import keras
from keras import layers

from keras_resnet import runs
from keras_resnet.networks.weights import copy_weights


def transfer(origin, shape, outputs, seed):
    """A network of an origin's weights with a new last layer.

    Args:
        origin: functional float `keras.Model` that ends in a dense layer, a softmax or sigmoid behind it or not.
        shape: (height, width, channels) of the pictures from now on.
        outputs: logits from now on.
        seed: of the new layer's weights.

    Returns:
        `keras.Model` from `shape` to (outputs,) float32 logits; its layers are new and have the origin's names.

    Raises:
        RunError: the origin can't be continued so; the message says why.
    """
    features, head = split(origin)
    if origin.input_shape[-1] != shape[-1]:
        raise runs.RunError(
            f"--init: {origin.name} was trained on {origin.input_shape[-1]} channels, the pictures have {shape[-1]}; "
            f"give --channels={origin.input_shape[-1]}"
        )
    image = keras.Input(shape, name="image")
    try:
        backbone = keras.models.clone_model(features, input_tensors=image)
        copy_weights(features, backbone)
    except ValueError as error:  # a layer that was made for one size, as a Flatten before the head is
        raise runs.RunError(
            f"--init: {origin.name} does not take pictures of {shape[0]}x{shape[1]} ({str(error).splitlines()[0]}); "
            f"give --image_size={origin.input_shape[1]}x{origin.input_shape[2]}"
        ) from None
    keras.utils.set_random_seed(seed)
    logits = layers.Dense(outputs, dtype="float32", name=head.name)(backbone.outputs[0])
    return keras.Model(image, logits, name=origin.name)


def split(model):
    """What a classifier's last dense layer reads, as a model, and that layer.

    Raises:
        RunError: it ends otherwise.
    """
    if len(model.outputs) != 1 or len(model.inputs) != 1:
        raise runs.RunError(f"--init: {model.name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs")
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
